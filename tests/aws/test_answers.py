"""Who answers, in which words the runtime refuses, and what is published of it."""

import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from adapter_fleet.openai.bearer_auth import BearerAuth
from adapter_fleet.openai.urls import base_url
from tests.aws.stage import PROMPTS, Stage

pytestmark = pytest.mark.timeout(3600)


def chat(stage: Stage, component: str, *, signed: bool = False, **members: Any) -> tuple[int, Any]:
    """Send a chat over the OpenAI path, and return status and body of the answer."""
    body = {
        "messages": [{"role": "user", "content": PROMPTS[0]}],
        "max_tokens": 40,
        "temperature": 0,
        **members,
    }
    runtime = stage.runtime.meta.endpoint_url
    url = f"{base_url(runtime, endpoint=stage.endpoint, component=component)}/chat/completions"
    request = AWSRequest(method="POST", url=url, data=json.dumps(body).encode())
    request.headers["Content-Type"] = "application/json"
    if signed:
        credentials = stage.session.get_credentials()
        assert credentials is not None  # calls were signed with them before
        SigV4Auth(credentials, "sagemaker", stage.session.region_name).add_auth(request)
    else:
        request.headers["Authorization"] = f"Bearer {BearerAuth(stage.session).token()}"
    answer = urllib3.request("POST", url, body=request.data, headers=dict(request.headers.items()))
    return answer.status, json.loads(answer.data)


def test_openai_path(stage: Stage, tell: Callable[..., None]) -> None:
    """Which adapter answers on the OpenAI path, and what does `model` change?"""
    summary, triage = stage.adapters["summary"], stage.adapters["triage"]
    texts: dict[str, str] = {}

    def who(component: str, **members: Any) -> str:
        status, body = chat(stage, component, **members)
        if status != 200:
            return f"error {status}"
        text = body["choices"][0]["message"]["content"]
        return next((label for label, known in texts.items() if known == text), text)

    texts["base"] = who(stage.base)
    # Whether the component or the body names the adapter, this request has its name.
    texts["summary"] = who(summary, model=summary)
    without = who(summary)
    # vLLM ignores the name of the component's adapter on this path, so that its answer tells nothing.
    told = {"summary": "component"} | ({"base": "model"} if stage.container == "lmi" else {})
    tell(
        adapter_without_model=without,
        adapter_with_empty_model=who(summary, model=""),
        adapter_with_another_adapter=who(summary, model=triage),
        adapter_with_unknown_model=who(summary, model="nobody"),
        settings={"openai_adapter": told.get(without)},
    )


def test_openai_errors(stage: Stage, tell: Callable[..., None]) -> None:
    """What do errors on the OpenAI path look like, and is a usual signature taken there?"""
    # No container takes messages that are no list.
    refused, missing = chat(stage, stage.base, messages="hello"), chat(stage, f"nobody-{stage.run}")
    tell(
        of_the_container=refused,
        of_a_missing_component=missing,
        of_a_signed_request=chat(stage, stage.base, signed=True),
        settings={"openai_errors": "openai" if "error" in refused[1] else "runtime"},
    )


def test_names_in_the_body(stage: Stage, tell: Callable[..., None]) -> None:
    """Can a caller of one component be answered by another's adapter that the body names?"""
    summary, triage = stage.adapters["summary"], stage.adapters["triage"]
    tell(
        base_with_adapters=stage.who(stage.base, adapters=summary),
        base_with_model=stage.who(stage.base, model=summary),
        adapter_with_adapters=stage.who(summary, adapters=triage),
        adapter_with_model=stage.who(summary, model=triage),
    )


def test_refused_invocations(stage: Stage, tell: Callable[..., None]) -> None:
    """In which words does the runtime refuse an invocation?"""
    requests: dict[str, dict[str, Any]] = {
        "missing_component": {"InferenceComponentName": f"nobody-{stage.run}"},
        "no_component": {},
        "missing_endpoint": {"EndpointName": f"nobody-{stage.run}", "InferenceComponentName": stage.base},
        "empty_object": {"InferenceComponentName": stage.base},
    }
    common = {"EndpointName": stage.endpoint, "ContentType": "application/json", "Body": b"{}"}
    tell(
        **{
            what: stage.attempt(stage.runtime.invoke_endpoint, **common | request)
            for what, request in requests.items()
        }
    )


def metric(stage: Stage, name: str, component: str, statistic: str) -> list[float]:
    """Return the values of a metric of a component, one for each minute since the run began."""
    period = 60
    query = {
        "Id": "m",
        "MetricStat": {
            "Metric": {
                "Namespace": "AWS/SageMaker",
                "MetricName": name,
                "Dimensions": [{"Name": "InferenceComponentName", "Value": component}],
            },
            "Period": period,
            "Stat": statistic,
        },
    }
    found = stage.client("cloudwatch").get_metric_data(
        MetricDataQueries=[query],
        StartTime=math.floor(stage.began / period) * period,
        EndTime=math.ceil(time.time() / period + 1) * period,
    )
    return list(found["MetricDataResults"][0]["Values"])


def test_load_of_adapters(stage: Stage, tell: Callable[..., None]) -> None:
    """Does the load of adapters count as their base's, and has an idle base a value?"""
    adapter = stage.create("measured")
    own = sum(metric(stage, "InvocationsPerCopy", stage.base, "Sum"))
    invocations = 60
    for _ in range(invocations):
        stage.ask(adapter, PROMPTS[0])

    def counted() -> bool:
        return sum(metric(stage, "InvocationsPerCopy", stage.base, "Sum")) >= own + invocations

    of_the_base = stage.late(counted)
    lowest = min(metric(stage, "InvocationsPerCopy", stage.base, "Minimum"), default=None)
    tell(
        of_the_adapter=metric(stage, "Invocations", adapter, "Sum"),
        settings={
            "adapter_load": "base" if of_the_base else "adapter",
            "idle_invocations": "zero" if lowest == 0 else "none",
        },
    )


def test_log_groups(stage: Stage, tell: Callable[..., None]) -> None:
    """Has an adapter a log group of its own?"""
    logs, group = stage.client("logs"), f"/aws/sagemaker/InferenceComponents/{stage.adapters['summary']}"
    stage.who(stage.adapters["summary"])
    own = stage.late(lambda: bool(logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]))
    tell(settings={"adapter_logs": "adapter" if own else "base"})

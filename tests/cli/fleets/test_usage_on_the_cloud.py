"""The tokens that are counted equal those that the servers counted and those that the answers tell."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from adapter_fleet.aws.usage_reader import UsageReader
from adapter_fleet.usage.usage_table import ANSWERED, DAY, grouped, summed
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import ByHand, client

pytestmark = pytest.mark.integration

REQUESTS = 500
PROMPTS = ("Ticket: the keyboard is broken.", "Answer:", "Ticket: a refund, please. Answer:")


def test_tokens_of_500_requests_are_counted_exactly(cloud: LocalCloud) -> None:
    with ByHand(cloud) as made:
        adapters = [made.adapter(name) for name in ("summary", "shout", "triage")]
        components = [made.base, *adapters]
        runtime = client(cloud, "sagemaker-runtime")

        def ask(number: int) -> tuple[str, int, int]:
            component = components[number % len(components)]
            body = {"prompt": PROMPTS[number % len(PROMPTS)], "max_tokens": 1 + number % 5, "temperature": 0}
            answer = runtime.invoke_endpoint(
                EndpointName=made.endpoint,
                InferenceComponentName=component,
                ContentType="application/json",
                Body=json.dumps(body),
            )
            told = json.loads(answer["Body"].read())["usage"]
            return component, told["prompt_tokens"], told["completion_tokens"]

        before = cloud.admin.tokens()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(REQUESTS)))
        prompts, completions, requests = Counter[str](), Counter[str](), Counter[str]()
        for component, prompt, completion in answers:
            prompts[component] += prompt
            completions[component] += completion
            requests[component] += 1

        names = {component: component for component in components}
        reader = UsageReader(*(client(cloud, service) for service in ("cloudwatch", "logs")))
        end = time.time()
        for _ in range(60):
            table = reader.table(names, made.base, end // DAY * DAY, time.time() + 60, ANSWERED)
            counted = summed(grouped(table, names).values())
            if sum(usage.prompt_tokens for usage in counted.values()) >= sum(prompts.values()):
                break
            time.sleep(0.5)
        served = cloud.admin.tokens()

    for component in components:
        usage = counted[component]
        assert usage.requests == requests[component]
        assert usage.prompt_tokens == prompts[component]
        assert usage.completion_tokens == completions[component]
        earlier = before.get(component, Counter())
        for kind in ("prompt_tokens", "completion_tokens"):
            assert served[component][kind] - earlier[kind] == getattr(usage, kind)

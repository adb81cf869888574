"""Callers with IAM on: base, native adapters and a fleet's adapter, and who is refused.

The same questions go through boto3 and through httpx; `make qa SUITE=clients` asks with the `openai` client.
"""

import json
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aws_cdk as cdk
import boto3
import httpx
import pytest
from aws_cdk import aws_iam as iam
from botocore.exceptions import ClientError

from adapter_fleet.openai.bearer_auth import BearerAuth
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    IBaseComponent,
    IInferenceComponent,
    MultiAdapterEndpoint,
)
from tests.integration.by_hand import ByHand, adapters, client, prompts
from tests.integration.fleet_stack import Fleet, FleetStack

pytestmark = pytest.mark.integration

# Whom to ask, and whose answer it should be: a key of `answers` in prompts.json.
ANSWERS = {"base": "base", "triage": "triage", "summary": "summary", "shout": "shout", "acme": "summary-v2"}
FLEETS = {"Tenants": Fleet(adapters={"acme": "summary-v2"})}
PROMPT = prompts()[0]


class ChatStack(FleetStack):
    """A stack with callers of a base model, of three native adapters and of one of a fleet."""

    def _add_to(self, stack: cdk.Stack, endpoint: IBaseComponent) -> None:
        assert isinstance(endpoint, MultiAdapterEndpoint)
        fleet = stack.node.find_child("Tenants")
        assert isinstance(fleet, AdapterFleet)
        components: dict[str, IInferenceComponent] = {"base": endpoint, "acme": fleet.adapter("acme")}
        for name in ("triage", "summary", "shout"):
            artifact = AdapterArtifact.from_uri(self.archives.uri(name))
            components[name] = endpoint.add_adapter(name.title(), artifact=artifact)
        callers = {
            name: iam.Role(stack, name, assumed_by=iam.AccountRootPrincipal())
            for name in ("Caller", "TriageCaller")
        }
        for component in components.values():
            component.grant_invoke(callers["Caller"], bearer_token=True)
        components["triage"].grant_invoke(callers["TriageCaller"])
        outputs = {name: component.openai_base_url for name, component in components.items()}
        outputs |= {f"{name}Component": component.component_name for name, component in components.items()}
        outputs |= {f"{name}Arn": caller.role_arn for name, caller in callers.items()}
        for key, value in outputs.items():
            cdk.CfnOutput(stack, key, value=value)


@dataclass(frozen=True)
class Deployed:
    """The stack on a cloud that enforces IAM, and its outputs."""

    stack: ChatStack
    outputs: Mapping[str, str]

    @property
    def cloud(self) -> LocalCloud:
        return self.stack.cloud

    def session(self, caller: str) -> boto3.Session:
        """A session of one of the app's roles."""
        given = client(self.cloud, "sts").assume_role(
            RoleArn=self.outputs[f"{caller}Arn"], RoleSessionName="chat"
        )["Credentials"]
        return boto3.Session(
            given["AccessKeyId"],
            given["SecretAccessKey"],
            given["SessionToken"],
            region_name=self.cloud.environment["AWS_DEFAULT_REGION"],
        )

    def url(self, name: str) -> str:
        """The output of a component's URL, at the cloud's own address."""
        address = urlsplit(self.outputs[name])
        assert address.hostname == "runtime.sagemaker.us-east-1.amazonaws.com"
        return f"{self.cloud.url}{address.path}"

    def model(self, name: str) -> str:
        return "" if name == "base" else self.outputs[f"{name}Component"]


@pytest.fixture(scope="module")
def deployed(guarded: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    stack = ChatStack(guarded, tmp_path_factory.mktemp("chat"))
    guarded.admin.scale_waits(0.1)
    created = stack.create(FLEETS).succeeded()
    yield Deployed(stack, created.outputs)
    stack.delete().succeeded()
    guarded.admin.scale_waits(1)


def body(deployed: Deployed, name: str, *, stream: bool = False) -> dict[str, Any]:
    return {
        "model": deployed.model(name),
        "messages": [{"role": "user", "content": PROMPT["ticket"]}],
        "max_tokens": 60,
        "temperature": 0,
        "stream": stream,
    }


def post(deployed: Deployed, name: str, *, stream: bool = False, auth: Any = None) -> httpx.Response:
    """Send a chat by httpx, as the caller with all grants unless another one signs."""
    with httpx.Client(
        base_url=deployed.url(name),
        auth=auth or BearerAuth(deployed.session("Caller")),
        verify=ssl.create_default_context(cafile=deployed.cloud.environment["AWS_CA_BUNDLE"]),
        timeout=60,
    ) as http:
        return http.post("/chat/completions", json=body(deployed, name, stream=stream))


def invoke(deployed: Deployed, name: str) -> str:
    """Ask a component as the caller that was granted one, for a stream and for a whole answer."""
    runtime = deployed.session("TriageCaller").client(
        "sagemaker-runtime",
        endpoint_url=deployed.cloud.url,
        verify=deployed.cloud.environment["AWS_CA_BUNDLE"],
    )
    request: Any = {
        "EndpointName": deployed.outputs["EndpointName"],
        "InferenceComponentName": deployed.outputs[f"{name}Component"],
        "ContentType": "application/json",
        "Body": json.dumps({"inputs": PROMPT["prompt"], "parameters": {"max_new_tokens": 60}}),
    }
    response = runtime.invoke_endpoint(**request)
    assert list(runtime.invoke_endpoint_with_response_stream(**request)["Body"])
    return str(json.loads(response["Body"].read())["generated_text"])


class TestGrants:
    def test_caller_may_invoke_the_adapter_it_was_granted(self, deployed: Deployed) -> None:
        assert invoke(deployed, "triage") == PROMPT["answers"]["triage"]

    @pytest.mark.parametrize("name", ["shout", "base", "acme"])
    def test_caller_is_denied_what_it_was_not_granted(self, deployed: Deployed, name: str) -> None:
        with pytest.raises(ClientError, match=f"AccessDenied.*{deployed.model(name).lower()}"):
            invoke(deployed, name)

    def test_execution_role_without_access_to_the_model_makes_the_base_fail_with_that_reason(
        self, guarded: LocalCloud
    ) -> None:
        with pytest.raises(AssertionError, match="AccessDenied"), ByHand(guarded):
            pass  # its role has no policy at all


def test_command_names_the_same_address_and_its_token_is_taken(deployed: Deployed) -> None:
    keys = deployed.session("Caller").get_credentials()
    assert keys is not None
    caller = {
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
        "AWS_SESSION_TOKEN": str(keys.token),
    }
    described = json.loads(
        adapters(deployed.cloud, "describe", "-c", deployed.model("triage"), "--json").stdout
    )
    assert (described["base_url"], described["model"]) == (deployed.url("triage"), deployed.model("triage"))
    token = adapters(deployed.cloud, "token", **caller).stdout.strip()

    def with_token(request: httpx.Request) -> httpx.Request:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    answer = post(deployed, "triage", auth=with_token)
    assert answer.json()["choices"][0]["message"]["content"] == PROMPT["answers"]["triage"]


@pytest.mark.parametrize("name", ANSWERS)
def test_component_answers_whole_and_streamed(deployed: Deployed, name: str) -> None:
    expected = PROMPT["answers"][ANSWERS[name]]
    assert post(deployed, name).json()["choices"][0]["message"]["content"] == expected
    lines = [line.removeprefix("data: ") for line in post(deployed, name, stream=True).text.splitlines()]
    chunks = [json.loads(line) for line in lines if line.startswith("{")]
    pieces = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
    assert "".join(filter(None, pieces)) == expected
    assert len(pieces) > 3

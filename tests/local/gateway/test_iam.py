"""What callers may do where IAM is enforced."""

import json
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from local_sagemaker.gateway.iam import _trusts_sagemaker, further_permissions, request_context
from local_sagemaker.server import LocalCloud
from tests.local.conftest import MakeUser, boto_client
from tests.local.credentials import allow, bearer_token, make_keys, policy
from tests.local.stacks import Bucket, Stack, serving, until

ARN = "arn:aws:sagemaker:us-east-1:000000000000"
ENDPOINT = f"{ARN}:endpoint/guarded"
SERVICE_TRUST = {
    "Effect": "Allow",
    "Action": "sts:AssumeRole",
    "Principal": {"Service": "sagemaker.amazonaws.com"},
}


@pytest.fixture(scope="module")
def bucket(guarded: LocalCloud) -> Bucket:
    return Bucket(boto_client(guarded, "s3"))


@pytest.fixture(scope="module")
def deployed(guarded: LocalCloud, bucket: Bucket) -> Stack:
    """The endpoint "guarded" with two adapters; its execution role may read the bucket and no more."""
    iam = boto_client(guarded, "iam")
    iam.create_role(RoleName="Execution", AssumeRolePolicyDocument=policy(SERVICE_TRUST))
    objects = [f"arn:aws:s3:::{bucket.name}", f"arn:aws:s3:::{bucket.name}/*"]
    iam.put_role_policy(
        RoleName="Execution",
        PolicyName="read",
        PolicyDocument=policy(allow(["s3:GetObject", "s3:ListBucket"], objects)),
    )
    stack = Stack(boto_client(guarded, "cloudformation"), "guarded")
    resources = serving("guarded", bucket, {"one": bucket.adapter("1"), "two": bucket.adapter("2")})
    resources["Endpoint"]["Properties"]["EndpointName"] = "guarded"
    resources["Two"]["Properties"]["Tags"] = [{"Key": "team", "Value": "blue"}]
    assert stack.create(resources) == "CREATE_COMPLETE"
    return stack


def invoke(client: Callable[[str], Any], component: str) -> Any:
    answer = client("sagemaker-runtime").invoke_endpoint(
        EndpointName="guarded", InferenceComponentName=f"guarded-{component}", Body=b"{}"
    )
    return json.loads(answer["Body"].read())["adapter"]


def denied(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as refused:
        call()
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    return str(refused.value)


def test_invocation_is_allowed_by_endpoint_component_tag_and_action(deployed: Stack, user: MakeUser) -> None:
    components = f"{ARN}:inference-component/*"
    blue = {"StringEquals": {"aws:ResourceTag/team": "blue"}}
    invokes_blue = allow("sagemaker:InvokeEndpoint", components, **blue)
    caller = user(allow("sagemaker:InvokeEndpoint", ENDPOINT), invokes_blue)
    assert invoke(caller, "two") == "2"
    denied(lambda: invoke(caller, "one"))
    denied(lambda: invoke(user(invokes_blue), "two"))
    # Streams have an action of their own.
    request = {"EndpointName": "guarded", "InferenceComponentName": "guarded-two", "Body": b"{}"}
    runtime = caller("sagemaker-runtime")
    denied(lambda: runtime.invoke_endpoint_with_response_stream(**request))


Chat = Callable[..., httpx.Response]


@pytest.fixture
def chat(guarded: LocalCloud, deployed: Stack) -> Iterator[Chat]:
    """Asks an adapter by the OpenAI path, with a token of some keys."""
    path = "/endpoints/guarded/inference-components/guarded-one/openai/v1/chat/completions"
    trusted = ssl.create_default_context(cafile=guarded.environment.get("AWS_CA_BUNDLE"))
    with httpx.Client(base_url=guarded.url, verify=trusted, timeout=60) as client:

        def ask(*keys: str) -> httpx.Response:
            return client.post(path, headers={"Authorization": f"Bearer {bearer_token(*keys)}"}, json={})

        yield ask


def test_chat_needs_the_token_the_endpoint_and_the_component(guarded: LocalCloud, chat: Chat) -> None:
    iam = boto_client(guarded, "iam")
    component = f"{ARN}:inference-component/guarded-one"
    statements = {
        "sagemaker:CallWithBearerToken on resource: * ": allow("sagemaker:CallWithBearerToken", "*"),
        f"sagemaker:InvokeEndpoint on resource: {ENDPOINT} ": allow("sagemaker:InvokeEndpoint", ENDPOINT),
        f"sagemaker:InvokeEndpoint on resource: {component} ": allow("sagemaker:InvokeEndpoint", component),
    }
    assert chat(*make_keys(iam, *statements.values())).json()["adapter"] == "1"
    for missing in statements:
        keys = make_keys(iam, *(statement for name, statement in statements.items() if name != missing))
        answer = chat(*keys)
        assert (answer.status_code, answer.json()["__type"]) == (403, "AccessDeniedException")
        assert missing in answer.json()["Message"]
        assert answer.json()["Message"].startswith("User: arn:aws:iam::000000000000:user/")


TAGGED = {"InferenceComponentName": "One", "EndpointName": "Guarded", "Tags": [{"Key": "k", "Value": "v"}]}


@pytest.mark.parametrize(
    ("operation", "request_", "needed"),
    [
        (
            "CreateInferenceComponent",
            TAGGED,
            [("CreateInferenceComponent", ENDPOINT), ("AddTags", f"{ARN}:inference-component/one")],
        ),
        (
            "UpdateEndpoint",
            {"EndpointName": "Guarded", "EndpointConfigName": "Other"},
            [("UpdateEndpoint", f"{ARN}:endpoint-config/other")],
        ),
        ("CreateModel", {"ModelName": "one", "Tags": []}, []),
        ("AddTags", {"ResourceArn": ENDPOINT, "Tags": TAGGED["Tags"]}, []),
    ],
)
def test_call_needs_permissions_on_all_that_it_touches(
    operation: str, request_: dict[str, Any], needed: list[tuple[str, str]]
) -> None:
    body = json.dumps(request_).encode()
    found = further_permissions(operation, body, region="us-east-1", account="000000000000")
    assert list(found) == needed
    # Tags of a creation can be told from those added later.
    assert request_context(operation, body)["sagemaker:TaggingAction"] == operation


def test_role_that_does_not_trust_the_service_is_the_failure_reason(
    guarded: LocalCloud, bucket: Bucket
) -> None:
    trust = SERVICE_TRUST | {"Action": "sts:Tag*"}
    iam = boto_client(guarded, "iam")
    role = iam.create_role(RoleName="NotTrusting", AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    stack = Stack(boto_client(guarded, "cloudformation"), "not-trusting")
    resources = serving(stack.name, bucket, {})
    resources["Model"]["Properties"]["ExecutionRoleArn"] = role
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    (reason,) = stack.reasons("CREATE_FAILED")
    assert "Could not assume role" in reason
    assert role in reason
    stack.delete()


@pytest.mark.parametrize(
    ("changes", "trusted"),
    [
        ({}, True),
        ({"Effect": "Deny"}, False),
        ({"Principal": {"Service": "states.amazonaws.com"}}, False),
        ({"Action": "sts:Tag*"}, False),
        ({"Action": ["s3:GetObject", "*"]}, True),
        ({"Action": "sts:assumerole"}, True),
        ({"Action": [], "NotAction": "sts:TagSession"}, True),
    ],
)
def test_trust_is_for_the_service_and_for_actions_that_match(changes: dict[str, Any], trusted: bool) -> None:
    assert _trusts_sagemaker(policy(SERVICE_TRUST | changes)) is trusted


def test_role_is_passed_without_pass_role(deployed: Stack, user: MakeUser) -> None:
    """AWS denies it; `docs/guides/divergences.md` says so."""
    user(allow("sagemaker:CreateModel", "*"))("sagemaker").create_model(
        ModelName="passed",
        ExecutionRoleArn="arn:aws:iam::000000000000:role/Execution",
        PrimaryContainer={"Image": "image"},
    )


def test_state_machine_calls_without_a_permission_of_its_role(guarded: LocalCloud) -> None:
    """AWS denies it; `docs/guides/divergences.md` says so."""
    trust = SERVICE_TRUST | {"Principal": {"Service": "states.amazonaws.com"}}
    iam = boto_client(guarded, "iam")
    role = iam.create_role(RoleName="Powerless", AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
    call = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:dynamodb:listTables", "End": True}
    machines = boto_client(guarded, "stepfunctions")
    machine = machines.create_state_machine(
        name="powerless", definition=json.dumps({"StartAt": "Call", "States": {"Call": call}}), roleArn=role
    )["stateMachineArn"]
    execution = machines.start_execution(stateMachineArn=machine)["executionArn"]
    until(lambda: machines.describe_execution(executionArn=execution)["status"] == "SUCCEEDED")


SCALED = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "inference-component/base",
    "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
}


@pytest.mark.parametrize(
    ("resource", "answer"),
    [
        ("arn:aws:application-autoscaling:us-east-1:000000000000:scalable-target/*", "AccessDenied"),
        ("*", "Inference component doesn't exist"),
    ],
)
def test_permission_is_needed_on_all_targets(user: MakeUser, resource: str, answer: str) -> None:
    allowed = {"Effect": "Allow", "Action": "application-autoscaling:*", "Resource": resource}
    with pytest.raises(ClientError, match=answer):
        user(allowed)("application-autoscaling").register_scalable_target(
            **SCALED, MinCapacity=1, MaxCapacity=2
        )

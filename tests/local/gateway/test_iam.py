from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.gateway.iam import _trusts_sagemaker
from local_sagemaker.server import LocalCloud
from tests.local.conftest import boto_client
from tests.local.iam_users import allow, policy
from tests.local.stacks import Bucket, Stack, serving

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


def test_caller_of_one_adapter_is_denied_the_other_and_the_base(
    deployed: Stack, user: Callable[..., Callable[[str], Any]]
) -> None:
    caller = user(allow("sagemaker:InvokeEndpoint", [ENDPOINT, f"{ARN}:inference-component/guarded-one"]))
    assert invoke(caller, "one") == "1"
    assert f"{ARN}:inference-component/guarded-two" in denied(lambda: invoke(caller, "two"))
    denied(lambda: invoke(caller, "base"))


def test_caller_needs_the_endpoint_too(deployed: Stack, user: Callable[..., Callable[[str], Any]]) -> None:
    caller = user(allow("sagemaker:InvokeEndpoint", f"{ARN}:inference-component/*"))
    denied(lambda: invoke(caller, "one"))


def test_streaming_is_an_action_of_its_own(
    deployed: Stack, user: Callable[..., Callable[[str], Any]]
) -> None:
    caller = user(allow("sagemaker:InvokeEndpoint", "*"))("sagemaker-runtime")
    request = {"EndpointName": "guarded", "InferenceComponentName": "guarded-one", "Body": b"{}"}
    denied(lambda: caller.invoke_endpoint_with_response_stream(**request))


def test_adapter_can_be_allowed_by_its_tag(
    deployed: Stack, user: Callable[..., Callable[[str], Any]]
) -> None:
    blue = {"StringEquals": {"aws:ResourceTag/team": "blue"}}
    caller = user(
        allow("sagemaker:InvokeEndpoint", ENDPOINT),
        allow("sagemaker:InvokeEndpoint", f"{ARN}:inference-component/*", **blue),
    )
    assert invoke(caller, "two") == "2"
    denied(lambda: invoke(caller, "one"))


def test_control_plane_is_allowed_by_resource(
    deployed: Stack, user: Callable[..., Callable[[str], Any]]
) -> None:
    actions = ["sagemaker:DescribeInferenceComponent", "sagemaker:UpdateInferenceComponent"]
    sagemaker = user(allow(actions, f"{ARN}:inference-component/guarded-one"))("sagemaker")
    sagemaker.describe_inference_component(InferenceComponentName="guarded-one")
    denied(lambda: sagemaker.describe_inference_component(InferenceComponentName="guarded-two"))
    denied(lambda: sagemaker.delete_inference_component(InferenceComponentName="guarded-one"))
    denied(lambda: sagemaker.describe_endpoint(EndpointName="guarded"))
    denied(sagemaker.list_inference_components)


MINE = [{"Key": "fleet-uid", "Value": "mine"}]
OTHERS = [{"Key": "fleet-uid", "Value": "others"}]


def of_fleet(key: str) -> dict[str, Any]:
    return {"StringEquals": {f"aws:{key}/fleet-uid": "mine"}}


def create(sagemaker: Any, bucket: Bucket, tags: list[dict[str, str]]) -> str:
    name = f"fleet-{time.monotonic_ns()}"
    sagemaker.create_inference_component(
        InferenceComponentName=name,
        EndpointName="guarded",
        Specification={
            "BaseInferenceComponentName": "guarded-base",
            "Container": {"ArtifactUrl": bucket.adapter("1")},
        },
        **({"Tags": tags} if tags else {}),
    )
    wait(sagemaker, name)
    return name


def wait(sagemaker: Any, name: str) -> None:
    """Until a component is neither being created nor updated."""
    while sagemaker.describe_inference_component(InferenceComponentName=name)[
        "InferenceComponentStatus"
    ].endswith("ing"):
        time.sleep(0.02)


@pytest.fixture
def reconciler(deployed: Stack, user: Callable[..., Callable[[str], Any]]) -> Any:
    """What may write the adapters with its fleet's tag, on one endpoint, and no others."""
    components = f"{ARN}:inference-component/*"
    return user(
        allow("sagemaker:DescribeInferenceComponent", components),
        allow("sagemaker:CreateInferenceComponent", [ENDPOINT, components], **of_fleet("RequestTag")),
        allow("sagemaker:AddTags", components, **of_fleet("RequestTag")),
        allow(
            ["sagemaker:UpdateInferenceComponent", "sagemaker:DeleteInferenceComponent"],
            components,
            **of_fleet("ResourceTag"),
        ),
    )("sagemaker")


def test_component_can_be_created_with_the_tag_that_is_asked_for_alone(
    reconciler: Any, bucket: Bucket
) -> None:
    create(reconciler, bucket, MINE)
    denied(lambda: create(reconciler, bucket, OTHERS))
    denied(lambda: create(reconciler, bucket, []))


def test_component_can_be_changed_by_its_tag_alone(
    guarded: LocalCloud, reconciler: Any, bucket: Bucket
) -> None:
    root = boto_client(guarded, "sagemaker")
    mine, others = create(root, bucket, MINE), create(root, bucket, OTHERS)
    specification = {"Container": {"ArtifactUrl": bucket.adapter("2")}}
    reconciler.update_inference_component(InferenceComponentName=mine, Specification=specification)
    denied(
        lambda: reconciler.update_inference_component(
            InferenceComponentName=others, Specification=specification
        )
    )
    denied(lambda: reconciler.delete_inference_component(InferenceComponentName=others))
    wait(root, mine)
    reconciler.delete_inference_component(InferenceComponentName=mine)


def test_creating_a_component_needs_the_endpoint_the_component_and_its_tags(
    deployed: Stack, bucket: Bucket, user: Callable[..., Callable[[str], Any]]
) -> None:
    components = f"{ARN}:inference-component/*"
    needed = {
        "to perform: sagemaker:CreateInferenceComponent": allow(
            "sagemaker:CreateInferenceComponent", components
        ),
        f"on resource: {ENDPOINT}": allow("sagemaker:CreateInferenceComponent", ENDPOINT),
        "sagemaker:AddTags on resource": allow("sagemaker:AddTags", components),
    }
    for missing in needed:
        sagemaker = user(*(each for name, each in needed.items() if name != missing))("sagemaker")
        assert missing in denied(functools.partial(create, sagemaker, bucket, MINE))


def test_tags_of_a_creation_can_be_told_from_those_added_later(
    deployed: Stack, bucket: Bucket, user: Callable[..., Callable[[str], Any]]
) -> None:
    on_create = {"StringEquals": {"sagemaker:TaggingAction": "CreateInferenceComponent"}}
    sagemaker = user(
        allow(["sagemaker:CreateInferenceComponent", "sagemaker:DescribeInferenceComponent"], "*"),
        allow("sagemaker:AddTags", "*", **on_create),
    )("sagemaker")
    arn = f"{ARN}:inference-component/{create(sagemaker, bucket, MINE)}"
    denied(lambda: sagemaker.add_tags(ResourceArn=arn, Tags=OTHERS))


@pytest.mark.parametrize(
    ("role", "trust"),
    [("NoReader", SERVICE_TRUST), ("NotTrusting", SERVICE_TRUST | {"Action": "sts:Tag*"})],
)
def test_mistake_in_the_execution_role_is_the_failure_reason(
    guarded: LocalCloud, bucket: Bucket, role: str, trust: dict[str, Any]
) -> None:
    iam = boto_client(guarded, "iam")
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=policy(trust))
    stack = Stack(boto_client(guarded, "cloudformation"), f"stack-{role.lower()}")
    resources = serving(stack.name, bucket, {})
    resources["Model"]["Properties"]["ExecutionRoleArn"] = f"arn:aws:iam::000000000000:role/{role}"
    assert stack.create(resources) == "ROLLBACK_COMPLETE"
    (reason,) = stack.reasons("CREATE_FAILED")
    assert f"role/{role}" in reason
    assert ("Could not access model data" in reason) == (role == "NoReader")
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


def test_role_is_passed_without_pass_role(deployed: Stack, user: Callable[..., Callable[[str], Any]]) -> None:
    """AWS denies it; `docs/guides/divergences.md` says so."""
    user(allow("sagemaker:CreateModel", "*"))("sagemaker").create_model(
        ModelName="passed",
        ExecutionRoleArn="arn:aws:iam::000000000000:role/Execution",
        PrimaryContainer={"Image": "image"},
    )


def test_state_machine_calls_without_a_permission_of_its_role(guarded: LocalCloud) -> None:
    """AWS denies it; `docs/guides/divergences.md` says so."""
    trust = SERVICE_TRUST | {"Principal": {"Service": "states.amazonaws.com"}}
    role = boto_client(guarded, "iam").create_role(
        RoleName="Powerless", AssumeRolePolicyDocument=policy(trust)
    )["Role"]["Arn"]
    call = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:dynamodb:listTables", "End": True}
    machines = boto_client(guarded, "stepfunctions")
    machine = machines.create_state_machine(
        name="powerless", definition=json.dumps({"StartAt": "Call", "States": {"Call": call}}), roleArn=role
    )["stateMachineArn"]
    execution = machines.start_execution(stateMachineArn=machine)["executionArn"]
    deadline = time.monotonic() + 20
    while (status := machines.describe_execution(executionArn=execution)["status"]) == "RUNNING":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert status == "SUCCEEDED"

"""Where the embedded cloud differs from AWS: these tests pass here and would fail on AWS.

`divergences.py` says which test holds which line of the guide.
"""

from __future__ import annotations

import dataclasses
import io
import json
import re
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import PROFILES, Settings
from tests.local.divergences import DIFFERENCES, ONLY_UNDER_KIND, SETTINGS
from tests.local.stacks import Bucket, until

GUIDES = Path(__file__).parents[2] / "docs/guides"
GUIDE, CLOUD_GUIDE = GUIDES / "divergences.md", GUIDES / "embedded-cloud.md"
KIND_ONLY = "[kind only](divergences.md#only-under-kind)"
NOBODY = "arn:aws:iam::000000000000:role/Nobody"  # there is no such role
QUICK_WAITER = {"Delay": 0.1}

KNOWN = {
    "profile",
    "time_scale",
    "dialect",
    "engine_command",
    "load_from_cpu_seconds",
    "load_from_disk_seconds",
    "component_create_seconds",
    "component_update_seconds",
    "component_delete_seconds",
    "endpoint_seconds",
}
"""The settings about which AWS leaves nothing open: what serves copies, and times."""

Client = Callable[..., Any]


def refusal(call: Callable[..., Any], **request: Any) -> str | None:
    try:
        call(**request)
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


@dataclass(frozen=True, kw_only=True)
class Deployed:
    """An endpoint `llm` with 500 instances, a base model `base` and an adapter `summary`."""

    variant: dict[str, Any]
    base: dict[str, Any]
    seconds: float


@pytest.fixture(scope="module")
def deployed(client: Client, bucket: Bucket) -> Deployed:
    sagemaker = client("sagemaker")

    def settled(component: str) -> dict[str, Any]:
        def described() -> dict[str, Any]:
            found: dict[str, Any] = sagemaker.describe_inference_component(InferenceComponentName=component)
            return {} if found["InferenceComponentStatus"].endswith("ing") else found

        return until(described)

    begun = time.monotonic()
    sagemaker.create_model(
        ModelName="llm",
        ExecutionRoleArn=NOBODY,
        PrimaryContainer={
            "Image": "nowhere.example/llm:1",
            "ModelDataUrl": f"s3://{bucket.name}/model.tar.gz",
        },
        VpcConfig={"SecurityGroupIds": ["sg-0"], "Subnets": ["subnet-0"]},
    )
    variant = {"VariantName": "AllTraffic", "InstanceType": "ml.p5.48xlarge", "InitialInstanceCount": 500}
    sagemaker.create_endpoint_config(
        EndpointConfigName="llm",
        ExecutionRoleArn=NOBODY,
        ProductionVariants=[variant],
        KmsKeyId="no-such-key",
        DataCaptureConfig={
            "EnableCapture": True,
            "InitialSamplingPercentage": 100,
            "DestinationS3Uri": "s3://captured/",
            "CaptureOptions": [{"CaptureMode": "InputAndOutput"}],
        },
    )
    sagemaker.create_endpoint(EndpointName="llm", EndpointConfigName="llm")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="llm", WaiterConfig=QUICK_WAITER)
    sagemaker.create_inference_component(
        InferenceComponentName="base",
        EndpointName="llm",
        VariantName="AllTraffic",
        Specification={"ModelName": "llm", "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 1024}},
        RuntimeConfig={"CopyCount": 1},
    )
    base = settled("base")
    sagemaker.create_inference_component(
        InferenceComponentName="summary",
        EndpointName="llm",
        VariantName="AllTraffic",
        Specification={
            "BaseInferenceComponentName": "base",
            "Container": {"ArtifactUrl": bucket.adapter("summary")},
        },
    )
    settled("summary")
    return Deployed(variant=variant, base=base, seconds=time.monotonic() - begun)


# Time and hardware


def test_endpoint_is_there_within_a_minute(deployed: Deployed) -> None:
    assert deployed.seconds < 60


def test_any_number_of_instances_comes(client: Client, deployed: Deployed) -> None:
    sagemaker = client("sagemaker")
    many = {"EndpointConfigName": "many", "ExecutionRoleArn": NOBODY}
    sagemaker.create_endpoint_config(**many, ProductionVariants=[deployed.variant])
    sagemaker.create_endpoint(EndpointName="many", EndpointConfigName="many")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="many", WaiterConfig=QUICK_WAITER)
    [variant] = sagemaker.describe_endpoint(EndpointName="many")["ProductionVariants"]
    assert variant["CurrentInstanceCount"] == 500
    sagemaker.delete_endpoint(EndpointName="many")


# Accepted without effect


def test_image_is_stored_alone(deployed: Deployed) -> None:
    assert deployed.base["InferenceComponentStatus"] == "InService"
    # AWS never sends this header.
    assert "x-local-sagemaker-engine" in deployed.base["ResponseMetadata"]["HTTPHeaders"]


def test_networks_keys_and_roles_need_not_exist(client: Client, deployed: Deployed) -> None:
    sagemaker = client("sagemaker")
    assert sagemaker.describe_model(ModelName="llm")["VpcConfig"]["Subnets"] == ["subnet-0"]
    assert sagemaker.describe_endpoint(EndpointName="llm")["EndpointStatus"] == "InService"


def test_nothing_is_captured(client: Client, deployed: Deployed) -> None:
    assert "DataCaptureConfig" not in client("sagemaker").describe_endpoint(EndpointName="llm")
    s3 = client("s3")
    s3.create_bucket(Bucket="captured")
    invocation = {"EndpointName": "llm", "InferenceComponentName": "summary"}
    client("sagemaker-runtime").invoke_endpoint(**invocation, Body=b"{}")
    assert s3.list_objects_v2(Bucket="captured")["KeyCount"] == 0


def test_new_configuration_is_one_step(client: Client, deployed: Deployed) -> None:
    """This traffic shift waits for ten minutes on AWS."""
    sagemaker = client("sagemaker")
    variant = deployed.variant | {"InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1}
    sagemaker.create_endpoint_config(
        EndpointConfigName="smaller", ExecutionRoleArn=NOBODY, ProductionVariants=[variant]
    )
    sagemaker.create_endpoint(EndpointName="shifted", EndpointConfigName="llm")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="shifted", WaiterConfig=QUICK_WAITER)
    shift = {
        "Type": "CANARY",
        "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 10},
        "WaitIntervalInSeconds": 600,
    }
    sagemaker.update_endpoint(
        EndpointName="shifted",
        EndpointConfigName="smaller",
        DeploymentConfig={"BlueGreenUpdatePolicy": {"TrafficRoutingConfiguration": shift}},
    )
    waiter.wait(EndpointName="shifted", WaiterConfig=QUICK_WAITER)
    assert sagemaker.describe_endpoint(EndpointName="shifted")["EndpointConfigName"] == "smaller"
    sagemaker.delete_endpoint(EndpointName="shifted")


def test_nothing_is_throttled(client: Client, deployed: Deployed) -> None:
    sagemaker = client("sagemaker")
    for _ in range(100):
        sagemaker.describe_endpoint(EndpointName="llm")


# Refused here


def test_model_in_a_variant_and_asynchronous_endpoints_are_refused(
    client: Client, deployed: Deployed
) -> None:
    create = client("sagemaker").create_endpoint_config
    classic = deployed.variant | {"ModelName": "llm"}
    assert refusal(create, EndpointConfigName="classic", ProductionVariants=[classic])
    asynchronous = client("sagemaker-runtime").invoke_endpoint_async
    assert refusal(asynchronous, EndpointName="llm", InputLocation="s3://a/b")


def test_rest_of_sagemaker_is_refused(client: Client, deployed: Deployed) -> None:
    sagemaker = client("sagemaker")
    assert refusal(sagemaker.list_training_jobs) == "UnknownOperationException"
    counts = [{"VariantName": "AllTraffic", "DesiredInstanceCount": 1}]
    capacities = {"EndpointName": "llm", "DesiredWeightsAndCapacities": counts}
    update = sagemaker.update_endpoint_weights_and_capacities
    assert refusal(update, **capacities) == "UnknownOperationException"


@pytest.mark.parametrize(
    ("resource", "dimension", "other"),
    [
        ("endpoint/llm/variant/AllTraffic", "sagemaker:variant:DesiredInstanceCount", {}),
        (
            "inference-component/base",
            "sagemaker:inference-component:DesiredCopyCount",
            {"SuspendedState": {"DynamicScalingInSuspended": True}},
        ),
    ],
)
def test_scaling_of_anything_but_copies_is_refused(
    client: Client, deployed: Deployed, resource: str, dimension: str, other: dict[str, Any]
) -> None:
    target = {"ServiceNamespace": "sagemaker", "ResourceId": resource, "ScalableDimension": dimension}
    register = client("application-autoscaling").register_scalable_target
    assert refusal(register, MinCapacity=1, MaxCapacity=2, **target, **other) == "ValidationException"


def test_tags_of_sagemaker_are_not_in_the_tagging_api(client: Client, deployed: Deployed) -> None:
    sagemaker = client("sagemaker")
    arn = sagemaker.describe_endpoint(EndpointName="llm")["EndpointArn"]
    sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "blue"}])
    tagging = client("resourcegroupstaggingapi")
    found = tagging.get_resources(ResourceTypeFilters=["sagemaker:endpoint"])
    assert found["ResourceTagMappingList"] == []


# Invocations


def test_there_are_no_sessions(client: Client, deployed: Deployed) -> None:
    """AWS gives a stateful container's caller a `NewSessionId`."""
    answer = client("sagemaker-runtime").invoke_endpoint(
        EndpointName="llm", InferenceComponentName="base", Body=b"{}", SessionId="NEW_SESSION"
    )
    assert "NewSessionId" not in answer


def test_bucket_of_another_region_is_found(client: Client, cloud: LocalCloud) -> None:
    """S3 answers with a redirect."""
    client("s3").create_bucket(Bucket="divergent-region")
    elsewhere = boto3.client(
        "s3",
        endpoint_url=cloud.url,
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    found = elsewhere.head_bucket(Bucket="divergent-region")
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 200


# Access


def test_everyone_is_allowed(client: Client, deployed: Deployed) -> None:
    stranger = client("sagemaker", aws_access_key_id="anyone", aws_secret_access_key="anything")
    assert stranger.describe_endpoint(EndpointName="llm")["EndpointStatus"] == "InService"


# Events and logs


def test_models_send_no_events_and_endpoints_have_no_log_group(client: Client, deployed: Deployed) -> None:
    sagemaker, sqs, events = client("sagemaker"), client("sqs"), client("events")
    queue = sqs.create_queue(QueueName="divergences")["QueueUrl"]
    events.put_rule(Name="divergences", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    target = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:000000000000:divergences"}
    events.put_targets(Rule="divergences", Targets=[target])
    sagemaker.create_model(ModelName="silent", ExecutionRoleArn=NOBODY, PrimaryContainer={"Image": "a"})
    sagemaker.create_endpoint(EndpointName="silent", EndpointConfigName="llm")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="silent", WaiterConfig=QUICK_WAITER)
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    events.remove_targets(Rule="divergences", Ids=["queue"])
    seen = [json.loads(message["Body"]) for message in messages]
    assert {event["detail-type"] for event in seen} == {"SageMaker Endpoint State Change"}
    assert [event["detail"]["EndpointStatus"] for event in seen] == ["CREATING", "IN_SERVICE"]
    group = "/aws/sagemaker/Endpoints/llm"
    assert client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    sagemaker.delete_endpoint(EndpointName="silent")


# CloudFormation


def ended(stacks: Any, name: str) -> str:
    """The status of a stack once nothing is in progress."""

    def status() -> str:
        found: str = stacks.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"]
        return "" if found.endswith("PROGRESS") else found

    return until(status)


def test_resources_come_one_after_the_other(client: Client) -> None:
    stacks = client("cloudformation")
    topics = {name: {"Type": "AWS::SNS::Topic"} for name in ("One", "Two")}
    stacks.create_stack(StackName="one-by-one", TemplateBody=json.dumps({"Resources": topics}))
    assert ended(stacks, "one-by-one") == "CREATE_COMPLETE"
    events = stacks.describe_stack_events(StackName="one-by-one")["StackEvents"][::-1]
    ids = [each["LogicalResourceId"] for each in events if each["ResourceType"] == "AWS::SNS::Topic"]
    assert ids == ["One", "One", "Two", "Two"]


def test_component_that_fails_is_deleted_also_without_rollback(client: Client, deployed: Deployed) -> None:
    stacks = client("cloudformation")
    specification = {
        "BaseInferenceComponentName": "base",
        "Container": {"ArtifactUrl": "s3://nowhere/adapter.tar.gz"},
    }
    properties = {"InferenceComponentName": "failed", "EndpointName": "llm", "Specification": specification}
    failed = {"Type": "AWS::SageMaker::InferenceComponent", "Properties": properties}
    stacks.create_stack(
        StackName="failed", TemplateBody=json.dumps({"Resources": {"Failed": failed}}), DisableRollback=True
    )
    assert ended(stacks, "failed") == "CREATE_FAILED"
    describe = client("sagemaker").describe_inference_component
    assert refusal(describe, InferenceComponentName="failed")


def deploy_topic(call: Callable[..., Any], stacks: Any, name: str, display: str) -> str:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": display}}
    call(StackName=name, TemplateBody=json.dumps({"Resources": {"Topic": topic}}))
    return ended(stacks, name)


def test_stack_policies_are_stored(client: Client) -> None:
    stacks = client("cloudformation")
    assert deploy_topic(stacks.create_stack, stacks, "policies", "one") == "CREATE_COMPLETE"
    deny = {"Effect": "Deny", "Action": "Update:*", "Principal": "*", "Resource": "*"}
    stacks.set_stack_policy(StackName="policies", StackPolicyBody=json.dumps({"Statement": [deny]}))
    assert deploy_topic(stacks.update_stack, stacks, "policies", "two") == "UPDATE_COMPLETE"


# Functions, state machines and S3


def test_function_is_a_process_of_this_machine(client: Client) -> None:
    """Whatever runtime and architecture it asks for."""
    code = "import sys\ndef handler(event, context): return sys.executable"
    with zipfile.ZipFile(package := io.BytesIO(), "w") as archive:
        archive.writestr("index.py", code)
    functions = client("lambda")
    functions.create_function(
        FunctionName="which-python",
        Runtime="python3.9",
        Architectures=["arm64"],
        Role=NOBODY,
        Handler="index.handler",
        Code={"ZipFile": package.getvalue()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="which-python")
    python = json.loads(functions.invoke(FunctionName="which-python")["Payload"].read())
    assert python != "/var/lang/bin/python3.9"


# CloudWatch


def test_metrics_that_the_library_does_not_read_are_missing(client: Client, deployed: Deployed) -> None:
    invocation = {"EndpointName": "llm", "InferenceComponentName": "summary"}
    client("sagemaker-runtime").invoke_endpoint(**invocation, Body=b"{}")
    listed = client("cloudwatch").list_metrics
    until(lambda: listed(Namespace="AWS/SageMaker", MetricName="Invocations")["Metrics"])
    assert not listed(Namespace="AWS/SageMaker", MetricName="ConcurrentRequestsPerModel")["Metrics"]


def test_most_functions_of_metric_math_are_refused(client: Client) -> None:
    stat = {"Metric": {"Namespace": "N", "MetricName": "M"}, "Period": 60, "Stat": "Sum"}
    alarm = {
        "AlarmName": "percent",
        "Metrics": [
            {"Id": "percent", "Expression": "RATE(m)", "Period": 60},
            {"Id": "m", "MetricStat": stat, "ReturnData": False},
        ],
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    assert refusal(client("cloudwatch").put_metric_alarm, **alarm) == "ValidationError"


def test_odd_period_of_an_alarm_is_accepted(client: Client) -> None:
    """CloudWatch takes 10, 20 and 30 seconds and whole minutes."""
    client("cloudwatch").put_metric_alarm(
        AlarmName="odd",
        Namespace="N",
        MetricName="M",
        Statistic="Sum",
        Period=45,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
    )


# The guides


def test_every_line_of_the_guide_is_held_by_a_test_and_has_its_source() -> None:
    text, _, _ = GUIDE.read_text().partition("\n## Only under `kind`\n")
    lines = [" ".join(line.split()) for line in re.findall(r"^- (.+(?:\n  .+)*)", text, flags=re.MULTILINE)]
    begins = [re.match(r"\*\*(.+?)\*\*", line) for line in lines]
    assert [begin and begin[1] for begin in begins] == list(DIFFERENCES)
    assert [line for line in lines if not re.search(r"\[[VTI][],/ ]", line)] == []


def rows(guide: Path, heading: str) -> list[tuple[str, ...]]:
    """The rows of the table below a heading, without its head."""
    below = guide.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    [table] = re.findall(r"(?:^\|.*\n)+", below, flags=re.MULTILINE)
    return [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table.splitlines()[2:]]


def test_every_setting_that_no_source_decides_has_a_test_and_its_values_in_the_guide() -> None:
    assert sorted(SETTINGS) == sorted({field.name for field in dataclasses.fields(Settings)} - KNOWN)
    table = rows(CLOUD_GUIDE, "Settings")
    listed = [re.findall(r"`(\w+)`", row[0]) for row in table]
    assert sorted(name for names in listed for name in names) == sorted(SETTINGS)
    for names, (_, *cells) in zip(listed, table, strict=True):
        for profile, cell in zip(PROFILES.values(), cells, strict=True):
            assert cell.startswith(", ".join(shown(getattr(profile, name)) for name in names)), names


def shown(value: object) -> str:
    """A setting's value as `--set` reads it."""
    return f"{value:g}" if type(value) is float else str(value).lower() if type(value) is bool else str(value)


def test_what_holds_under_kind_only_is_marked_in_the_guides_that_the_list_names() -> None:
    promises = rows(GUIDE, "Only under `kind`")
    assert [row[0] for row in promises] == list(ONLY_UNDER_KIND)
    named = {name for row in promises for name in re.findall(r"\(([\w-]+\.md)\)", row[2])}
    guides = [guide for guide in GUIDES.glob("*.md") if KIND_ONLY in guide.read_text()]
    assert named == {guide.name for guide in guides}

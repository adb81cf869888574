import json
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.aws_applicationautoscaling import Schedule

from multi_adapter_inference import (
    AdapterManifest,
    ArtifactSource,
    FunctionHosting,
    MultiAdapterEndpoint,
    ScalingTarget,
)
from multi_adapter_inference.components.scaling import CopyScaling
from tests.constructs.conftest import MakeEndpoint, endpoint_of, warnings_of, write_manifest_into
from tests.constructs.resources import Resources


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> MultiAdapterEndpoint:
    """An endpoint that is scaled to zero and back, between two fleets."""
    folder = tmp_path_factory.mktemp("scaled")
    stack = cdk.Stack(cdk.App(outdir=str(folder / "cdk.out")), "Stack")
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
    endpoint = endpoint_of(
        stack,
        "Llm",
        bucket,
        copy_count=2,
        instance_count=2,
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
    )
    manifest = AdapterManifest.from_file(write_manifest_into(folder))
    endpoint.add_fleet("Before", manifest=manifest, component_prefix="before")
    scaling = endpoint.auto_scale_copies(min=0, max=3)
    endpoint.add_fleet("After", manifest=manifest, component_prefix="after")
    scaling.on_schedule(
        "Morning",
        schedule=Schedule.cron(hour="7", minute="0"),
        min=2,
        time_zone=cdk.TimeZone.EUROPE_BERLIN,
    )
    scaling.on_schedule("Night", schedule=Schedule.cron(hour="20", minute="0"), min=0, max=0)
    cdk.Tags.of(stack).add("team", "search")
    return endpoint


@pytest.fixture(scope="module")
def scaled(endpoint: MultiAdapterEndpoint) -> Resources:
    """The resources of the stack of `endpoint`."""
    return Resources.of(cdk.Stack.of(endpoint))


def test_copies_follow_the_requests_in_progress_by_default(
    endpoint: MultiAdapterEndpoint, scaled: Resources
) -> None:
    target = scaled.only("AWS::ApplicationAutoScaling::ScalableTarget")
    assert target["ResourceId"] == f"inference-component/{endpoint.base_component_name}"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 3)
    policies = scaled.of_type("AWS::ApplicationAutoScaling::ScalingPolicy").values()
    (policy,) = (policy for policy in policies if policy["PolicyType"] == "TargetTrackingScaling")
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"
        },
        "TargetValue": 5,
    }


def test_everything_about_scaling_can_be_chosen(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    key = kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:us-east-1:111122223333:key/abcd")
    make_endpoint().auto_scale_copies(
        min=0,
        max=2,
        target=ScalingTarget.invocations(60),
        scale_in_cooldown=cdk.Duration.minutes(10),
        scale_out_cooldown=cdk.Duration.minutes(1),
        wake_cooldown=cdk.Duration.minutes(20),
        wake_for_adapters=False,
        functions=FunctionHosting(encryption_key=key),
    )
    resources = Resources.of(stack)
    policies = resources.of_type("AWS::ApplicationAutoScaling::ScalingPolicy").values()
    (load,) = (policy for policy in policies if policy["PolicyType"] == "TargetTrackingScaling")
    assert load["TargetTrackingScalingPolicyConfiguration"] == {
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"
        },
        "TargetValue": 60,
        "ScaleInCooldown": 600,
        "ScaleOutCooldown": 60,
    }
    (wake,) = (policy for policy in policies if policy["PolicyType"] == "StepScaling")
    assert wake["StepScalingPolicyConfiguration"]["Cooldown"] == 1200
    assert resources.only("AWS::CloudWatch::Alarm")["MetricName"] == "NoCapacityInvocationFailures"
    assert [
        "KmsKeyArn" in function
        for function in resources.of_type("AWS::Lambda::Function").values()
        if function["Handler"] == "adapter_fleet.lambdas.base_copies.on_event"
    ] == [True]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min": 3, "max": 2}, "'min' should be at most 'max', 2, got 3"),
        ({"min": -1, "max": 2}, "'min' should be at least 0, got -1"),
        ({"min": 1, "max": 2, "wake_cooldown": cdk.Duration.millis(1500)}, "'wake_cooldown' should be whole"),
        ({"min": 0, "max": 0}, "'max' should be at least 1, got 0"),
        ({"min": 2, "max": 2}, "'copy_count', the number of copies at the start, should be from 2 to 2"),
    ],
    # The text of a Duration has its address, which differs between the processes of a run.
    ids=lambda value: " ".join(value) if isinstance(value, dict) else value,
)
def test_wrong_numbers_are_errors(
    refusing: MultiAdapterEndpoint, settings: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as caught:
        refusing.auto_scale_copies(**settings)
    assert str(caught.value).startswith(f"'Stack/Llm': {message}")


@pytest.fixture(scope="module")
def refusing() -> MultiAdapterEndpoint:
    """An endpoint that is never scaled, as all that it is told is wrong."""
    stack = cdk.Stack(cdk.App(), "Stack")
    return endpoint_of(stack, "Llm", s3.Bucket.from_bucket_name(stack, "Bucket", "models"))


def test_second_call_and_load_of_nothing_are_errors(endpoint: MultiAdapterEndpoint) -> None:
    with pytest.raises(ValueError, match="'auto_scale_copies' should be called once"):
        endpoint.auto_scale_copies(min=1, max=2)
    with pytest.raises(ValueError, match="ScalingTarget: 'value' should be above 0, got 0"):
        ScalingTarget.concurrent_requests(0)


def test_request_that_finds_no_copy_starts_one(endpoint: MultiAdapterEndpoint, scaled: Resources) -> None:
    policies = scaled.of_type("AWS::ApplicationAutoScaling::ScalingPolicy")
    (wake,) = (name for name, policy in policies.items() if policy["PolicyType"] == "StepScaling")
    assert policies[wake]["StepScalingPolicyConfiguration"] == {
        "AdjustmentType": "ChangeInCapacity",
        "Cooldown": 900,
        "MetricAggregationType": "Maximum",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
    }
    alarms = list(scaled.of_type("AWS::CloudWatch::Alarm").values())
    assert len(alarms) == 2
    for alarm in alarms:
        assert alarm["AlarmActions"] == [{"Ref": wake}]
        assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (1, 1)
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        assert alarm["TreatMissingData"] == "notBreaching"
    (of_base,) = (alarm for alarm in alarms if "MetricName" in alarm)
    assert of_base["MetricName"] == "NoCapacityInvocationFailures"
    assert (of_base["Namespace"], of_base["Statistic"], of_base["Period"]) == ("AWS/SageMaker", "Sum", 60)
    assert of_base["Dimensions"] == [
        {"Name": "InferenceComponentName", "Value": endpoint.base_component_name}
    ]
    (of_any,) = (alarm for alarm in alarms if "Metrics" in alarm)
    assert "SELECT SUM(NoCapacityInvocationFailures)" in of_any["Metrics"][0]["Expression"]


def test_copies_of_a_deployment_are_those_that_run_and_whatever_updates_the_component_reads_them_again(
    endpoint: MultiAdapterEndpoint, scaled: Resources
) -> None:
    ((reader, properties),) = scaled.of_type("Custom::BaseModelCopies").items()
    base = scaled.only("AWS::SageMaker::InferenceComponent")
    assert base["RuntimeConfig"] == {"CopyCount": {"Fn::GetAtt": [reader, "CopyCount"]}}
    assert (properties["ComponentName"], properties["StartCopies"]) == (endpoint.base_component_name, 2)

    component, model = properties["Component"], scaled.id_of("AWS::SageMaker::Model")
    assert component["Specification"]["modelName"] == {"Fn::GetAtt": [model, "ModelName"]}
    assert component["Tags"] == [{"key": "team", "value": "search"}]


def test_scaling_is_created_after_the_component_and_deleted_before_it(scaled: Resources) -> None:
    base = scaled.id_of("AWS::SageMaker::InferenceComponent")
    target = scaled.id_of("AWS::ApplicationAutoScaling::ScalableTarget")
    assert base in scaled[target]["DependsOn"]
    for policy in scaled.of_type("AWS::ApplicationAutoScaling::ScalingPolicy").values():
        assert policy["ScalingTargetId"] == {"Ref": target}


def test_schedules_change_the_range(scaled: Resources) -> None:
    actions = scaled.only("AWS::ApplicationAutoScaling::ScalableTarget")["ScheduledActions"]
    assert [action["ScalableTargetAction"] for action in actions] == [
        {"MinCapacity": 2},
        {"MinCapacity": 0, "MaxCapacity": 0},
    ]
    assert actions[0]["Timezone"] == "Europe/Berlin"


@pytest.fixture(scope="module")
def unchanged() -> CopyScaling:
    """The scaling of 2 to 3 copies, without any schedule, as all that it is told is wrong."""
    stack = cdk.Stack(cdk.App(), "Stack")
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
    endpoint = endpoint_of(stack, "Llm", bucket, copy_count=2, instance_count=2)
    return endpoint.auto_scale_copies(min=2, max=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "one of 'min', 'max' should be given, got none"),
        ({"min": 0}, "'min' should be at least 1, as nothing would start a copy again, got 0"),
        ({"max": 0}, "'max' should be at least 1, got 0"),
        ({"max": 4}, "'max' should be at most 3, as that many copies fit on the instances"),
        ({"min": 3, "max": 2}, "'min' should be at most 'max', 2, got 3"),
        ({"min": 4}, "'min' should be at most 'max', 3, got 4"),
    ],
    ids=str,
)
def test_schedule_keeps_to_what_is_wired(
    unchanged: CopyScaling, settings: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as caught:
        unchanged.on_schedule("Odd", schedule=Schedule.cron(hour="7", minute="0"), **settings)
    assert str(caught.value).startswith(f"'Stack/Llm/Scaling': {message}")


@pytest.mark.parametrize(("max_instances", "warned"), [(3, False), (2, True)], ids=["room", "no room"])
def test_instances_that_scaling_adds_are_room_for_an_update(
    make_endpoint: MakeEndpoint, max_instances: int, *, warned: bool
) -> None:
    endpoint = make_endpoint(max_instances=max_instances)
    endpoint.auto_scale_copies(min=1, max=2)
    endpoint.endpoint.node.validate()
    assert any("no-room-for-rolling-update" in text for text in warnings_of(endpoint)) is warned


@pytest.mark.parametrize("fleet", ["Before", "After"])
def test_fleet_is_started_when_copies_may_come(
    endpoint: MultiAdapterEndpoint, scaled: Resources, fleet: str
) -> None:
    (rule,) = (
        rule
        for name, rule in scaled.of_type("AWS::Events::Rule").items()
        if f"Llm{fleet}" in name and "new copies" in rule["Description"]
    )
    alarms = scaled.of_type("AWS::CloudWatch::Alarm").values()
    assert rule["EventPattern"] == {
        "source": ["aws.cloudwatch"],
        "detail-type": ["CloudWatch Alarm State Change"],
        "detail": {
            "state": {"value": ["ALARM"]},
            "$or": [
                {
                    "configuration": {
                        "metrics": {
                            "metricStat": {
                                "metric": {
                                    "name": ["ConcurrentRequestsPerCopy", "InvocationsPerCopy"],
                                    "dimensions": {"InferenceComponentName": [endpoint.base_component_name]},
                                }
                            }
                        }
                    }
                },
                {"configuration": {"description": [alarm["AlarmDescription"] for alarm in alarms]}},
            ],
        },
    }
    (target,) = rule["Targets"]
    assert '"trigger":"scaling"' in json.dumps(target["InputTransformer"]).replace("\\", "")

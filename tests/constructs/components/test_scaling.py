import json
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Match, Template
from aws_cdk.aws_applicationautoscaling import Schedule
from cdk_nag import AwsSolutionsChecks

from multi_adapter_inference import (
    AdapterManifest,
    ArtifactSource,
    ComputeRequirements,
    FunctionHosting,
    InstanceType,
    ScalingTarget,
)
from tests.constructs.conftest import Components, MakeEndpoint, Resources, Warnings, WriteManifest

ONE_OF_FOUR = ComputeRequirements(accelerators=1, min_memory=cdk.Size.gibibytes(8))


def only(found: list[dict[str, Any]]) -> dict[str, Any]:
    (resource,) = found
    return dict(resource)


def variant(resources: Resources) -> dict[str, Any]:
    config = only(resources("AWS::SageMaker::EndpointConfig"))
    return dict(config["Properties"]["ProductionVariants"][0])


def test_copies_follow_the_requests_in_progress(make_endpoint: MakeEndpoint, resources: Resources) -> None:
    endpoint = make_endpoint()
    endpoint.auto_scale_copies(min=1, max=3)
    target = only(resources("AWS::ApplicationAutoScaling::ScalableTarget"))["Properties"]
    assert target["ResourceId"] == f"inference-component/{endpoint.base_component_name}"
    assert target["ScalableDimension"] == "sagemaker:inference-component:DesiredCopyCount"
    assert target["ServiceNamespace"] == "sagemaker"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (1, 3)
    assert "AWSServiceRoleForApplicationAutoScaling_SageMakerEndpoint" in json.dumps(target["RoleARN"])
    (policy,) = resources("AWS::ApplicationAutoScaling::ScalingPolicy")
    assert policy["Properties"]["TargetTrackingScalingPolicyConfiguration"] == {
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "SageMakerInferenceComponentConcurrentRequestsPerCopyHighResolution"
        },
        "TargetValue": 5,
    }


def test_copies_may_follow_the_requests_a_minute_with_cool_downs(
    make_endpoint: MakeEndpoint, resources: Resources
) -> None:
    make_endpoint().auto_scale_copies(
        min=1,
        max=2,
        target=ScalingTarget.invocations(60),
        scale_in_cooldown=cdk.Duration.minutes(10),
        scale_out_cooldown=cdk.Duration.minutes(1),
    )
    (policy,) = resources("AWS::ApplicationAutoScaling::ScalingPolicy")
    assert policy["Properties"]["TargetTrackingScalingPolicyConfiguration"] == {
        "PredefinedMetricSpecification": {
            "PredefinedMetricType": "SageMakerInferenceComponentInvocationsPerCopy"
        },
        "TargetValue": 60,
        "ScaleInCooldown": 600,
        "ScaleOutCooldown": 60,
    }


@pytest.mark.parametrize(
    ("least", "most", "expected"), [(1, 3, (1, 1)), (0, 8, (0, 2)), (1, 9, (1, 3))], ids=str
)
def test_as_many_instances_as_the_copies_need_follow_them(
    make_endpoint: MakeEndpoint, resources: Resources, least: int, most: int, expected: tuple[int, int]
) -> None:
    make_endpoint(compute=ONE_OF_FOUR).auto_scale_copies(min=least, max=most)
    assert variant(resources)["ManagedInstanceScaling"] == {
        "Status": "ENABLED",
        "MinInstanceCount": expected[0],
        "MaxInstanceCount": expected[1],
    }


def test_another_configuration_keeps_the_instances(make_endpoint: MakeEndpoint, resources: Resources) -> None:
    make_endpoint().auto_scale_copies(min=1, max=2)
    assert only(resources("AWS::SageMaker::Endpoint"))["Properties"]["RetainAllVariantProperties"] is True


def test_endpoint_that_is_not_scaled_has_none_of_it(
    make_endpoint: MakeEndpoint, resources: Resources
) -> None:
    make_endpoint()
    assert "ManagedInstanceScaling" not in variant(resources)
    assert "RetainAllVariantProperties" not in only(resources("AWS::SageMaker::Endpoint"))["Properties"]


def test_copies_beyond_the_instances_are_an_error_with_the_sum(make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint(compute=ComputeRequirements(accelerators=2, min_memory=cdk.Size.gibibytes(8)))
    with pytest.raises(ValueError) as caught:
        endpoint.auto_scale_copies(min=1, max=5, max_instances=2)
    assert str(caught.value) == (
        "'Stack/Llm': 'max' should be at most 4, as that many copies fit on the 2 x ml.g5.12xlarge of"
        " 'max_instances', got 5: they take 5 x 2 = 10 accelerators, and the instances have 2 x 4 = 8, for 2"
        " copies each"
    )


def test_accelerators_that_no_copy_can_use_do_not_count(make_endpoint: MakeEndpoint) -> None:
    """3 x 3 = 9 accelerators are fewer than the 12 of the instances, but each takes one copy only."""
    endpoint = make_endpoint(compute=ComputeRequirements(accelerators=3, min_memory=cdk.Size.gibibytes(8)))
    with pytest.raises(ValueError, match=r"'max' should be at most 3, .*4 x 3 = 12 .*, for 1 copies each"):
        endpoint.auto_scale_copies(min=1, max=4, max_instances=3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"min": 3, "max": 2}, "'min' should be at most 'max', 2, got 3"),
        ({"min": -1, "max": 2}, "'min' should be at least 0, got -1"),
        *(
            ({"min": 1, "max": 2, setting: cdk.Duration.millis(1500)}, f"'{setting}' should be whole seconds")
            for setting in ("scale_in_cooldown", "scale_out_cooldown", "wake_cooldown")
        ),
        ({"min": 0, "max": 0}, "'max' should be at least 1, got 0"),
        ({"min": 2, "max": 2}, "'copy_count', the number of copies at the start, should be from 2 to 2"),
        (
            {"min": 1, "max": 2, "max_instances": 0},
            "'max_instances' should be at least 1, got 0",
        ),
        ({"min": 1, "max": 2, "target": 5}, "'target' should be ScalingTarget, got 5"),
    ],
    # The text of a Duration has its address, which differs between the processes of a run.
    ids=lambda value: " ".join(value) if isinstance(value, dict) else value,
)
def test_wrong_numbers_are_errors(
    make_endpoint: MakeEndpoint, settings: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as caught:
        make_endpoint().auto_scale_copies(**settings)
    assert str(caught.value).startswith(f"'Stack/Llm': {message}")


def test_instances_at_the_start_are_within_the_range(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(ValueError, match=r"'instance_count', .* from 1 to 1 for 1 to 3 copies, got 2"):
        make_endpoint(compute=ONE_OF_FOUR, instance_count=2).auto_scale_copies(min=1, max=3)


def test_unknown_instance_type_needs_the_most_instances(
    make_endpoint: MakeEndpoint, resources: Resources
) -> None:
    endpoint = make_endpoint(instance_type=InstanceType.of("ml.g99.xlarge", vcpus=4))
    with pytest.raises(ValueError, match=r"'max_instances' should be given, .* ml.g99.xlarge, got None"):
        endpoint.auto_scale_copies(min=0, max=3)
    endpoint.auto_scale_copies(min=0, max=3, max_instances=2)
    assert variant(resources)["ManagedInstanceScaling"]["MinInstanceCount"] == 0


def test_second_call_is_an_error(make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    endpoint.auto_scale_copies(min=1, max=2)
    with pytest.raises(ValueError, match="'auto_scale_copies' should be called once"):
        endpoint.auto_scale_copies(min=1, max=2)


def test_load_of_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="ScalingTarget: 'value' should be above 0, got 0"):
        ScalingTarget.concurrent_requests(0)


def test_no_copy_at_all_is_one_argument(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, resources: Resources
) -> None:
    endpoint = make_endpoint()
    scaling = endpoint.auto_scale_copies(min=0, max=3)
    policies = {
        logical_id: policy["Properties"]
        for logical_id, policy in Template.from_stack(stack)
        .find_resources("AWS::ApplicationAutoScaling::ScalingPolicy")
        .items()
    }
    (wake,) = (name for name, policy in policies.items() if policy["PolicyType"] == "StepScaling")
    assert policies[wake]["StepScalingPolicyConfiguration"] == {
        "AdjustmentType": "ChangeInCapacity",
        "Cooldown": 900,
        "MetricAggregationType": "Maximum",
        "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
    }
    alarms = [alarm["Properties"] for alarm in resources("AWS::CloudWatch::Alarm")]
    assert len(alarms) == len(scaling.wake_alarms) == 2
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
    assert variant(resources)["ManagedInstanceScaling"]["MinInstanceCount"] == 0


def test_only_the_base_model_may_start_a_copy(make_endpoint: MakeEndpoint, resources: Resources) -> None:
    make_endpoint().auto_scale_copies(min=0, max=3, wake_for_adapters=False)
    assert [alarm["Properties"]["MetricName"] for alarm in resources("AWS::CloudWatch::Alarm")] == [
        "NoCapacityInvocationFailures"
    ]


def test_nothing_is_to_wake_where_a_copy_stays(make_endpoint: MakeEndpoint, resources: Resources) -> None:
    assert not make_endpoint().auto_scale_copies(min=1, max=3).wake_alarms
    assert resources("AWS::CloudWatch::Alarm") == []


def test_copies_of_a_deployment_are_those_that_run(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, components: Components
) -> None:
    endpoint = make_endpoint(copy_count=2, instance_count=2)
    endpoint.auto_scale_copies(min=1, max=3)
    (reader,) = Template.from_stack(stack).find_resources("Custom::BaseModelCopies")
    base = components()[endpoint.base_component_name]["Properties"]
    assert base["RuntimeConfig"] == {"CopyCount": {"Fn::GetAtt": [reader, "CopyCount"]}}
    properties = Template.from_stack(stack).find_resources("Custom::BaseModelCopies")[reader]["Properties"]
    assert (properties["ComponentName"], properties["StartCopies"]) == (endpoint.base_component_name, 2)


def test_whatever_updates_the_component_reads_the_copies_again(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, resources: Resources
) -> None:
    make_endpoint().auto_scale_copies(min=1, max=3)
    cdk.Tags.of(stack).add("team", "search")
    (model,) = Template.from_stack(stack).find_resources("AWS::SageMaker::Model")
    component = only(resources("Custom::BaseModelCopies"))["Properties"]["Component"]
    assert component["Specification"]["modelName"] == {"Fn::GetAtt": [model, "ModelName"]}
    assert component["Tags"] == [{"key": "team", "value": "search"}]


def test_function_may_describe_the_base_component_alone(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    endpoint = make_endpoint()
    endpoint.auto_scale_copies(min=1, max=3)
    statements = [
        statement
        for role in Template.from_stack(stack).find_resources("AWS::IAM::Role").values()
        for policy in role["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        if "sagemaker" in json.dumps(statement["Action"])
    ]
    (statement,) = statements
    assert statement["Action"] == "sagemaker:DescribeInferenceComponent"
    assert json.dumps(statement["Resource"]).count(f"inference-component/{endpoint.base_component_name}") == 1


def test_scaling_is_created_after_the_component_and_deleted_before_it(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, components: Components
) -> None:
    endpoint = make_endpoint()
    endpoint.auto_scale_copies(min=0, max=3)
    base = components()[endpoint.base_component_name]
    template = Template.from_stack(stack)
    (target,) = template.find_resources("AWS::ApplicationAutoScaling::ScalableTarget").values()
    assert base["LogicalId"] in target["DependsOn"]
    for policy in template.find_resources("AWS::ApplicationAutoScaling::ScalingPolicy").values():
        assert "Ref" in policy["Properties"]["ScalingTargetId"]


def test_schedules_change_the_range(make_endpoint: MakeEndpoint, resources: Resources) -> None:
    scaling = make_endpoint().auto_scale_copies(min=0, max=3)
    scaling.on_schedule(
        "Morning",
        schedule=Schedule.cron(hour="7", minute="0"),
        min=2,
        time_zone=cdk.TimeZone.EUROPE_BERLIN,
    )
    scaling.on_schedule("Night", schedule=Schedule.cron(hour="20", minute="0"), min=0, max=0)
    target = only(resources("AWS::ApplicationAutoScaling::ScalableTarget"))["Properties"]
    assert [action["ScalableTargetAction"] for action in target["ScheduledActions"]] == [
        {"MinCapacity": 2},
        {"MinCapacity": 0, "MaxCapacity": 0},
    ]
    assert target["ScheduledActions"][0]["Timezone"] == "Europe/Berlin"


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
    make_endpoint: MakeEndpoint, settings: Mapping[str, Any], message: str
) -> None:
    scaling = make_endpoint(copy_count=2, instance_count=2).auto_scale_copies(min=2, max=3)
    with pytest.raises(ValueError) as caught:
        scaling.on_schedule("Odd", schedule=Schedule.cron(hour="7", minute="0"), **settings)
    assert str(caught.value).startswith(f"'Stack/Llm/Scaling': {message}")


def test_room_for_an_update_is_no_warning(make_endpoint: MakeEndpoint, warnings: Warnings) -> None:
    make_endpoint().auto_scale_copies(min=1, max=2, max_instances=3)
    assert not [warning for warning in warnings() if "no-room-for-rolling-update" in warning]


def test_no_room_for_an_update_still_is_one(make_endpoint: MakeEndpoint, warnings: Warnings) -> None:
    make_endpoint().auto_scale_copies(min=1, max=2)
    assert [warning for warning in warnings() if "no-room-for-rolling-update" in warning]


def test_everything_that_cdk_nag_finds_is_acknowledged(
    app: cdk.App, stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    key = kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:us-east-1:111122223333:key/abcd")
    make_endpoint().auto_scale_copies(min=0, max=2, functions=FunctionHosting(encryption_key=key))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()  # raises an error for each finding


def test_key_and_network_reach_the_function(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    key = kms.Key.from_key_arn(stack, "Key", "arn:aws:kms:us-east-1:111122223333:key/abcd")
    make_endpoint().auto_scale_copies(min=1, max=2, functions=FunctionHosting(encryption_key=key))
    Template.from_stack(stack).has_resource_properties(
        "AWS::Lambda::Function",
        {"Handler": "adapter_fleet.lambdas.base_copies.on_event", "KmsKeyArn": Match.any_value()},
    )


def scaling_rules(resources: Resources) -> list[dict[str, Any]]:
    rules = [rule["Properties"] for rule in resources("AWS::Events::Rule")]
    return [rule for rule in rules if "new copies" in rule["Description"]]


def test_fleet_is_started_when_copies_may_come(
    make_endpoint: MakeEndpoint, resources: Resources, write_manifest: WriteManifest, bucket: s3.IBucket
) -> None:
    endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])
    endpoint.auto_scale_copies(min=0, max=2)
    endpoint.add_fleet("Fleet", manifest=AdapterManifest.from_file(write_manifest()))
    (rule,) = scaling_rules(resources)
    alarms = [alarm["Properties"] for alarm in resources("AWS::CloudWatch::Alarm")]
    assert len(alarms) == 2
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
    assert '"trigger":"scaling"' in target["InputTransformer"]["InputTemplate"]


def test_fleet_waits_for_no_alarm_that_is_not_there(
    make_endpoint: MakeEndpoint, resources: Resources, write_manifest: WriteManifest, bucket: s3.IBucket
) -> None:
    endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])
    endpoint.auto_scale_copies(min=1, max=2)
    endpoint.add_fleet("Fleet", manifest=AdapterManifest.from_file(write_manifest()))
    (rule,) = scaling_rules(resources)
    assert list(rule["EventPattern"]["detail"]) == ["state", "configuration"]
    assert list(rule["EventPattern"]["detail"]["configuration"]) == ["metrics"]


def test_fleet_on_a_fixed_number_of_copies_is_not(
    make_endpoint: MakeEndpoint, resources: Resources, write_manifest: WriteManifest, bucket: s3.IBucket
) -> None:
    endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])
    endpoint.add_fleet("Fleet", manifest=AdapterManifest.from_file(write_manifest()))
    assert scaling_rules(resources) == []


def test_fleet_that_is_added_before_scaling_asks_new_copies_too(
    make_endpoint: MakeEndpoint, resources: Resources, write_manifest: WriteManifest, bucket: s3.IBucket
) -> None:
    endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])
    endpoint.add_fleet("Fleet", manifest=AdapterManifest.from_file(write_manifest()))
    endpoint.auto_scale_copies(min=0, max=2)
    (rule,) = scaling_rules(resources)
    assert len(rule["EventPattern"]["detail"]["$or"]) == 2

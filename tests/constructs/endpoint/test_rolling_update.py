from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Match, Template

from multi_adapter_inference import BatchSize, MultiAdapterEndpoint
from tests.constructs.conftest import Components, MakeEndpoint

MINUTE = cdk.Duration.minutes(1)


def errors(endpoint: MultiAdapterEndpoint, id: str = "Errors") -> cloudwatch.Alarm:
    metric = cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name="Invocation5XXErrors",
        dimensions_map={"EndpointName": endpoint.endpoint_name, "VariantName": "AllTraffic"},
    )
    return cloudwatch.Alarm(cdk.Stack.of(endpoint), id, metric=metric, threshold=1, evaluation_periods=1)


def test_the_base_rolls_in_batches_with_alarms_that_its_role_may_read(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, components: Components
) -> None:
    endpoint = make_endpoint(instance_count=4, copy_count=4)
    alarm = errors(endpoint)
    endpoint.roll_updates(
        batch_size=BatchSize.copies(2),
        wait=cdk.Duration.minutes(5),
        alarms=[alarm],
        rollback_batch_size=BatchSize.percent(100),
        timeout=cdk.Duration.hours(2),
    )
    base = components()[endpoint.base_component_name]
    name = stack.resolve(alarm.alarm_name)
    assert base["Properties"]["DeploymentConfig"] == {
        "RollingUpdatePolicy": {
            "MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 2},
            "WaitIntervalInSeconds": 300,
            "RollbackMaximumBatchSize": {"Type": "CAPACITY_PERCENT", "Value": 100},
            "MaximumExecutionTimeoutInSeconds": 7200,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name}]},
    }
    template = Template.from_stack(stack)
    (policy,) = [
        logical_id
        for logical_id, found in template.find_resources("AWS::IAM::Policy").items()
        if "cloudwatch:DescribeAlarms" in str(found)
    ]
    assert policy in base["DependsOn"]
    template.has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": [
                    {
                        "Action": "cloudwatch:DescribeAlarms",
                        "Effect": "Allow",
                        "Resource": {"Fn::GetAtt": [name["Ref"], "Arn"]},
                    }
                ],
                "Version": Match.any_value(),
            }
        },
    )


def test_it_may_make_an_alarm_on_the_requests_to_the_whole_endpoint(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    endpoint = make_endpoint()
    endpoint.roll_updates(batch_size=BatchSize.copies(1), wait=cdk.Duration.minutes(2), max_server_errors=5)
    Template.from_stack(stack).has_resource_properties(
        "AWS::CloudWatch::Alarm",
        {
            "Namespace": "AWS/SageMaker",
            "MetricName": "Invocation5XXErrors",
            "Dimensions": [
                {"Name": "EndpointName", "Value": stack.resolve(endpoint.endpoint_name)},
                {"Name": "VariantName", "Value": "AllTraffic"},
            ],
            "Statistic": "Sum",
            "Period": 60,
            "Threshold": 5,
            "ComparisonOperator": "GreaterThanThreshold",
            "TreatMissingData": "notBreaching",
        },
    )


def test_its_own_alarm_needs_time_to_ring(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(ValueError, match="'wait' should be at least 2 minutes with 'max_server_errors'"):
        make_endpoint().roll_updates(batch_size=BatchSize.copies(1), wait=MINUTE, max_server_errors=5)


def test_without_a_call_the_service_decides(make_endpoint: MakeEndpoint, components: Components) -> None:
    endpoint = make_endpoint()
    assert "DeploymentConfig" not in components()[endpoint.base_component_name]["Properties"]


def test_a_role_that_cannot_be_changed_is_left_alone(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    role = iam.Role.from_role_arn(stack, "Given", "arn:aws:iam::111122223333:role/llm", mutable=False)
    endpoint = make_endpoint(role=role)
    endpoint.roll_updates(batch_size=BatchSize.copies(1), wait=MINUTE, alarms=[errors(endpoint)])
    Template.from_stack(stack).resource_count_is("AWS::IAM::Policy", 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": BatchSize.percent(4)}, "'batch_size' should be from 5 to 50 percent, got 4"),
        ({"batch_size": BatchSize.percent(51)}, "'batch_size' should be from 5 to 50 percent, got 51"),
        ({"batch_size": BatchSize.copies(3)}, "'batch_size' should be at most 2, half of the 4 copies"),
        ({"rollback_batch_size": BatchSize.percent(101)}, "'rollback_batch_size' should be at most 100"),
        ({"wait": cdk.Duration.minutes(61)}, "'wait' should be at most an hour"),
        ({"wait": cdk.Duration.millis(1500)}, "'wait' should be whole seconds"),
        ({"timeout": cdk.Duration.minutes(9)}, "'timeout' should be from 10 minutes to 8 hours"),
        ({"timeout": cdk.Duration.hours(9)}, "'timeout' should be from 10 minutes to 8 hours"),
        (
            {"wait": cdk.Duration.minutes(30), "timeout": cdk.Duration.hours(1)},
            "'timeout' should be above 3600 seconds, as 4 copies are 2 batches",
        ),
    ],
)
def test_what_cannot_be_is_an_error(
    make_endpoint: MakeEndpoint, settings: dict[str, Any], message: str
) -> None:
    endpoint = make_endpoint(instance_count=4, copy_count=4)
    with pytest.raises(ValueError, match=message) as refused:
        endpoint.roll_updates(**{"batch_size": BatchSize.percent(50), "wait": MINUTE, **settings})
    assert str(refused.value).startswith("'Stack/Llm': ")


def test_a_batch_is_of_copies_or_of_a_share() -> None:
    with pytest.raises(ValueError, match=r"'type' should be Literal.'COPY_COUNT', .* got 'NODES'"):
        BatchSize(type="NODES", value=5)  # type: ignore[arg-type]


def test_alarms_need_a_wait_and_are_ten_at_most(make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    one = errors(endpoint)
    half = BatchSize.percent(50)
    with pytest.raises(ValueError, match="'wait' should be above 0 with 'alarms'"):
        endpoint.roll_updates(batch_size=half, wait=cdk.Duration.seconds(0), alarms=[one])
    with pytest.raises(ValueError, match=r"'alarms' should differ from each other, got 'Stack/Errors' twice"):
        endpoint.roll_updates(batch_size=half, wait=MINUTE, alarms=[one, one])
    named = [cloudwatch.Alarm.from_alarm_name(endpoint, name, "one") for name in ("First", "Second")]
    with pytest.raises(
        ValueError, match=r"'alarms' should differ from each other, got 'Stack/Llm/First' twice"
    ):
        endpoint.roll_updates(batch_size=half, wait=MINUTE, alarms=named)
    with pytest.raises(ValueError, match="'alarms' should be at most 10, got 11"):
        endpoint.roll_updates(
            batch_size=half, wait=MINUTE, alarms=[errors(endpoint, f"Errors{n}") for n in range(11)]
        )


def test_a_second_call_is_an_error(make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    settings: dict[str, Any] = {"batch_size": BatchSize.copies(1), "wait": cdk.Duration.minutes(2)}
    endpoint.roll_updates(**settings, max_server_errors=1)
    with pytest.raises(ValueError, match="'roll_updates' should be called once"):
        endpoint.roll_updates(**settings, max_server_errors=1)


@pytest.mark.parametrize("scaled_first", [True, False])
def test_batches_fit_the_fewest_copies_of_a_scaled_base(
    make_endpoint: MakeEndpoint, *, scaled_first: bool
) -> None:
    endpoint = make_endpoint(instance_count=6, copy_count=6)
    if scaled_first:
        endpoint.auto_scale_copies(min=2, max=6)
        with pytest.raises(ValueError, match="'batch_size' should be at most 1, half of the 2 copies"):
            endpoint.roll_updates(batch_size=BatchSize.copies(2), wait=MINUTE)
    else:
        endpoint.roll_updates(batch_size=BatchSize.copies(2), wait=MINUTE)
        with pytest.raises(ValueError, match="'batch_size' should be at most 1, half of the 2 copies"):
            endpoint.auto_scale_copies(min=2, max=6)

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk.assertions import Template

from multi_adapter_inference import BatchSize
from multi_adapter_inference.endpoint.rolling_update import RollingUpdate
from tests.constructs.conftest import MakeEndpoint

MINUTE = cdk.Duration.minutes(1)


def rolling(**settings: Any) -> RollingUpdate:
    return RollingUpdate(**{"batch_size": BatchSize.percent(50), "wait": MINUTE, "alarms": (), **settings})


def test_its_own_alarm_needs_time_to_ring(make_endpoint: MakeEndpoint) -> None:
    with pytest.raises(
        ValueError, match=r"^'Stack/Llm': 'wait' should be at least 2 minutes with 'max_server_errors'"
    ):
        make_endpoint().roll_updates(batch_size=BatchSize.copies(1), wait=MINUTE, max_server_errors=5)


def test_a_role_that_cannot_be_changed_is_left_alone(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    role = iam.Role.from_role_arn(stack, "Given", "arn:aws:iam::111122223333:role/llm", mutable=False)
    alarm = cloudwatch.Alarm.from_alarm_name(stack, "Own", "own")
    make_endpoint(role=role).roll_updates(batch_size=BatchSize.copies(1), wait=MINUTE, alarms=[alarm])
    Template.from_stack(stack).resource_count_is("AWS::IAM::Policy", 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": BatchSize.percent(4)}, "'batch_size' should be from 5 to 50 percent, got 4"),
        ({"batch_size": BatchSize.percent(51)}, "'batch_size' should be from 5 to 50 percent, got 51"),
        ({"batch_size": BatchSize.copies(3)}, "'batch_size' should be at most 2, half of the 4 copies"),
        ({"wait": cdk.Duration.minutes(61)}, "'wait' should be at most an hour"),
        ({"wait": cdk.Duration.millis(1500)}, "'wait' should be whole seconds"),
    ],
)
def test_what_cannot_be_is_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        rolling(**settings).check_copies(4)


def test_what_just_can_be_is_none() -> None:
    rolling(batch_size=BatchSize.copies(2), wait=cdk.Duration.hours(1)).check_copies(4)
    rolling(batch_size=BatchSize.percent(5)).check_copies(1)


def test_alarms_need_a_wait_and_are_ten_at_most(stack: cdk.Stack) -> None:
    def named(id: str, name: str) -> cloudwatch.IAlarm:
        return cloudwatch.Alarm.from_alarm_name(stack, id, name)

    first, second = named("First", "one"), named("Second", "one")
    with pytest.raises(ValueError, match="'wait' should be above 0 with 'alarms'"):
        rolling(wait=cdk.Duration.seconds(0), alarms=[first])
    with pytest.raises(ValueError, match=r"'alarms' should differ from each other, got 'Stack/First' twice"):
        rolling(alarms=[first, second])
    ten = [named(f"Alarm{number}", f"alarm-{number}") for number in range(10)]
    rolling(alarms=ten)
    with pytest.raises(ValueError, match="'alarms' should be at most 10, got 11"):
        rolling(alarms=[*ten, first])


def test_a_second_call_is_an_error(make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    settings: dict[str, Any] = {"batch_size": BatchSize.copies(1), "wait": cdk.Duration.minutes(2)}
    endpoint.roll_updates(**settings, max_server_errors=1)
    with pytest.raises(ValueError, match="'roll_updates' should be called once"):
        endpoint.roll_updates(**settings, max_server_errors=1)


def test_batches_fit_the_fewest_copies_of_a_scaled_base_whichever_is_said_first(
    make_endpoint: MakeEndpoint,
) -> None:
    message, size = "'batch_size' should be at most 1, half of the 2 copies", BatchSize.copies(2)
    scaled = make_endpoint(instance_count=6, copy_count=6)
    scaled.auto_scale_copies(min=2, max=6)
    with pytest.raises(ValueError, match=message):
        scaled.roll_updates(batch_size=size, wait=MINUTE)
    rolled = make_endpoint(id="Rolled", instance_count=6, copy_count=6, component_prefix="rolled")
    rolled.roll_updates(batch_size=size, wait=MINUTE)
    with pytest.raises(ValueError, match=message):
        rolled.auto_scale_copies(min=2, max=6)

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import Duration, Size

from adapter_rules.hardware.instance_types import INSTANCES
from multi_adapter_inference import ComputeRequirements, InstanceType, StartupTimeouts


def test_as_many_copies_fit_as_the_scarcest_thing_allows() -> None:
    compute = ComputeRequirements(accelerators=1, cpu_cores=4, min_memory=Size.gibibytes(100))
    assert compute.copies_on(InstanceType.ML_G5_12XLARGE) == 1
    assert compute.copies_on(InstanceType.ML_G5_48XLARGE) == 7
    # Memory that is not whole is rounded up.
    assert ComputeRequirements(accelerators=4, min_memory=Size.gibibytes(4.0001)).min_memory_mib == 4097
    assert ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(128)).min_memory_mib == 128


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accelerators": 5}, "'accelerators' should be at most 4, as .* has 4 accelerators, got 5"),
        ({"cpu_cores": 49}, "'cpu_cores' should be at most 48, as .* has 48 vCPUs, got 49"),
        (
            {"min_memory": Size.gibibytes(193)},
            "'min_memory' should be at most 196608, as .* has 196608 MiB of memory, got 197632",
        ),
    ],
    ids=["accelerators", "cpu_cores", "min_memory"],
)
def test_more_than_the_instance_has_is_an_error(settings: dict[str, Any], message: str) -> None:
    compute = ComputeRequirements(**{"accelerators": 1, "min_memory": Size.gibibytes(1), **settings})
    with pytest.raises(ValueError, match=message):
        compute.copies_on(InstanceType.ML_G5_12XLARGE)


def test_an_instance_type_of_which_nothing_is_known_is_not_checked() -> None:
    compute = ComputeRequirements(accelerators=64, min_memory=Size.gibibytes(4096))
    assert compute.copies_on(InstanceType.of("ml.new.large", local_storage=True)) is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"accelerators": 0}, "'accelerators' should be at least 1, got 0"),
        ({"cpu_cores": 0.1}, r"'cpu_cores' should be at least 0\.25, got 0\.1"),
        ({"min_memory": Size.mebibytes(127)}, "'min_memory' should be at least 128 MiB, got 127 MiB"),
        (
            {"max_memory": Size.mebibytes(512)},
            "'max_memory' should be at least 'min_memory', 1024 MiB, got 512 MiB",
        ),
    ],
)
def test_requirements_the_service_refuses_are_an_error(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ComputeRequirements(**{"accelerators": 1, "min_memory": Size.gibibytes(1), **settings})


def test_requirements_known_at_deployment_only_are_passed_on_and_not_checked(stack: cdk.Stack) -> None:
    number: Any = cdk.Token.as_number({"Ref": "Number"})
    size = Size.mebibytes(number)
    compute = ComputeRequirements(accelerators=number, min_memory=size, max_memory=size, cpu_cores=number)
    assert compute.copies_on(InstanceType.ML_G5_12XLARGE) is None
    assert stack.resolve([compute.min_memory_mib, compute.max_memory_mib]) == [{"Ref": "Number"}] * 2


def test_a_timeout_that_the_service_refuses_or_that_synth_does_not_know_is_an_error() -> None:
    for setting, least, second in (
        ("model_download", 60, 59),
        ("container_health_check", 60, 3601),
        ("instance_provision", 300, 240),
    ):
        wrong = f"'{setting}' should be between {least} and 3600 seconds, got {second}"
        with pytest.raises(ValueError, match=wrong):
            StartupTimeouts(**{setting: Duration.seconds(second)})
    seconds: Any = cdk.Token.as_number({"Ref": "Seconds"})
    with pytest.raises(ValueError, match="'model_download' should be known at synth, got a token"):
        StartupTimeouts(model_download=Duration.seconds(seconds))


def test_a_known_instance_type_can_be_had_by_name_and_is_checked() -> None:
    assert InstanceType.of("ml.g5.12xlarge") == InstanceType.ML_G5_12XLARGE
    assert InstanceType(name="ml.g5.12xlarge") == InstanceType.ML_G5_12XLARGE
    with pytest.raises(ValueError, match=r"'name' should be .* \(did you mean .* got 'ml.g5.13xlarge'"):
        InstanceType(name="ml.g5.13xlarge")


def test_every_instance_type_that_is_known_can_be_had_by_attribute() -> None:
    attributes = [name for name in vars(InstanceType) if name.startswith("ML_")]
    assert [getattr(InstanceType, name).name for name in attributes] == list(INSTANCES)


def test_facts_of_an_instance_type_that_are_given_go_first() -> None:
    known = InstanceType.of("ml.g5.12xlarge", accelerators=2, memory=Size.mebibytes(2047))
    # Memory that is not whole is rounded down.
    assert (known.accelerators, known.memory_gib, known.vcpus) == (2, 1, 48)

"""Every argument of everything public is checked against its annotation; durations are whole units."""

import inspect
import math
from collections.abc import Callable, Iterator
from enum import Enum
from typing import Any, cast, get_args, get_type_hints

import aws_cdk as cdk
import jsii
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

import multi_adapter_inference as library
from multi_adapter_inference import (
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    ComputeRequirements,
    FailurePolicy,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    Releases,
)
from multi_adapter_inference.arguments.durations import check_minutes, whole_milliseconds, whole_seconds
from tests.constructs.conftest import MakeEndpoint, imported_endpoint


class Wrong:
    """Fits no annotation."""

    def __repr__(self) -> str:
        return "<wrong>"


WRONG = Wrong()


def public_classes() -> list[type]:
    found = [getattr(library, name) for name in library.__all__]
    # A TypedDict is a class of dict: its keys are the options of what takes it.
    return [cls for cls in found if not issubclass(cls, Enum | dict)]


def public_callables(cls: type) -> list[Callable[..., object]]:
    """Return the constructor and the public methods of a class that this library wrote."""
    members = [getattr(cls, name) for name in dir(cls) if name == "__init__" or not name.startswith("_")]
    return [
        member
        for member in members
        # Since Python 3.13, a cached property counts as a routine.
        if inspect.isroutine(member)
        and callable(member)
        # Those who inherit from it are the library's own.
        and not getattr(member, "__isabstractmethod__", False)
        and str(getattr(member, "__module__", "")).startswith("multi_adapter_inference")
    ]


def annotations_of(function: Callable[..., object]) -> dict[str, str]:
    """Return the annotation of every argument that has one of its own."""
    found = {
        parameter.name: str(parameter.annotation)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is not parameter.POSITIONAL_ONLY and parameter.name not in ("self", "_scope")
    }
    return {name: hint for name, hint in found.items() if hint not in ("Any", "object")}


@pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: cls.__name__)
def test_an_argument_of_a_wrong_type_is_an_error(cls: type) -> None:
    for function in public_callables(cls):
        hints = annotations_of(function)
        required = [name for name, hint in hints.items() if "None" not in hint]
        others = {
            name: WRONG for name in inspect.signature(function).parameters if name in ("self", "_scope")
        }
        for wrong, names in ((WRONG, list(hints)), (None, required)):
            if not names:
                continue
            with pytest.raises(ValueError) as error:
                function(**others, **{**dict.fromkeys(hints, WRONG), **dict.fromkeys(names, wrong)})
            for name in names:
                _, _, found = str(error.value).partition(f"'{name}' should be ")
                assert f"got {wrong!r}" in found.partition(";")[0], function


def own_classes(annotation: Any) -> Iterator[type]:
    """Yield the classes of this repository in an annotation."""
    rooms = ("multi_adapter_inference", "adapter_fleet", "adapter_rules")
    if inspect.isclass(annotation) and annotation.__module__.startswith(rooms):
        yield annotation
    for part in annotation if isinstance(annotation, list | tuple) else get_args(annotation):
        yield from own_classes(part)


@pytest.mark.parametrize("cls", public_classes(), ids=lambda cls: cls.__name__)
def test_signatures_and_properties_name_only_what_can_be_imported_from_the_library(cls: type) -> None:
    exported = {getattr(library, name) for name in library.__all__}
    properties = (
        getter
        for name, each in inspect.getmembers(cls, inspect.isdatadescriptor)
        if (getter := getattr(each, "fget", None)) is not None
        and not name.startswith("_")
        and getter.__module__.startswith("multi_adapter_inference")
    )
    for function in map(inspect.unwrap, (*public_callables(cls), *properties)):
        hints = get_type_hints(getattr(function, "__func__", function)).items()
        named = {each for name, hint in hints if name[0] != "_" for each in own_classes(hint)}
        assert named <= exported, function


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"copy_count": True}, "'copy_count' should be a whole number, got True"),
        ({"component_prefix": ""}, "'component_prefix' should not be empty, got ''"),
        (
            {"routing_strategy": "RANDOM"},
            "'routing_strategy' should be RoutingStrategy.LEAST_OUTSTANDING_REQUESTS or"
            " RoutingStrategy.RANDOM, got 'RANDOM'",
        ),
        (
            {"artifact_sources": ["adapters/"]},
            "'artifact_sources' should be Sequence[ArtifactSource], got 'adapters/' at index 0",
        ),
        (
            {"instance_type": ec2.InstanceType("g5.12xlarge")},
            "'instance_type' should be InstanceType of multi_adapter_inference, got one of aws_cdk.aws_ec2",
        ),
        (
            {"copy_count": "2", "network_isolation": "no"},
            "'copy_count' should be a whole number, got '2'; 'network_isolation' should be True or False, got"
            " 'no'",
        ),
    ],
)
def test_the_error_names_the_endpoint_the_argument_what_it_should_be_and_what_was_got(
    make_endpoint: MakeEndpoint, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as error:
        make_endpoint(**settings)
    assert str(error.value).startswith(f"'Stack/Llm': {message}")


def test_an_error_of_a_method_that_makes_a_child_names_the_child(make_endpoint: MakeEndpoint) -> None:
    endpoint = make_endpoint()
    with pytest.raises(ValueError, match=r"^'Stack/Llm/T': 'artifact' should be AdapterArtifact, got 'dir'"):
        endpoint.add_adapter("T", artifact="dir")  # type: ignore[arg-type]


def test_an_unknown_or_a_missing_argument_is_an_error_that_names_what_was_called() -> None:
    with pytest.raises(TypeError, match=r"^InstanceType\.of: 'memry' is no argument; did you mean 'memory'"):
        InstanceType.of("ml.g5.xlarge", memry=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"2 were given; InstanceType.of\('ml.g5.12xlarge'\) makes one"):
        InstanceType("ml.g5.xlarge")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match=r"LoraServing\.__init__\(\) missing .* 'max_lora_rank'"):
        LoraServing(max_loras=4, max_cpu_loras=8)  # type: ignore[call-arg]


def test_help_shows_each_option_with_its_default_as_an_argument() -> None:
    parameters = inspect.signature(AdapterFleet.__init__).parameters
    assert parameters["request_rate"].default == 5
    assert (parameters["releases"].annotation, parameters["releases"].default) == (Releases | None, None)


def test_a_construct_whose_arguments_are_wrong_is_not_in_the_app(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    with pytest.raises(ValueError):
        make_endpoint(copy_count=1.5)
    with pytest.raises(TypeError, match=r"^'Stack/Llm': 'xyzzy' is no argument; known are scope, id, base_m"):
        make_endpoint(xyzzy=1)
    assert stack.node.try_find_child("Llm") is None


@pytest.mark.parametrize(
    ("arguments", "how"),
    [
        ({"manifest": "adapters.yaml"}, r"AdapterManifest.from_file\(path\) makes one"),
        ({"endpoint": "my-endpoint"}, r"MultiAdapterEndpoint.from_endpoint_attributes\(…\) makes one"),
        ({"timeout": 5}, r"Duration.minutes\(5\) is one"),
        ({"smoke_test": "Hello"}, r"SmokeTest\(prompt=…, expect=…\) makes one"),
        ({"drift_check": True}, r"DriftCheck.report\(every=Duration.hours\(6\)\) and"),
    ],
)
def test_a_text_or_number_in_the_place_of_an_object_says_how_to_make_one(
    stack: cdk.Stack, arguments: dict[str, Any], how: str
) -> None:
    given = {"endpoint": imported_endpoint(stack), "manifest": AdapterManifest.from_adapters([]), **arguments}
    with pytest.raises(ValueError, match=how):
        AdapterFleet(stack, "Tenants", **given)


@pytest.mark.parametrize(
    "make",
    [
        lambda bucket: ArtifactSource(bucket=bucket, prefix="s3://bucket/adapters/"),
        lambda bucket: AdapterManifest.from_bucket(bucket, "s3://bucket/adapters.yaml"),
    ],
)
def test_an_address_is_no_key(bucket: s3.IBucket, make: Callable[[s3.IBucket], object]) -> None:
    with pytest.raises(ValueError, match="without the bucket, got 's3://bucket/"):
        make(bucket)


def test_an_arn_is_no_name_of_an_endpoint(stack: cdk.Stack) -> None:
    arn = "arn:aws:sagemaker:eu-central-1:111122223333:endpoint/prod"
    with pytest.raises(ValueError, match="'endpoint_name' should be letters, digits and hyphens"):
        imported_endpoint(stack, endpoint_name=arn)


def test_a_key_is_no_bucket(stack: cdk.Stack) -> None:
    role = iam.Role.from_role_name(stack, "Role", "own")
    with pytest.raises(ValueError, match="'bucket' should be IBucket, got "):
        ArtifactSource(bucket=role)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"'path' should be a text or Path, got 5"):
        AdapterManifest.from_file(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"got 's3://b/a'; AdapterManifest.from_bucket\(bucket, key\) takes"):
        AdapterManifest.from_file("s3://b/a")


@pytest.mark.parametrize("value", [math.nan, math.inf, True])
def test_a_number_is_a_finite_one(value: float) -> None:
    with pytest.raises(ValueError, match=r"^FailurePolicy.share: 'share' should be a finite number, got"):
        FailurePolicy.share(value)


def test_a_value_of_a_mapping_is_named_by_its_key() -> None:
    with pytest.raises(ValueError) as error:
        LmiContainer(version=LmiVersion.V19, environment={"OPTION_A": "1", "OPTION_B": cast("Any", 4096)})
    assert str(error.value) == (
        "LmiContainer: 'environment' should be Mapping[str, str], got 4096 for 'OPTION_B'"
    )


def test_tokens_fit_as_what_they_stand_for(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    number: Any = cdk.CfnParameter(stack, "Count", type="Number").value_as_number
    text = cdk.CfnParameter(stack, "Value").value_as_string
    make_endpoint(
        instance_count=number,
        compute=ComputeRequirements(
            accelerators=number, cpu_cores=number, min_memory=cdk.Size.mebibytes(number)
        ),
        container=LmiContainer(version=LmiVersion.V19, environment={"OPTION_X": text}),
        copy_count=number,
    )
    (base,) = Template.from_stack(stack).find_resources("AWS::SageMaker::InferenceComponent").values()
    assert base["Properties"]["RuntimeConfig"] == {"CopyCount": {"Ref": "Count"}}


def test_what_implements_an_interface_of_the_cdk_in_python_fits(stack: cdk.Stack) -> None:
    @jsii.implements(iam.IGrantable)
    class Caller:
        @property
        def grant_principal(self) -> iam.IPrincipal:
            return iam.User.from_user_name(stack, "Caller", "caller")

    assert imported_endpoint(stack).grant_invoke(Caller()).success


def test_what_the_cdk_returns_as_an_interface_fits(stack: cdk.Stack, bucket: s3.IBucket) -> None:
    made = s3.Bucket(stack, "Made")
    found: Any = stack.node.find_child("Made")
    for each in (made, found, bucket):
        assert ArtifactSource(bucket=each).bucket_name


A_NUMBER = cdk.Token.as_number({"Ref": "Number"})


def test_whole_units_are_counted() -> None:
    assert whole_seconds("wait", cdk.Duration.minutes(2)) == 120
    assert whole_milliseconds("wait", cdk.Duration.seconds(2)) == 2000
    check_minutes("wait", cdk.Duration.minutes(1))
    check_minutes("wait", cdk.Duration.minutes(A_NUMBER))


@pytest.mark.parametrize(
    ("check", "duration", "message"),
    [
        (whole_seconds, cdk.Duration.millis(1500), "be whole seconds, got 1 second 500 millis"),
        (whole_seconds, cdk.Duration.seconds(A_NUMBER), "be known at synth, got a token"),
        (whole_milliseconds, cdk.Duration.seconds(0), "be above 0, got 0 seconds"),
        (whole_milliseconds, cdk.Duration.seconds(A_NUMBER), "be known at synth, got a token"),
        (check_minutes, cdk.Duration.seconds(30), "be at least a minute, got 30 seconds"),
        (check_minutes, cdk.Duration.seconds(90), "be whole minutes, got 1 minute 30 seconds"),
        (check_minutes, cdk.Duration.seconds(A_NUMBER), "be whole minutes, got a token of seconds"),
    ],
    # The text of a Duration has its address, which differs between the processes of a run.
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_other_durations_are_errors(
    check: Callable[[str, cdk.Duration], object], duration: cdk.Duration, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^'wait' should {message}$"):
        check("wait", duration)

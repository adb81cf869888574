from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.session import get_session

from local_sagemaker.control_plane.request_validation import check_request, coerce_request, service_model
from local_sagemaker.errors import ApiError
from tests.local.world import ROLE, World

COMPONENT = {
    "InferenceComponentName": "name",
    "EndpointName": "endpoint",
    "Specification": {"ModelName": "model", "ComputeResourceRequirements": {"MinMemoryRequiredInMb": 128}},
}

IMAGE = {"Image": "i"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"InferenceComponentName": None},
            "Value null at 'inferenceComponentName' failed to satisfy constraint: Member must not be null",
        ),
        ({"InferenceComponentName": "a" * 64}, "Member must have length less than or equal to 63"),
        ({"InferenceComponentName": "no_underscore"}, "Member must satisfy regular expression pattern"),
        ({"Colour": "red"}, "Unknown parameter 'colour'"),
        ({"RuntimeConfig": {"CopyCount": -1}}, "Member must have value greater than or equal to 0"),
        ({"Tags": [{"Key": "k"}]}, "'tags.1.member.value'"),
        (
            {"Specification": {"SchedulingConfig": {"PlacementStrategy": "ANYHOW"}}},
            "Member must satisfy enum value set: [SPREAD, BINPACK]",
        ),
        (
            {"Tags": [{"Key": "k", "Value": "v"}] * 51},
            "Value '[{Key=k, Value=v}, {Key=k, Value=v},",
        ),
    ],
)
def test_request_that_does_not_fit_the_service_model_is_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ApiError) as refused:
        check_request("CreateInferenceComponent", COMPONENT | changes)
    assert refused.value.code == "ValidationException"
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"InferenceComponentName": 5},
            "NUMBER_VALUE can not be converted to a String (at 'inferenceComponentName')",
        ),
        (
            {"RuntimeConfig": {"CopyCount": True}},
            "TRUE_VALUE can not be converted to an Integer (at 'runtimeConfig.copyCount')",
        ),
        (
            {"Specification": {"Container": {"Environment": {"K": 1.5}}}},
            "NUMBER_VALUE can not be converted to a String "
            "(at 'specification.container.environment.K.value')",
        ),
        ({"EndpointName": {}}, "Start of structure or map found where not expected. (at 'endpointName')"),
        ({"EndpointName": []}, "Start of list found where not expected. (at 'endpointName')"),
    ],
)
def test_value_of_another_type_is_a_serialization_exception(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ApiError) as refused:
        check_request("CreateInferenceComponent", COMPONENT | changes)
    assert (refused.value.code, refused.value.message) == ("SerializationException", message)


def test_every_problem_is_named_at_once() -> None:
    with pytest.raises(ApiError, match="2 validation errors detected: "):
        check_request("CreateInferenceComponent", {"InferenceComponentName": "name_", "Specification": {}})
    check_request("CreateInferenceComponent", COMPONENT | {"Tags": [{"Key": "Größe/a:b", "Value": "è 1"}]})


def test_parameter_that_is_null_is_one_that_is_not_given(world: World) -> None:
    world.serve("one")
    nothing = {"MaxResults": None, "NameContains": None, "StatusEquals": None, "NextToken": None}
    listed = world.call("ListInferenceComponents", **nothing)["InferenceComponents"]
    assert [summary["InferenceComponentName"] for summary in listed] == ["one", "base"]
    container: dict[str, Any] = {"Image": "image", "Environment": None, "ModelDataSource": None}
    world.call("CreateModel", ModelName="nulls", ExecutionRoleArn=ROLE, PrimaryContainer=container, Tags=None)
    model = world.call("DescribeModel", ModelName="nulls")
    assert model["PrimaryContainer"] == {"Image": "image"}
    assert world.call("ListTags", ResourceArn=model["ModelArn"])["Tags"] == []
    # In a list or in a map, it is no value.
    create = {"ModelName": "other", "ExecutionRoleArn": ROLE}
    assert "'tags.1.member'" in world.refusal("CreateModel", **create, Tags=[None])
    container["Environment"] = {"K": None}
    refusal = world.refusal("CreateModel", **create, PrimaryContainer=container)
    assert "'primaryContainer.environment.K.value'" in refusal


def test_operation_that_is_not_there_is_named(world: World) -> None:
    with pytest.raises(ApiError, match="does not know CreateTrainingJob") as refused:
        world.call("CreateTrainingJob")
    assert refused.value.code == "UnknownOperationException"


@pytest.mark.parametrize(
    ("containers", "message"),
    [
        ({}, "Exactly one of PrimaryContainer and Containers"),
        ({"PrimaryContainer": IMAGE, "Containers": [IMAGE]}, "Exactly one of PrimaryContainer and"),
        ({"PrimaryContainer": {}}, "A container should have an Image or a ModelPackageName."),
    ],
)
def test_model_has_one_container_or_several_with_images(
    world: World, containers: dict[str, Any], message: str
) -> None:
    request = {"ModelName": "model", "ExecutionRoleArn": ROLE, **containers}
    assert message in world.refusal("CreateModel", **request)
    assert world.call("ListModels")["Models"] == []


def test_variables_of_a_models_containers_have_32_kib_together(world: World) -> None:
    def containers(last: int) -> list[dict[str, Any]]:
        many = {f"A{index:03}": "x" * 1020 for index in range(15)}
        rest = {"B": "x" * 1023, "C": "x" * (last - 1)}
        return [{"Image": "i", "Environment": many}, {"Image": "i", "Environment": many | rest}]

    request = {"ModelName": "model", "ExecutionRoleArn": ROLE}
    assert "at most 32768 bytes" in world.refusal(
        "CreateModel", **request, Containers=containers(2048 - 1023)
    )
    world.call("CreateModel", **request, Containers=containers(1023))


def test_values_of_templates_take_the_type_of_the_api() -> None:
    coerced = coerce_request(
        "CreateEndpointConfig",
        {
            "EnableNetworkIsolation": "true",
            "ProductionVariants": [
                {"InitialInstanceCount": "2", "InitialVariantWeight": "0.5", "VariantName": 1}
            ],
        },
    )
    assert coerced == {
        "EnableNetworkIsolation": True,
        "ProductionVariants": [{"InitialInstanceCount": 2, "InitialVariantWeight": 0.5, "VariantName": "1"}],
    }


def test_model_has_the_newest_members_although_sessions_share_a_loader_that_read_the_older_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shared = Loader()
    monkeypatch.setattr("botocore.session.create_loader", lambda *_: shared)
    get_session().get_service_model("sagemaker")
    newest = service_model.__wrapped__("sagemaker").operation_model("CreateEndpointConfig").input_shape
    assert newest is not None
    assert "CrossRegionTrafficConfig" in newest.members

import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.assertions import Template
from cdk_nag import AwsSolutionsChecks
from constructs import Construct

from adapter_fleet.common.serialization import converter
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, DriftAction, FailureLimit, FleetSettings
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    DeletionGuard,
    DriftCheck,
    FailurePolicy,
    FleetAdapter,
    FleetOptions,
    FunctionHosting,
    IAdapterFleet,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraAdapter,
    LoraServing,
    MultiAdapterEndpoint,
    OnTimeout,
    SmokeTest,
    UpdateMode,
)
from tests.constructs.conftest import (
    FleetProperties,
    MakeEndpoint,
    MakeFleet,
    Resources,
    WriteManifest,
    endpoint_of,
    write_manifest_into,
)

HOURLY = cdk.Duration.hours(1)


@pytest.fixture
def endpoint(make_endpoint: MakeEndpoint, bucket: s3.IBucket) -> MultiAdapterEndpoint:
    return make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])


@pytest.fixture
def make(stack: cdk.Stack, endpoint: MultiAdapterEndpoint, write_manifest: WriteManifest) -> MakeFleet:
    """Return a function that makes a fleet, of two adapters if nothing else is said."""

    def make_fleet(id: str = "Tenants", scope: cdk.Stack = stack, **settings: Any) -> AdapterFleet:
        manifest = settings.pop("manifest", None) or AdapterManifest.from_file(write_manifest())
        return AdapterFleet(scope, id, **{"endpoint": endpoint, "manifest": manifest, **settings})

    return make_fleet


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> AdapterFleet:
    """A fleet of two adapters, without any setting, for tests that leave it and its stack as they are."""
    folder = tmp_path_factory.mktemp("plain")
    stack = cdk.Stack(cdk.App(outdir=str(folder / "cdk.out")), "Stack")
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
    sources = [ArtifactSource(bucket=bucket, prefix="adapters/")]
    endpoint = endpoint_of(stack, "Llm", bucket, artifact_sources=sources)
    manifest = AdapterManifest.from_file(write_manifest_into(folder))
    return AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=manifest)


@pytest.fixture(scope="module")
def plain_resources(plain: AdapterFleet) -> dict[str, Any]:
    """The resources of the stack of `plain`, by their logical ids."""
    return dict(Template.from_stack(cdk.Stack.of(plain)).to_json()["Resources"])


@pytest.fixture(scope="module")
def plain_properties(plain_resources: dict[str, Any]) -> dict[str, Any]:
    """What `plain` passes on."""
    return dict(plain_resources[logical_id(plain_resources, "Custom::AdapterFleet")]["Properties"])


@pytest.fixture(scope="module")
def stored_resources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The resources of a stack with a fleet whose manifest is in a bucket of the stack."""
    stack = cdk.Stack(cdk.App(outdir=str(tmp_path_factory.mktemp("stored"))), "Stack")
    own = s3.Bucket(stack, "Own")
    endpoint = endpoint_of(stack, "Llm", own, artifact_sources=[ArtifactSource(bucket=own)])
    manifest = AdapterManifest.from_bucket(own, "fleets/tenants.yaml")
    AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=manifest)
    return dict(Template.from_stack(stack).to_json()["Resources"])


@pytest.fixture
def settings(fleet_properties: FleetProperties) -> Callable[[], FleetSettings]:
    """Return a function that returns the settings that the Lambda functions will read."""
    return lambda: converter.structure(json.loads(fleet_properties()["Settings"]), FleetSettings)


@pytest.fixture
def template(stack: cdk.Stack) -> Callable[[], dict[str, Any]]:
    """Return a function that synthesizes the stack."""
    return lambda: Template.from_stack(stack).to_json()["Resources"]


def statements(resources: dict[str, Any], *names: str) -> list[dict[str, Any]]:
    """Return the statements of all policies whose logical ids contain one of the names."""
    found = []
    for logical_id, resource in resources.items():
        if not any(name in logical_id for name in names):
            continue
        properties = resource["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        if resource["Type"] == "AWS::IAM::Policy":
            documents.append(properties["PolicyDocument"])
        found += [statement for document in documents for statement in document["Statement"]]
    return found


def actions(of: list[dict[str, Any]]) -> set[str]:
    return {
        action
        for statement in of
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


def depends_on(resources: dict[str, Any], logical_id: str) -> set[str]:
    """Return all resources that have to be there before one, also by what it refers to."""
    seen: set[str] = set()
    open_ = [logical_id]
    while open_:
        resource = resources[open_.pop()]
        text = json.dumps(resource)
        named = {*resource.get("DependsOn", []), *re.findall(r'"Ref": "(\w+)"', text)}
        named |= set(re.findall(r'"Fn::GetAtt": \["(\w+)"', text))
        new = (named & resources.keys()) - seen
        seen |= new
        open_ += new
    return seen


def rules_of(resources: dict[str, Any], name: str) -> list[str]:
    """Return the logical ids of the rules that contain a name."""
    return [key for key, found in resources.items() if found["Type"] == "AWS::Events::Rule" and name in key]


def logical_id(resources: dict[str, Any], type_: str) -> str:
    found: str
    (found,) = [name for name, resource in resources.items() if resource["Type"] == type_]
    return found


def test_a_thousand_adapters_are_as_many_resources_as_one(
    make: MakeFleet, write_manifest: WriteManifest, template: Callable[[], dict[str, Any]]
) -> None:
    for name, adapters in (("One", 1), ("Many", 1000)):
        path = write_manifest(*({"name": f"{name}{number}"} for number in range(adapters)))
        make(name, manifest=AdapterManifest.from_file(path))
    ids = list(template())
    one, many = (len([id_ for id_ in ids if id_.startswith(name)]) for name in ("One", "Many"))
    assert one == many > 0


def test_a_thousand_adapters_ask_the_cdk_as_often_as_one(
    make: MakeFleet,
    make_endpoint: MakeEndpoint,
    bucket: s3.IBucket,
    write_manifest: WriteManifest,
    cdk_calls: list[object],
) -> None:
    roomy = make_endpoint(
        id="Roomy",
        component_prefix="roomy",
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
        # For all of them: a warning asks, too.
        lora=LoraServing(max_loras=30, max_cpu_loras=1000, max_lora_rank=64),
    )
    make("Warm", endpoint=roomy, component_prefix="warm")
    counts = []
    for name, adapters in (("One", 1), ("Many", 1000)):
        path = write_manifest(*({"name": f"{name}{number}"} for number in range(adapters)))
        cdk_calls.clear()
        make(name, endpoint=roomy, manifest=AdapterManifest.from_file(path))
        counts.append(len(cdk_calls))
    assert counts[0] == counts[1] > 0


def test_the_resource_says_where_the_fleet_is(plain: AdapterFleet, plain_properties: dict[str, Any]) -> None:
    properties = plain_properties
    assert properties["EndpointName"] == cdk.Stack.of(plain).resolve(plain.endpoint.endpoint_name)
    assert properties["BaseComponentName"] == plain.endpoint.base_component_name
    assert (properties["FleetName"], properties["ComponentPrefix"]) == ("Tenants", "acme")


def test_the_resource_changes_with_the_base_model(
    plain: AdapterFleet, plain_properties: dict[str, Any]
) -> None:
    assert plain_properties["BaseModelName"] == {
        "Fn::GetAtt": [
            cdk.Stack.of(plain).get_logical_id(
                cast("cdk.CfnElement", plain.endpoint.node.find_child("Model"))
            ),
            "ModelName",
        ]
    }


def test_the_resource_changes_with_the_instances_and_copies(plain_properties: dict[str, Any]) -> None:
    assert plain_properties["Hosting"] == {
        "InstanceType": "ml.g5.12xlarge",
        "InstanceCount": 1,
        "CopyCount": 1,
    }


def test_a_fleet_in_another_stack_takes_no_count_that_only_the_deployment_knows(
    tmp_path: Path, write_manifest: WriteManifest
) -> None:
    app = cdk.App(outdir=str(tmp_path / "other.out"))
    first, second = cdk.Stack(app, "First"), cdk.Stack(app, "Second")
    endpoint = MultiAdapterEndpoint(
        first,
        "Llm",
        base_model=BaseModel.from_hugging_face_hub("a/b"),
        container=LmiContainer(version=LmiVersion.V19),
        lora=LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
        instance_type=InstanceType.ML_G5_12XLARGE,
        compute=ComputeRequirements(accelerators=4, min_memory=cdk.Size.mebibytes(32000)),
        copy_count=cast("int", cdk.CfnParameter(first, "Copies", type="Number").value_as_number),
        component_prefix="acme",
        artifact_sources=[ArtifactSource(bucket=s3.Bucket.from_bucket_name(first, "Archives", "models"))],
    )
    AdapterFleet(second, "Tenants", endpoint=endpoint, manifest=AdapterManifest.from_file(write_manifest()))
    (fleet,) = Template.from_stack(second).find_resources("Custom::AdapterFleet").values()
    assert fleet["Properties"]["Hosting"] == {"InstanceType": "ml.g5.12xlarge", "InstanceCount": 1}


@pytest.fixture
def told_from_another_stack(
    tmp_path: Path, write_manifest: WriteManifest
) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Return a function that returns what a fleet in a stack of its own is told of the base model.

    With it, the outputs of the endpoint's stack.
    """

    def told(**settings: Any) -> tuple[str, dict[str, Any]]:
        app = cdk.App(outdir=str(tmp_path / "other.out"))
        first, second = cdk.Stack(app, "First"), cdk.Stack(app, "Second")
        models = s3.Bucket(first, "Models")
        endpoint = MultiAdapterEndpoint(
            first,
            "Llm",
            **{
                "base_model": BaseModel.from_bucket(models, "llama/"),
                "container": LmiContainer(version=LmiVersion.V19),
                "lora": LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
                "instance_type": InstanceType.ML_G5_12XLARGE,
                "compute": ComputeRequirements(accelerators=4, min_memory=cdk.Size.mebibytes(32000)),
                "component_prefix": "acme",
                "artifact_sources": [
                    ArtifactSource(bucket=s3.Bucket.from_bucket_name(first, "Archives", "models"))
                ],
                **{name: make(models) for name, make in settings.items()},
            },
        )
        AdapterFleet(
            second, "Tenants", endpoint=endpoint, manifest=AdapterManifest.from_file(write_manifest())
        )
        cast("cdk.CfnElement", models.node.default_child).override_logical_id(
            "Renamed"
        )  # nothing has fixed it yet
        (fleet,) = Template.from_stack(second).find_resources("Custom::AdapterFleet").values()
        return fleet["Properties"]["BaseModelName"], Template.from_stack(first).to_json()["Outputs"]

    return told


def test_a_fleet_in_another_stack_is_told_of_another_base_model_without_an_export(
    told_from_another_stack: Callable[..., tuple[str, dict[str, Any]]],
) -> None:
    told, outputs = told_from_another_stack()
    assert re.fullmatch("[0-9a-f]{16}", told)
    assert "ModelName" not in json.dumps(outputs)
    assert told_from_another_stack()[0] == told
    others: list[dict[str, Any]] = [
        {"base_model": lambda models: BaseModel.from_bucket(models, "qwen/")},
        {"container": lambda _: LmiContainer(version=LmiVersion.V20)},
        {"container": lambda _: LmiContainer(version=LmiVersion.V19, environment={"OPTION_X": "1"})},
        {"lora": lambda _: LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=64)},
        {"network_isolation": lambda _: False},
    ]
    assert len({told, *(told_from_another_stack(**other)[0] for other in others)}) == 6


def test_the_name_for_people_has_no_stack_in_it(
    stack: cdk.Stack, make: MakeFleet, write_manifest: WriteManifest, fleet_properties: FleetProperties
) -> None:
    make(scope=Construct(stack, "Llm2"))
    assert fleet_properties()["FleetName"] == "Llm2/Tenants"


def test_the_identifier_is_another_one_in_every_deployment_of_the_app(
    plain: AdapterFleet, plain_properties: dict[str, Any]
) -> None:
    place, of_stack = plain_properties["FleetUid"]["Fn::Join"][1]
    assert place == plain.node.addr[:8]
    assert of_stack == {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}


def test_a_moved_fleet_keeps_the_identifier_that_it_is_given(
    make: MakeFleet, fleet_properties: FleetProperties, template: Callable[[], dict[str, Any]]
) -> None:
    make(fleet_uid="c8a1b2c3-9f3e")
    assert fleet_properties()["FleetUid"] == "c8a1b2c3-9f3e"
    assert '"aws:RequestTag/fleet-uid": "c8a1b2c3-9f3e"' in json.dumps(template())


@pytest.mark.parametrize("uid", ["a/b", "*", "a" * 129])
def test_an_identifier_that_cannot_be_is_an_error(make: MakeFleet, uid: str) -> None:
    with pytest.raises(ValueError, match=r"^'Stack/Tenants': 'fleet_uid' should be at most 128 letters, "):
        make(fleet_uid=uid)


def test_two_fleets_of_one_identifier_are_an_error_that_names_both(make: MakeFleet) -> None:
    make(fleet_uid="c8a1b2c3-9f3e")
    with pytest.raises(ValueError, match="got 'c8a1b2c3-9f3e' for 'Stack/Tenants' and 'Stack/Others'"):
        make("Others", component_prefix="others", fleet_uid="c8a1b2c3-9f3e")


def test_settings_are_those_of_the_promises_by_default(plain_properties: dict[str, Any]) -> None:
    assert converter.structure(json.loads(plain_properties["Settings"]), FleetSettings) == FleetSettings(
        max_lora_rank=64
    )


def test_every_setting_reaches_the_functions(make: MakeFleet, settings: Callable[[], FleetSettings]) -> None:
    smoke = SmokeTest(prompt="Hello", max_tokens=4, expect="[a-z]")
    make(
        failure_policy=FailurePolicy.at_most(3),
        deletion_guard=DeletionGuard.share(0.5, above=2, allow_empty=True),
        update_mode=UpdateMode.REPLACE,
        request_rate=2,
        timeout=cdk.Duration.minutes(10),
        on_timeout=OnTimeout.FAIL,
        smoke_test=smoke,
        drift_check=DriftCheck.repair(every=HOURLY, probes=None),
        allow_base_replacement=True,
    )
    assert settings() == FleetSettings(
        failures=FailureLimit(count=3),
        deletions=DeletionLimit(share=0.5, above=2, allow_empty=True),
        update_mode=UpdateMode.REPLACE,
        request_rate=2,
        timeout_seconds=600,
        on_timeout=OnTimeout.FAIL,
        smoke=smoke.request(),
        drift=DriftAction.REPAIR,
        probes_per_drift_run=None,
        allow_base_replacement=True,
        max_lora_rank=64,
    )


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [(FailurePolicy.strict(), 0), (FailurePolicy.share(0.05), 5), (FailurePolicy.at_most(7), 7)],
    ids=["strict", "share", "at most"],
)
def test_a_failure_policy_allows_so_many_of_a_hundred(policy: FailurePolicy, allowed: int) -> None:
    assert policy._limit.allowed(100) == allowed


def test_no_guard_allows_to_delete_everything() -> None:
    assert DeletionGuard.off()._limit == DeletionLimit(share=1, allow_empty=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"timeout": cdk.Duration.minutes(56)},
            "'timeout' should be .* at most 55 minutes, .* got 56 minutes",
        ),
        ({"timeout": cdk.Duration.minutes(0)}, "'timeout' should be above 0 .* got 0 minutes"),
        (
            {"timeout": cdk.Duration.millis(1500)},
            "'timeout' should be whole seconds, got 1 second 500 millis",
        ),
        ({"request_rate": 0}, "'request_rate' should be above 0, got 0"),
        ({"component_prefix": ""}, "'component_prefix' should not be empty, got ''"),
        ({"component_prefix": "bad_prefix!"}, "'component_prefix' should be letters, .* got 'bad_prefix!'"),
        ({"component_prefix": "p" * 80}, "'component_prefix' should have at most 61 characters, .* got 80"),
    ],
)
def test_a_setting_that_cannot_be_is_an_error_with_the_fleet(
    make: MakeFleet, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^'Stack/Tenants': {message}"):
        make(**settings)


def test_a_prefix_is_checked_also_where_nobody_knows_the_adapters(
    make: MakeFleet, bucket: s3.IBucket
) -> None:
    with pytest.raises(ValueError, match=r"^'Stack/Tenants': 'component_prefix' should be letters"):
        make(manifest=AdapterManifest.from_bucket(bucket, "a.yaml"), component_prefix="bad_prefix!")


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (lambda: FailurePolicy.at_most(-1), "'count' should be at least 0, got -1"),
        (
            lambda: DriftCheck.report(every=cdk.Duration.seconds(30)),
            "'every' should be at least a minute, got 30 seconds",
        ),
        (
            lambda: DriftCheck.report(every=cdk.Duration.seconds(90)),
            "'every' should be whole minutes, got 1 minute 30 seconds",
        ),
    ],
)
def test_a_policy_that_cannot_be_is_an_error(policy: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"(^|: ){message}"):
        policy()


def test_drift_may_be_checked_as_often_as_a_parameter_says(
    stack: cdk.Stack, make: MakeFleet, resources: Resources
) -> None:
    minutes = cdk.CfnParameter(stack, "Minutes", type="Number").value_as_number
    make(drift_check=DriftCheck.report(every=cdk.Duration.minutes(minutes)))
    (rule,) = resources("AWS::Events::Rule")
    assert "Minutes" in json.dumps(rule["Properties"]["ScheduleExpression"])
    with pytest.raises(ValueError, match="'every' should be whole minutes, got a token of seconds"):
        DriftCheck.report(every=cdk.Duration.seconds(minutes))


def test_a_timeout_that_a_parameter_says_is_an_error(stack: cdk.Stack, make: MakeFleet) -> None:
    minutes = cdk.CfnParameter(stack, "Minutes", type="Number").value_as_number
    with pytest.raises(ValueError, match="'timeout' should be known at synth, got a token"):
        make(timeout=cdk.Duration.minutes(minutes))


@pytest.mark.parametrize(
    ("setting", "settings"),
    [
        ("request_rate", lambda number: {"request_rate": number}),
        ("share", lambda number: {"failure_policy": FailurePolicy.share(number)}),
        ("count", lambda number: {"failure_policy": FailurePolicy.at_most(number)}),
        ("above", lambda number: {"deletion_guard": DeletionGuard.share(0.5, above=number)}),
    ],
)
def test_a_number_that_a_parameter_says_is_an_error(
    stack: cdk.Stack, make: MakeFleet, setting: str, settings: Callable[..., Any]
) -> None:
    number = cdk.CfnParameter(stack, "Number", type="Number").value_as_number
    with pytest.raises(ValueError, match=f"'{setting}' should be known at synth, got a token$"):
        make(**settings(number))


def test_cloudformation_waits_longer_than_the_fleet_and_no_longer_than_it_can(
    make: MakeFleet, fleet_properties: FleetProperties
) -> None:
    make(timeout=cdk.Duration.minutes(55))
    assert 55 * 60 < int(fleet_properties()["ServiceTimeout"]) <= 3600


def test_tags_of_the_stack_and_of_the_fleet_reach_its_components(
    stack: cdk.Stack, make: MakeFleet, fleet_properties: FleetProperties
) -> None:
    cdk.Tags.of(stack).add("team", "support")
    fleet = make()
    cdk.Tags.of(fleet).add("tier", "gold")
    assert fleet_properties()["Tags"] == {"team": "support", "tier": "gold"}


def test_tags_given_to_the_stack_itself_reach_its_components(
    app: cdk.App, endpoint: MultiAdapterEndpoint, write_manifest: WriteManifest
) -> None:
    stack = cdk.Stack(app, "Tagged", tags={"cost-center": "42", "team": "none"})
    fleet = AdapterFleet(
        stack, "Tenants", endpoint=endpoint, manifest=AdapterManifest.from_file(write_manifest())
    )
    cdk.Tags.of(fleet).add("team", "support")
    (resource,) = Template.from_stack(stack).find_resources("Custom::AdapterFleet").values()
    assert resource["Properties"]["Tags"] == {"cost-center": "42", "team": "support"}


def test_tags_of_the_stack_can_be_removed_from_the_fleet(
    app: cdk.App, endpoint: MultiAdapterEndpoint, write_manifest: WriteManifest
) -> None:
    stack = cdk.Stack(app, "Tagged", tags={"cost-center": "42", "team": "none"})
    fleet = AdapterFleet(
        stack, "Tenants", endpoint=endpoint, manifest=AdapterManifest.from_file(write_manifest())
    )
    cdk.Tags.of(fleet).remove("team")
    (resource,) = Template.from_stack(stack).find_resources("Custom::AdapterFleet").values()
    assert resource["Properties"]["Tags"] == {"cost-center": "42"}
    assert resource["Properties"]["StackTagsLeftOut"] == ["team"]


@pytest.mark.parametrize("key", ["fleet-uid", "Fleet-UID"])
@pytest.mark.parametrize("value", ["mine", cdk.Aws.REGION], ids=["known", "token"])
def test_the_fleets_own_tag_is_not_for_users(app: cdk.App, make: MakeFleet, key: str, value: str) -> None:
    cdk.Tags.of(make()).add(key, value)
    with pytest.raises(
        RuntimeError, match=f"the tag '{key}' of the fleet 'Stack/Tenants': 'fleet-uid' is the tag by which"
    ):
        app.synth()


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("AWS:team", "support", "keys that begin with 'aws:' are AWS's own"),
        ("team", "support & sales", r"should be letters, .* got 'support & sales'"),
        ("team", "x" * 257, "should have at most 256 characters, got 257"),
        ("x" * 129, "support", "a key should have 1 to 128 characters, got 129"),
    ],
    ids=["of AWS", "characters", "length of a value", "length of a key"],
)
def test_a_tag_of_the_stack_that_no_component_can_have_is_an_error(
    app: cdk.App, stack: cdk.Stack, make: MakeFleet, key: str, value: str, problem: str
) -> None:
    make()
    cdk.Tags.of(stack).add(key, value)
    with pytest.raises(RuntimeError, match=f"the tag '{key[:70]}.* of the fleet 'Stack/Tenants': {problem}"):
        app.synth()


def test_the_value_of_a_tag_may_be_known_at_deployment_only(
    app: cdk.App, stack: cdk.Stack, make: MakeFleet, fleet_properties: FleetProperties
) -> None:
    make()
    cdk.Tags.of(stack).add("place", f"{cdk.Aws.REGION}/{cdk.Aws.ACCOUNT_ID}")
    assert fleet_properties()["Tags"]["place"]["Fn::Join"][1][0] == {"Ref": "AWS::Region"}
    app.synth()


def test_more_tags_than_a_component_may_have_are_an_error_that_names_the_adapter(
    app: cdk.App, stack: cdk.Stack, make: MakeFleet, write_manifest: WriteManifest
) -> None:
    tagged = {"name": "tagged", "tags": {f"own{number}": "x" for number in range(40)}}
    fleet = make(manifest=AdapterManifest.from_file(write_manifest({"name": "plain"}, tagged)))
    for number in range(10):
        cdk.Tags.of(stack).add(f"stack{number}", "x")
    with pytest.raises(RuntimeError) as error:
        app.synth()
    assert (
        "the tags of adapter 'tagged' of the fleet 'Stack/Tenants' should be at most 50 with the 10 of the"
        " fleet and 'fleet-uid', got 51" in str(error.value)
    )
    assert "plain" not in str(error.value)
    cdk.Tags.of(fleet).remove("stack0")
    app.synth()


def test_more_tags_of_the_stack_than_a_component_may_have_are_an_error(
    app: cdk.App, stack: cdk.Stack, make: MakeFleet, bucket: s3.IBucket
) -> None:
    make(manifest=AdapterManifest.from_bucket(bucket, "a.yaml", enable_events=False))
    for number in range(50):
        cdk.Tags.of(stack).add(f"stack{number}", "x")
    with pytest.raises(RuntimeError, match="the tags of the components of 'Stack/Tenants' should be at most"):
        app.synth()


def test_the_fleet_is_there_after_all_it_needs_and_gone_before(
    make: MakeFleet, template: Callable[[], dict[str, Any]]
) -> None:
    make(drift_check=DriftCheck.report(every=HOURLY))
    resources = template()
    needed = depends_on(resources, logical_id(resources, "Custom::AdapterFleet"))
    rest = resources.keys() - needed - {logical_id(resources, "Custom::AdapterFleet")}
    assert {resources[name]["Type"] for name in rest} == {"AWS::Events::Rule"}
    rule = logical_id(resources, "AWS::Events::Rule")
    assert logical_id(resources, "Custom::AdapterFleet") in resources[rule]["DependsOn"]


def test_a_fleet_in_another_stack_follows_the_endpoints_stack(
    app: cdk.App, stack: cdk.Stack, make: MakeFleet
) -> None:
    other = cdk.Stack(app, "Other")
    make(scope=other)
    app.synth()
    assert other.dependencies == [stack]


def test_a_new_manifest_in_s3_is_taken_and_none_is_missed_while_the_first_is_applied(
    stored_resources: dict[str, Any],
) -> None:
    resources = stored_resources
    (rule,) = rules_of(resources, "ManifestChanged")
    bucket = logical_id(resources, "AWS::S3::Bucket")
    assert resources[rule]["Properties"]["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {"bucket": {"name": [{"Ref": bucket}]}, "object": {"key": ["fleets/tenants.yaml"]}},
    }
    assert rule in resources[logical_id(resources, "Custom::AdapterFleet")]["DependsOn"]
    (target,) = resources[rule]["Properties"]["Targets"]
    function = resources[target["Arn"]["Fn::GetAtt"][0]]["Properties"]
    assert function["Handler"].endswith(".manifest_object")
    # What never reaches the function, and what it fails at.
    assert "DeadLetters" in str(target["DeadLetterConfig"])
    assert "DeadLetters" in str(function["DeadLetterConfig"])
    notifications = resources[logical_id(resources, "Custom::S3BucketNotifications")]["Properties"]
    assert "EventBridgeConfiguration" in notifications["NotificationConfiguration"]


def test_a_bucket_that_sends_its_events_already_is_left_as_it_is(
    bucket: s3.IBucket, make: MakeFleet, resources: Resources
) -> None:
    make(manifest=AdapterManifest.from_bucket(bucket, "a.yaml", enable_events=False))
    assert resources("Custom::S3BucketNotifications") == []


def test_a_drift_check_starts_the_machine_now_and_then(make: MakeFleet, resources: Resources) -> None:
    make(drift_check=DriftCheck.report(every=cdk.Duration.hours(6)))
    (rule,) = resources("AWS::Events::Rule")
    assert rule["Properties"]["ScheduleExpression"] == "rate(6 hours)"
    (target,) = rule["Properties"]["Targets"]
    assert '"trigger":"drift"' in target["InputTransformer"]["InputTemplate"]


def test_the_machine_repeats_passes_until_one_is_done(plain_resources: dict[str, Any]) -> None:
    texts = [
        "".join(
            part if isinstance(part, str) else ""
            for part in found["Properties"]["DefinitionString"]["Fn::Join"][1]
        )
        for found in plain_resources.values()
        if found["Type"] == "AWS::StepFunctions::StateMachine"
    ]
    (states,) = [json.loads(text)["States"] for text in texts if "First pass" in text]
    assert states["First pass"]["Next"] == states["Pass"]["Next"] == "Done?"
    assert states["Done?"]["Default"] == "Wait"
    assert states["Wait"] == {"Type": "Wait", "SecondsPath": "$.wait_seconds", "Next": "Pass"}
    assert "state.$" not in states["First pass"]["Parameters"]["Payload"]
    assert states["Pass"]["Parameters"]["Payload"]["state.$"] == "$.state"
    (retry,) = states["Pass"]["Retry"]
    assert retry["ErrorEquals"] == ["States.ALL"]


def test_the_registry_is_encrypted_recoverable_and_forgets_what_has_expired(
    plain_resources: dict[str, Any],
) -> None:
    table = plain_resources[logical_id(plain_resources, "AWS::DynamoDB::Table")]
    properties = table["Properties"]
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert table["DeletionPolicy"] == "Delete"


def test_the_registry_may_stay_when_the_fleet_goes(make: MakeFleet, resources: Resources) -> None:
    make(registry_removal_policy=cdk.RemovalPolicy.RETAIN)
    (table,) = resources("AWS::DynamoDB::Table")
    assert table["DeletionPolicy"] == "Retain"


def test_a_fleet_that_stays_when_its_base_goes_is_an_error(app: cdk.App, make: MakeFleet) -> None:
    make().apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    with pytest.raises(RuntimeError, match="'Stack/Tenants' should not be retained while the base model"):
        app.synth()


def test_a_fleet_may_stay_when_all_of_its_stack_stays(
    app: cdk.App, stack: cdk.Stack, make: MakeFleet, resources: Resources
) -> None:
    make()
    cdk.RemovalPolicies.of(stack).retain()
    app.synth()
    (fleet,) = resources("Custom::AdapterFleet")
    assert fleet["DeletionPolicy"] == "Retain"


@pytest.mark.parametrize("goes", ["AWS::SageMaker::InferenceComponent", "AWS::SageMaker::Endpoint"])
def test_a_fleet_that_stays_when_one_thing_that_it_needs_goes_is_an_error(
    app: cdk.App, stack: cdk.Stack, make: MakeFleet, goes: str
) -> None:
    make()
    cdk.RemovalPolicies.of(stack).retain(exclude_resource_types=[goes])
    with pytest.raises(RuntimeError, match="'Stack/Tenants' should not be retained"):
        app.synth()


def test_a_fleet_in_a_nested_stack_of_its_base_that_stays_is_an_error_too(
    app: cdk.App, stack: cdk.Stack, make: MakeFleet
) -> None:
    make(scope=cdk.NestedStack(stack, "Nested")).apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    with pytest.raises(RuntimeError, match="'Stack/Nested/Tenants' should not be retained"):
        app.synth()


def test_a_fleet_may_stay_when_its_base_is_in_another_stack(app: cdk.App, make: MakeFleet) -> None:
    other = cdk.Stack(app, "Other")
    make(scope=other).apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    (resource,) = Template.from_stack(other).find_resources("Custom::AdapterFleet").values()
    assert resource["DeletionPolicy"] == "Retain"


def test_every_function_runs_from_the_zip_and_has_a_role_and_logs_of_limited_age(
    plain: AdapterFleet, plain_resources: dict[str, Any]
) -> None:
    own = [
        resource["Properties"]
        for resource in plain_resources.values()
        if resource["Type"] == "AWS::Lambda::Function"
        and resource["Properties"]["Runtime"].startswith("python")
    ]
    assert {function["Handler"] for function in own} == {
        "adapter_fleet.lambdas.fleet.on_event",
        "adapter_fleet.lambdas.fleet.is_complete",
        "adapter_fleet.lambdas.fleet.run_pass",
    }
    assert len({json.dumps(function["Code"]) for function in own}) == 1
    assert len({json.dumps(function["Role"]) for function in own}) == len(own)
    groups = [r for r in plain_resources.values() if r["Type"] == "AWS::Logs::LogGroup"]
    assert all(group["Properties"]["RetentionInDays"] for group in groups)


def test_the_pass_writes_only_what_has_or_gets_the_fleets_tag(
    plain_resources: dict[str, Any], plain_properties: dict[str, Any]
) -> None:
    uid = plain_properties["FleetUid"]
    found = [
        statement
        for statement in statements(plain_resources, "RunPassRole")
        if actions([statement])
        & {
            "sagemaker:CreateInferenceComponent",
            "sagemaker:UpdateInferenceComponent",
            "sagemaker:DeleteInferenceComponent",
            "sagemaker:AddTags",
            "sagemaker:DeleteTags",
        }
    ]
    assert len(found) == 4
    for statement in found:
        equals = statement["Condition"]["StringEquals"]
        assert equals in ({"aws:RequestTag/fleet-uid": uid}, {"aws:ResourceTag/fleet-uid": uid})


def test_the_pass_may_take_over_nothing_of_another_fleet(
    plain_resources: dict[str, Any], plain_properties: dict[str, Any]
) -> None:
    (statement,) = [
        s
        for s in statements(plain_resources, "RunPassRole")
        if actions([s]) == {"sagemaker:AddTags"} and "StringEquals" in s["Condition"]
    ]
    uid = plain_properties["FleetUid"]
    assert statement["Condition"]["StringEqualsIfExists"] == {"aws:ResourceTag/fleet-uid": uid}
    assert statement["Condition"]["Null"] == {"aws:ResourceTag/aws:cloudformation:stack-name": "true"}


def test_the_pass_can_tell_an_archive_that_is_missing(plain_resources: dict[str, Any]) -> None:
    lists = [s for s in statements(plain_resources, "RunPassRole") if "s3:ListBucket" in actions([s])]
    assert "models" in str(lists)
    assert "assets" in str(lists)


def test_functions_that_answer_cloudformation_write_to_nothing_but_the_registry(
    plain_resources: dict[str, Any],
) -> None:
    on_event = actions(statements(plain_resources, "OnEventRole"))
    assert [action for action in on_event if action.startswith("cloudformation:")] == [
        "cloudformation:DescribeStacks"
    ]
    assert {action.partition(":")[0] for action in on_event} == {
        "cloudformation",
        "dynamodb",
        "logs",
        "s3",
        "sqs",
        "states",
    }
    assert "s3" not in {
        action.partition(":")[0] for action in actions(statements(plain_resources, "IsCompleteRole"))
    }


def test_a_rollback_can_read_the_manifest_before(plain_resources: dict[str, Any]) -> None:
    objects = str([s for s in statements(plain_resources, "OnEventRole") if "s3:GetObject" in actions([s])])
    assert "/adapter-manifests/*" in objects


def test_manifest_and_adapters_may_be_encrypted_with_keys(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, make: MakeFleet, template: Callable[[], dict[str, Any]]
) -> None:
    key = kms.Key(stack, "Key")
    own = s3.Bucket(stack, "Own", encryption_key=key)
    make(
        endpoint=make_endpoint(id="Other", artifact_sources=[ArtifactSource(bucket=own)]),
        manifest=AdapterManifest.from_bucket(own, "a.yaml"),
    )
    resources = template()
    for role in ("RunPassRole", "OnEventRole", "ManifestObjectRole"):
        assert "kms:Decrypt" in actions(statements(resources, f"Tenants{role}"))


@pytest.mark.parametrize("in_bucket", [False, True], ids=["manifest of synth", "manifest in S3"])
def test_archives_anywhere_are_read_with_the_keys_of_the_buckets_that_are_known(
    stack: cdk.Stack, make: MakeFleet, template: Callable[[], dict[str, Any]], in_bucket: bool
) -> None:
    key = kms.Key(stack, "Key")
    own = s3.Bucket(stack, "Own", encryption_key=key)
    archive = AdapterArtifact.from_bucket(own, f"a/{'0' * 64}.tar.gz")
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        stack, "Theirs", endpoint_name="llama", base_component_name="base", component_prefix="acme"
    )
    manifest = (
        AdapterManifest.from_bucket(
            s3.Bucket.from_bucket_name(stack, "Manifests", "manifests"), "a.yaml", buckets={"own": own}
        )
        if in_bucket
        else AdapterManifest.from_adapters([FleetAdapter(name="a", artifact=archive)])
    )
    make(endpoint=endpoint, manifest=manifest)
    decrypts = [s for s in statements(template(), "TenantsRunPassRole") if s["Action"] == "kms:Decrypt"]
    assert [s["Resource"] for s in decrypts] == [stack.resolve(key.key_arn)]


def test_a_component_is_named_by_the_prefix_and_the_adapter(plain: AdapterFleet) -> None:
    assert plain.component_name("ectsum") == "acme-ectsum"


def test_a_fleet_may_have_a_prefix_of_its_own(make: MakeFleet) -> None:
    assert make(component_prefix="eu").component_name("ectsum") == "eu-ectsum"


def test_a_prefix_known_at_deployment_only_begins_the_names(stack: cdk.Stack, make: MakeFleet) -> None:
    prefix = cdk.CfnParameter(stack, "Prefix").value_as_string
    fleet = make(component_prefix=prefix)
    assert stack.resolve(fleet.component_name("ectsum")) == {"Fn::Join": ["", [{"Ref": "Prefix"}, "-ectsum"]]}


def test_a_prefix_known_at_deployment_only_begins_no_name_that_the_manifest_gives(
    stack: cdk.Stack,
    make: MakeFleet,
    write_manifest: WriteManifest,
    caller: iam.Role,
    template: Callable[[], dict[str, Any]],
) -> None:
    # It begins as what stands for the prefix at synth does.
    path = write_manifest({"name": "llama", "component": "prod-llama"})
    prefix = cdk.CfnParameter(stack, "Prefix").value_as_string
    fleet = make(component_prefix=prefix, manifest=AdapterManifest.from_file(path))
    assert fleet.component_name("llama") == "prod-llama"
    fleet.grant_invoke(caller, adapters=["llama"])
    (statement,) = statements(template(), "Caller")
    assert statement["Resource"][1]["Fn::Join"][1][-1] == ":inference-component/prod-llama"


def test_an_adapter_that_is_not_in_the_manifest_is_an_error_with_what_was_meant(plain: AdapterFleet) -> None:
    with pytest.raises(ValueError, match=r"\(did you mean 'ectsum'\?\), got 'ectsums'"):
        plain.component_name("ectsums")


@pytest.mark.parametrize(("count", "others"), [(0, "none"), (1, "1 other"), (3, "3 others")])
def test_an_adapter_that_is_nothing_like_those_of_the_manifest_is_an_error_with_their_number(
    make: MakeFleet, count: int, others: str
) -> None:
    uri = "s3://models/adapters/sha256-" + "0" * 64 + ".tar.gz"
    adapters = [
        FleetAdapter(name=f"a{number}", artifact=AdapterArtifact.from_uri(uri)) for number in range(count)
    ]
    fleet = make(manifest=AdapterManifest.from_adapters(adapters))
    with pytest.raises(ValueError, match=rf"'Stack/Tenants': 'adapter' .* \(it has {others}\), got 'ectsum'"):
        fleet.component_name("ectsum")


@pytest.mark.parametrize("name", ["", "bad_name", "x" * 60, 5])
def test_a_name_that_no_component_can_have_is_an_error_where_nobody_knows_the_adapters(
    make: MakeFleet, bucket: s3.IBucket, name: Any
) -> None:
    fleet = make(manifest=AdapterManifest.from_bucket(bucket, "a.yaml"))
    with pytest.raises(ValueError, match=r"^'Stack/Tenants': "):
        fleet.component_name(name)


def test_a_manifest_in_s3_may_have_any_adapter(make: MakeFleet, bucket: s3.IBucket) -> None:
    fleet = make(manifest=AdapterManifest.from_bucket(bucket, "a.yaml"))
    assert fleet.component_name("anything") == "acme-anything"


def test_two_fleets_of_one_prefix_and_one_name_are_an_error_that_names_both(make: MakeFleet) -> None:
    make()
    with pytest.raises(ValueError, match="got 'acme-ectsum' for 'Stack/Tenants' and 'Stack/Others'"):
        make("Others")


@pytest.mark.parametrize("where", ["a stack", "a nested stack"])
def test_two_fleets_of_one_endpoint_in_two_stacks_are_told_apart_too(
    app: cdk.App, stack: cdk.Stack, make: MakeFleet, where: str
) -> None:
    make()
    other = cdk.Stack(app, "Other") if where == "a stack" else cdk.NestedStack(stack, "Other")
    with pytest.raises(ValueError, match=r"got 'acme-ectsum' for 'Stack/Tenants' and '.*Other/Tenants'"):
        make(scope=other)


def test_two_fleets_of_one_stack_on_the_endpoints_of_two_are_told_apart_too(
    app: cdk.App, make: MakeFleet, make_endpoint: MakeEndpoint, bucket: s3.IBucket
) -> None:
    other = cdk.Stack(app, "Other")
    sources = [ArtifactSource(bucket=bucket, prefix="adapters/")]
    make("Own", scope=other, endpoint=make_endpoint(other, component_prefix="acme", artifact_sources=sources))
    with pytest.raises(ValueError, match="got 'acme-ectsum' for 'Other/Own' and 'Other/Tenants'"):
        make(scope=other)


@pytest.mark.parametrize(
    ("there", "message"),
    [
        (
            {"account": "222222222222", "region": "us-east-1"},
            "'endpoint' should be in the account 111111111111, .* got 'There/Llm' in 222222222222",
        ),
        (
            {"account": "111111111111", "region": "eu-west-1"},
            "'endpoint' should be in the region us-east-1, .* got 'There/Llm' in eu-west-1",
        ),
    ],
)
def test_an_endpoint_that_is_known_to_be_elsewhere_is_an_error(
    app: cdk.App, write_manifest: WriteManifest, bucket: s3.IBucket, there: dict[str, Any], message: str
) -> None:
    here = cdk.Stack(app, "Here", env=cdk.Environment(account="111111111111", region="us-east-1"))
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        cdk.Stack(app, "There", env=cdk.Environment(**there)),
        "Llm",
        endpoint_name="llama",
        base_component_name="base",
        component_prefix="acme",
    )
    with pytest.raises(ValueError, match=f"^'Here/Tenants': {message}"):
        AdapterFleet(here, "Tenants", endpoint=endpoint, manifest=AdapterManifest.from_file(write_manifest()))
    with pytest.raises(ValueError, match=f"^'Here/Ectsum': {message}"):
        LoraAdapter(
            here,
            "Ectsum",
            endpoint=endpoint,
            artifact=AdapterArtifact.from_bucket(bucket, "adapters/a.tar.gz"),
        )


def test_an_endpoint_whose_region_is_not_known_may_be_used_in_one_that_is(
    app: cdk.App, make: MakeFleet, stack: cdk.Stack
) -> None:
    make(scope=cdk.Stack(app, "Here", env=cdk.Environment(region="us-east-1")))


def test_two_fleets_of_one_manifest_in_s3_and_one_prefix_are_an_error_that_names_both(
    make: MakeFleet, bucket: s3.IBucket
) -> None:
    make(manifest=AdapterManifest.from_bucket(bucket, "a.yaml"))
    make("Others", manifest=AdapterManifest.from_bucket(bucket, "b.yaml"))
    make("Third", manifest=AdapterManifest.from_bucket(bucket, "a.yaml"), component_prefix="third")
    with pytest.raises(ValueError, match=r"'a.yaml' and the prefix 'acme' for 'Stack/Tenants' and 'Stack/Ag"):
        make("Again", manifest=AdapterManifest.from_bucket(bucket, "a.yaml"))


def test_two_fleets_of_one_endpoint_are_told_apart_by_prefixes(make: MakeFleet, resources: Resources) -> None:
    make()
    make("Others", component_prefix="others")
    assert len(resources("Custom::AdapterFleet")) == 2


def test_a_fleet_and_an_adapter_of_the_stack_of_one_name_are_an_error(
    endpoint: MultiAdapterEndpoint, make: MakeFleet, bucket: s3.IBucket
) -> None:
    artifact = AdapterArtifact.from_bucket(bucket, "adapters/a.tar.gz")
    endpoint.add_adapter("Ectsum", artifact=artifact, component_name="acme-ECTSUM")
    with pytest.raises(ValueError, match="for 'Stack/Llm/Ectsum' and 'Stack/Tenants'"):
        make()


@pytest.fixture
def caller(stack: cdk.Stack) -> iam.Role:
    return iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())


def test_a_caller_of_the_fleet_is_told_by_its_tag(
    stack: cdk.Stack,
    endpoint: MultiAdapterEndpoint,
    make: MakeFleet,
    caller: iam.Role,
    template: Callable[[], dict[str, Any]],
) -> None:
    make().grant_invoke(caller)
    of_endpoint, of_components = statements(template(), "Caller")
    assert of_endpoint["Resource"] == stack.resolve(endpoint.endpoint_arn)
    assert of_components["Resource"]["Fn::Join"][1][-1] == ":inference-component/*"
    (condition,) = of_components["Condition"].values()
    assert list(condition) == ["aws:ResourceTag/fleet-uid"]
    assert actions([of_components]) == {
        "sagemaker:InvokeEndpoint",
        "sagemaker:InvokeEndpointWithResponseStream",
    }


def test_a_caller_in_another_stack_is_granted_too(app: cdk.App, make: MakeFleet) -> None:
    other = cdk.Stack(app, "Other")
    caller = iam.Role(other, "Caller", assumed_by=iam.AccountRootPrincipal())
    make().grant_invoke(caller)
    resources = Template.from_stack(other).to_json()["Resources"]
    assert "aws:ResourceTag/fleet-uid" in json.dumps(statements(resources, "Caller"))


def test_a_caller_of_some_adapters_is_told_their_names_in_every_case(
    make: MakeFleet, write_manifest: WriteManifest, caller: iam.Role, template: Callable[[], dict[str, Any]]
) -> None:
    fleet = make(manifest=AdapterManifest.from_file(write_manifest({"name": "Ectsum"}, {"name": "triage"})))
    fleet.grant_invoke(caller, adapters=["Ectsum"])
    (statement,) = statements(template(), "Caller")
    text = json.dumps(statement)
    assert ":inference-component/acme-Ectsum" in text
    assert ":inference-component/acme-ectsum" in text
    assert "triage" not in text


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"adapters": "acme"}, "'adapters' should be Sequence.str., got 'acme'"),
        ({"adapters": []}, "'adapters' should have at least one name or be left out, got none"),
        ({"adapters": [5]}, r"'adapters' should be Sequence.str., got 5 at index 0"),
        ({"components": "acme-a"}, "'components' should be Sequence.str., got 'acme-a'"),
        ({"adapters": ["ectsum"], "components": []}, "'components' should have at least one name"),
        ({"components": ["acme-ectsun"]}, r"'components' should be in .* \(did you mean 'acme-ectsum'\?\)"),
    ],
)
def test_names_to_grant_that_cannot_be_meant_are_an_error(
    make: MakeFleet,
    caller: iam.Role,
    template: Callable[[], dict[str, Any]],
    named: dict[str, Any],
    message: str,
) -> None:
    fleet = make()
    with pytest.raises(ValueError, match=f"^'Stack/Tenants': {message}"):
        fleet.grant_invoke(caller, **named)
    assert statements(template(), "Caller") == []


def test_a_caller_may_be_granted_components_by_name_where_nobody_knows_the_adapters(
    make: MakeFleet, bucket: s3.IBucket, caller: iam.Role, template: Callable[[], dict[str, Any]]
) -> None:
    fleet = make(manifest=AdapterManifest.from_bucket(bucket, "a.yaml"))
    fleet.grant_invoke(caller, adapters=["acme"], components=["tenant-old-2023"])
    (statement,) = statements(template(), "Caller")
    _, *arns = statement["Resource"]
    assert [arn["Fn::Join"][1][-1] for arn in arns] == [
        ":inference-component/acme-acme",
        ":inference-component/tenant-old-2023",
    ]


def test_an_adapter_of_a_fleet_has_the_metrics_and_the_grant_of_a_native_one(
    make: MakeFleet, caller: iam.Role, template: Callable[[], dict[str, Any]]
) -> None:
    adapter = make().adapter("ectsum")
    made = adapter.metric_model_latency()
    assert (made.namespace, made.metric_name) == ("AWS/SageMaker", "ModelLatency")
    assert made.dimensions == {"InferenceComponentName": "acme-ectsum"}
    adapter.grant_invoke(caller)
    (statement,) = statements(template(), "Caller")
    assert ":inference-component/acme-ectsum" in json.dumps(statement)


def test_an_adapter_of_a_fleet_may_be_told_by_its_component(make: MakeFleet, bucket: s3.IBucket) -> None:
    fleet = make(manifest=AdapterManifest.from_bucket(bucket, "a.yaml"))
    adapter = fleet.adapter("old", component_name="tenant-old-2023")
    assert adapter.metric_invocations().dimensions == {"InferenceComponentName": "tenant-old-2023"}
    with pytest.raises(ValueError, match=r"'component_name' should be letters, .* got 'bad_name'"):
        fleet.adapter("old", component_name="bad_name")


def test_an_adapter_of_a_fleet_has_no_other_component_than_the_manifest_gives_it(make: MakeFleet) -> None:
    fleet = make()
    assert fleet.adapter("ectsum", component_name="acme-ectsum").component_name == "acme-ectsum"
    with pytest.raises(ValueError, match="'component_name' should be 'acme-ectsum', which the manifest"):
        fleet.adapter("ectsum", component_name="acme-triage")


def test_more_names_than_a_role_holds_are_an_error_that_points_to_tags(
    make: MakeFleet, write_manifest: WriteManifest, caller: iam.Role
) -> None:
    names = [f"tenant{number}" for number in range(51)]
    fleet = make(manifest=AdapterManifest.from_file(write_manifest(*({"name": name} for name in names))))
    with pytest.raises(
        ValueError, match=r"'adapters' and 'components' should name at most 50, .* got 51: .*tag"
    ):
        fleet.grant_invoke(caller, adapters=names)


def test_who_reads_writes_nothing(
    make: MakeFleet, caller: iam.Role, template: Callable[[], dict[str, Any]]
) -> None:
    make().grant_read(caller)
    assert actions(statements(template(), "Caller")) == {
        "cloudformation:ListStackResources",
        "dynamodb:GetItem",
        "dynamodb:Query",
        "s3:GetObject",  # on archives, for `adapters plan`
        "s3:ListBucket",
        "sagemaker:DescribeInferenceComponent",
        "sagemaker:ListInferenceComponents",
        "sagemaker:ListTags",
    }


def test_who_manages_reads_gives_orders_and_changes_no_component(
    make: MakeFleet, caller: iam.Role, template: Callable[[], dict[str, Any]]
) -> None:
    make().grant_manage(caller)
    found = statements(template(), "Caller")
    assert actions(found) == {
        "cloudformation:ListStackResources",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "s3:GetObject",  # on archives, for `adapters plan` and `adapters import`
        "s3:ListBucket",
        "sagemaker:DescribeInferenceComponent",
        "sagemaker:ListInferenceComponents",
        "sagemaker:ListTags",
        "states:StartExecution",
    }
    (writes,) = [statement for statement in found if "dynamodb:PutItem" in actions([statement])]
    assert actions([writes]) == {"dynamodb:DeleteItem", "dynamodb:PutItem"}
    assert writes["Condition"]["ForAllValues:StringEquals"] == {"dynamodb:LeadingKeys": ["orders"]}


@pytest.mark.parametrize("grant", ["grant_read", "grant_manage"])
def test_who_reads_or_manages_reads_archives_of_the_endpoint_and_no_others(
    make: MakeFleet, caller: iam.Role, template: Callable[[], dict[str, Any]], grant: str
) -> None:
    getattr(make(), grant)(caller)
    found = [s for s in statements(template(), "Caller") if str(s["Action"]).startswith("s3:")]
    # The second tells an archive that is missing from one that may not be read.
    assert [(s["Action"], s["Resource"]["Fn::Join"][1][-1]) for s in found] == [
        ("s3:GetObject", ":s3:::models/adapters/*"),
        ("s3:ListBucket", ":s3:::models"),
    ]


@pytest.mark.parametrize("grant", ["grant_read", "grant_manage"])
def test_who_reads_or_manages_may_use_the_key_of_the_archives_to_read(
    stack: cdk.Stack,
    make: MakeFleet,
    make_endpoint: MakeEndpoint,
    caller: iam.Role,
    template: Callable[[], dict[str, Any]],
    grant: str,
) -> None:
    own = s3.Bucket(stack, "Own", encryption_key=kms.Key(stack, "Key"))
    sources = [ArtifactSource(bucket=own, prefix=prefix) for prefix in ("a", "b")]
    endpoint = make_endpoint(id="Own-Llm", component_prefix="own", artifact_sources=sources)
    manifest = AdapterManifest.from_adapters(
        [FleetAdapter(name="a", artifact=AdapterArtifact.from_bucket(own, f"a/{'0' * 64}.tar.gz"))]
    )
    getattr(make(endpoint=endpoint, manifest=manifest), grant)(caller)
    used = [action for action in actions(statements(template(), "Caller")) if action.startswith("kms:")]
    assert used == ["kms:Decrypt"]


@pytest.mark.parametrize("grant", ["grant_read", "grant_manage"])
def test_nothing_of_s3_is_granted_where_no_archive_is_known(
    stack: cdk.Stack,
    imported: Callable[..., IAdapterFleet],
    operated: dict[str, Any],
    caller: iam.Role,
    template: Callable[[], dict[str, Any]],
    grant: str,
) -> None:
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        stack, "Theirs", endpoint_name="llama", base_component_name="base", component_prefix="acme"
    )
    unknown = {"endpoint": endpoint, "manifest_bucket": None, "manifest_key": None}
    getattr(imported(**{**operated, **unknown}), grant)(caller)
    assert not any(action.startswith("s3:") for action in actions(statements(template(), "Caller")))


def test_who_manages_writes_the_manifest_in_s3_and_no_other_object(
    stack: cdk.Stack, make: MakeFleet, caller: iam.Role, template: Callable[[], dict[str, Any]]
) -> None:
    own = s3.Bucket(stack, "Own")
    make(manifest=AdapterManifest.from_bucket(own, "a.yaml")).grant_manage(caller)
    (statement,) = [s for s in statements(template(), "Caller") if "s3:PutObject" in actions([s])]
    assert statement["Resource"]["Fn::Join"][1][-1] == "/a.yaml"


def test_a_registry_may_be_encrypted_with_a_key_and_its_users_may_use_it(
    stack: cdk.Stack, make: MakeFleet, caller: iam.Role, template: Callable[[], dict[str, Any]]
) -> None:
    key = kms.Key(stack, "Key")
    fleet = make(functions=FunctionHosting(encryption_key=key))
    fleet.grant_read(caller)
    fleet.grant_manage(iam.Role(stack, "Manager", assumed_by=iam.AccountRootPrincipal()))
    resources = template()
    table = resources[logical_id(resources, "AWS::DynamoDB::Table")]["Properties"]
    assert table["SSESpecification"] == {
        "KMSMasterKeyId": stack.resolve(key.key_arn),
        "SSEEnabled": True,
        "SSEType": "KMS",
    }
    for role in ("RunPassRole", "OnEventRole", "IsCompleteRole"):
        assert "kms:GenerateDataKey*" in actions(statements(resources, f"Tenants{role}"))
    assert [action for action in actions(statements(resources, "Caller")) if action.startswith("kms")] == [
        "kms:Decrypt"
    ]
    assert "kms:Encrypt" in actions(statements(resources, "Manager"))


def test_cdk_nag_finds_nothing_in_a_fleet_whose_registry_has_a_key(
    app: cdk.App, stack: cdk.Stack, write_manifest: WriteManifest
) -> None:
    endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
        stack, "Llm", endpoint_name="llama", base_component_name="base", component_prefix="acme"
    )
    manifest = AdapterManifest.from_file(write_manifest())
    AdapterFleet(
        stack,
        "Tenants",
        endpoint=endpoint,
        manifest=manifest,
        functions=FunctionHosting(encryption_key=kms.Key(stack, "Key", enable_key_rotation=True)),
    )
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    app.synth()  # raises for what is found


def test_logs_are_kept_as_long_as_is_said(make: MakeFleet, resources: Resources) -> None:
    make(functions=FunctionHosting(log_retention=logs.RetentionDays.ONE_WEEK))
    assert {group["Properties"]["RetentionInDays"] for group in resources("AWS::Logs::LogGroup")} == {7}


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("metric_desired", "Desired"),
        ("metric_in_service", "InService"),
        ("metric_failed", "Failed"),
        ("metric_pending", "Pending"),
        ("metric_convergence_age", "ConvergenceAge"),
        ("metric_throttles", "Throttles"),
        ("metric_drifted", "Drifted"),
        ("metric_orphans", "Orphans"),
        ("metric_failed_passes", "FailedPasses"),
        ("metric_rejected", "Rejected"),
    ],
)
def test_a_metric_is_that_of_the_fleet(plain: AdapterFleet, metric: str, name: str) -> None:
    made = getattr(plain, metric)()
    assert (made.namespace, made.metric_name) == ("MultiAdapterInference", name)
    assert made.dimensions == {"Fleet": plain.fleet_uid}


def test_alarm_for_a_standstill_counts_failed_passes_and_functions_that_died(
    stack: cdk.Stack, make: MakeFleet
) -> None:
    alarm = make().monitor(usage=None).alarms["Standstill"]
    alarms = Template.from_stack(stack).find_resources("AWS::CloudWatch::Alarm")
    properties = alarms[stack.resolve(alarm.alarm_name)["Ref"]]["Properties"]
    assert (properties["Threshold"], properties["ComparisonOperator"]) == (
        3,
        "GreaterThanOrEqualToThreshold",
    )
    names = {
        metric["MetricStat"]["Metric"]["MetricName"]
        for metric in properties["Metrics"]
        if "MetricStat" in metric
    }
    assert names == {"FailedPasses", "Errors"}


def test_what_became_of_a_deployment_can_be_an_output(plain: AdapterFleet) -> None:
    attributes = {
        "Summary": plain.summary,
        "Desired": plain.desired_count,
        "InService": plain.in_service_count,
        "Failed": plain.failed_count,
        "Pending": plain.pending_count,
        "Orphans": plain.orphan_count,
    }
    for name, value in attributes.items():
        assert cdk.Stack.of(plain).resolve(value)["Fn::GetAtt"][1] == name


@pytest.fixture
def imported(stack: cdk.Stack, endpoint: MultiAdapterEndpoint) -> Callable[..., IAdapterFleet]:
    """Return a function that imports a fleet of another app."""

    def make_imported(**attributes: Any) -> IAdapterFleet:
        return AdapterFleet.from_fleet_attributes(
            stack, "Imported", **{"fleet_uid": "1234-uuid", "endpoint": endpoint, **attributes}
        )

    return make_imported


@pytest.fixture
def operated(stack: cdk.Stack) -> dict[str, Any]:
    """The attributes of a fleet of another app that its operators reach."""
    return {
        "registry": dynamodb.Table.from_table_name(stack, "Table", "registry"),
        "state_machine": sfn.StateMachine.from_state_machine_name(stack, "Machine", "machine"),
        "stack_name": "Theirs",
        "manifest_bucket": s3.Bucket.from_bucket_name(stack, "Manifests", "manifests"),
        "manifest_key": "a.yaml",
    }


def test_a_fleet_of_another_app_can_be_invoked(
    imported: Callable[..., IAdapterFleet], caller: iam.Role, template: Callable[[], dict[str, Any]]
) -> None:
    fleet = imported()
    fleet.grant_invoke(caller)
    text = json.dumps(statements(template(), "Caller"))
    assert '{"aws:ResourceTag/fleet-uid": "1234-uuid"}' in text
    assert fleet.component_name("any") == "acme-any"


@pytest.mark.parametrize("grant", ["grant_read", "grant_manage"])
def test_a_fleet_of_another_app_grants_what_one_of_this_app_does(
    stack: cdk.Stack,
    make: MakeFleet,
    imported: Callable[..., IAdapterFleet],
    operated: dict[str, Any],
    template: Callable[[], dict[str, Any]],
    grant: str,
) -> None:
    own, theirs = (iam.Role(stack, name, assumed_by=iam.AccountRootPrincipal()) for name in ("A", "B"))
    bucket, key = operated["manifest_bucket"], operated["manifest_key"]
    fleet = make(manifest=AdapterManifest.from_bucket(bucket, key))
    getattr(fleet, grant)(own)
    getattr(imported(**operated), grant)(theirs)

    def granted(name: str) -> list[dict[str, Any]]:
        resources = template()
        (policy,) = [id_ for id_ in resources if id_.startswith(f"{name}DefaultPolicy")]
        return statements(resources, policy)

    def shape(statement: dict[str, Any]) -> tuple[list[str], str]:
        return (sorted(actions([statement])), json.dumps(statement.get("Condition")))

    assert list(map(shape, granted("A"))) == list(map(shape, granted("B")))
    text = json.dumps(granted("B"))
    assert "table/registry" in text
    assert "stack/Theirs/*" in text


def test_a_fleet_imported_without_its_stack_is_found_by_its_table_alone(
    imported: Callable[..., IAdapterFleet],
    operated: dict[str, Any],
    caller: iam.Role,
    template: Callable[[], dict[str, Any]],
) -> None:
    imported(**{**operated, "stack_name": None}).grant_manage(caller)
    assert "cloudformation:ListStackResources" not in actions(statements(template(), "Caller"))


@pytest.mark.parametrize("missing", ["manifest_bucket", "manifest_key"])
def test_half_the_place_of_a_manifest_is_an_error(
    imported: Callable[..., IAdapterFleet], operated: dict[str, Any], missing: str
) -> None:
    with pytest.raises(ValueError, match="'manifest_bucket' and 'manifest_key' should be given together"):
        imported(**{**operated, missing: None})


@pytest.mark.parametrize(
    ("grant", "missing", "doing"),
    [
        ("grant_read", "registry", "read"),
        ("grant_manage", "registry", "managed"),
        ("grant_manage", "state_machine", "managed"),
    ],
)
def test_a_fleet_imported_without_what_is_granted_is_an_error(
    imported: Callable[..., IAdapterFleet],
    operated: dict[str, Any],
    caller: iam.Role,
    grant: str,
    missing: str,
    doing: str,
) -> None:
    fleet = imported(**{**operated, missing: None})
    with pytest.raises(ValueError, match=f"should be imported with '{missing}' to be {doing}, got None"):
        getattr(fleet, grant)(caller)


def test_a_fleet_imported_with_a_prefix_that_cannot_be_is_an_error(
    imported: Callable[..., IAdapterFleet],
) -> None:
    with pytest.raises(ValueError, match="'Stack/Imported': 'component_prefix' should be letters"):
        imported(component_prefix="bad_prefix!")


def test_a_fleet_may_be_added_to_its_endpoint_as_adapters_are(
    stack: cdk.Stack, endpoint: MultiAdapterEndpoint, write_manifest: WriteManifest, resources: Resources
) -> None:
    fleet = endpoint.add_fleet(
        "Tenants", manifest=AdapterManifest.from_file(write_manifest()), component_prefix="eu"
    )
    assert (fleet.node.path, fleet.endpoint) == ("Stack/Llm/Tenants", endpoint)
    assert fleet.component_name("ectsum") == "eu-ectsum"
    (resource,) = resources("Custom::AdapterFleet")
    assert resource["Properties"]["FleetName"] == "Llm/Tenants"


@pytest.mark.parametrize(
    ("id", "message"),
    [
        ("Base", "'id' of a fleet should be none of AlarmPolicy, Base, .* got 'Base'"),
        ("Tenants", "a fleet should have an id of its own, got 'Tenants' for 'Stack/Llm/Tenants'"),
    ],
)
def test_an_id_that_is_taken_on_the_endpoint_is_an_error(
    endpoint: MultiAdapterEndpoint, write_manifest: WriteManifest, id: str, message: str
) -> None:
    manifest = AdapterManifest.from_file(write_manifest())
    endpoint.add_fleet("Tenants", manifest=manifest)
    with pytest.raises(ValueError, match=message):
        endpoint.add_fleet(id, manifest=manifest)


def test_a_fleet_that_is_added_takes_every_setting_of_one_that_is_made() -> None:
    parameters = inspect.signature(AdapterFleet.__init__).parameters.keys()
    own = parameters - {"self", "scope", "id", "endpoint", "manifest"}
    assert own == FleetOptions.__annotations__.keys()


def test_two_machines_make_the_same_template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import aws_cdk as cdk\n"
        "from multi_adapter_inference import *\n"
        "app = cdk.App(outdir=sys.argv[2])\n"
        "stack = cdk.Stack(app, 'Stack')\n"
        "endpoint = MultiAdapterEndpoint.from_endpoint_attributes(stack, 'Llm', endpoint_name='e',"
        " base_component_name='b', component_prefix='p')\n"
        "AdapterFleet(stack, 'Tenants', endpoint=endpoint, manifest=AdapterManifest.from_adapters([]))\n"
        "app.synth()"
    )
    one, two = tmp_path / "one", tmp_path / "two"
    arguments = [str(Path(__file__).parents[3] / "constructs"), str(two / "out")]
    two.mkdir()
    subprocess.run([sys.executable, "-c", code, *arguments], cwd=two, check=True)
    # The other machine is this process, which has the CDK already.
    one.mkdir()
    monkeypatch.chdir(one)
    monkeypatch.setattr(sys, "argv", ["-c", arguments[0], str(one / "out")])
    monkeypatch.setattr(sys, "path", sys.path.copy())
    exec(compile(code, "app.py", "exec"), {})  # noqa: S102 - the code is above
    first, second = ((machine / "out" / "Stack.template.json").read_text() for machine in (one, two))
    assert first == second


@pytest.mark.parametrize(
    ("options", "rate"),
    [
        ({}, "rate(15 minutes)"),
        ({"reread_every": HOURLY}, "rate(1 hour)"),
        ({"reread_every": cdk.Duration.minutes(1)}, "rate(1 minute)"),
    ],
)
def test_manifest_in_s3_is_looked_at_on_a_schedule_without_any_drift_check(
    make: MakeFleet,
    bucket: s3.IBucket,
    template: Callable[[], dict[str, Any]],
    options: dict[str, Any],
    rate: str,
) -> None:
    make(manifest=AdapterManifest.from_bucket(bucket, "live.yaml", **options))
    resources = template()
    (rule,) = rules_of(resources, "ManifestReread")
    found = resources[rule]["Properties"]
    assert found["ScheduleExpression"] == rate
    (target,) = found["Targets"]
    assert json.loads(target["Input"]) == {"trigger": "schedule"}
    assert "ManifestObject" in str(target["Arn"])


def test_fleet_whose_manifest_comes_with_the_deployment_has_no_schedule(
    plain_resources: dict[str, Any],
) -> None:
    assert rules_of(plain_resources, "") == []


@pytest.mark.parametrize("every", [cdk.Duration.seconds(30), 15])
def test_interval_of_the_looks_is_whole_minutes(bucket: s3.IBucket, every: Any) -> None:
    with pytest.raises(ValueError, match="'reread_every' should be"):
        AdapterManifest.from_bucket(bucket, "live.yaml", reread_every=every)


def test_scheduled_pass_may_look_at_the_manifest(stored_resources: dict[str, Any]) -> None:
    assert "fleets/tenants.yaml" in str(statements(stored_resources, "RunPassRole"))


def test_monitor_adds_the_alarm_for_lost_events(
    make: MakeFleet, bucket: s3.IBucket, stack: cdk.Stack, template: Callable[[], dict[str, Any]]
) -> None:
    fleet = make(manifest=AdapterManifest.from_bucket(bucket, "live.yaml"))
    alarm = fleet.monitor(usage=None).alarms["LostEvents"]
    found = template()[stack.resolve(alarm.alarm_name)["Ref"]]["Properties"]
    assert found["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert (found["Threshold"], found["TreatMissingData"]) == (1, "notBreaching")
    assert "DeadLetters" in str(found["Dimensions"])


def test_fleet_without_monitor_has_no_alarm(stored_resources: dict[str, Any]) -> None:
    assert "AWS::CloudWatch::Alarm" not in {resource["Type"] for resource in stored_resources.values()}


class TestKeptArchives:
    def test_template_names_the_copies_as_cdk_gc_looks_for_them(
        self, plain: AdapterFleet, plain_properties: dict[str, Any]
    ) -> None:
        text = json.dumps(plain_properties["KeptArchives"])
        # The key of a copy, up to its first dot.
        assert f"/lora-adapters/fleet-{plain.node.addr[:8]}." in text

    def test_pass_may_write_copies_and_nothing_else(
        self, plain: AdapterFleet, plain_resources: dict[str, Any]
    ) -> None:
        (statement,) = [
            found
            for found in statements(plain_resources, "RunPassRole")
            if "s3:PutObject" in actions([found])
        ]
        assert f"/lora-adapters/fleet-{plain.node.addr[:8]}.*" in json.dumps(statement["Resource"])

    def test_fleet_that_was_moved_keeps_its_copies(
        self, make: MakeFleet, fleet_properties: FleetProperties
    ) -> None:
        make(fleet_uid="c8abcdef-1234")
        text = json.dumps(fleet_properties()["KeptArchives"])
        assert "/lora-adapters/fleet-c8abcdef.c8abcdef-1234/" in text

    def test_fleet_whose_manifest_is_in_s3_copies_nothing(self, stored_resources: dict[str, Any]) -> None:
        fleet = stored_resources[logical_id(stored_resources, "Custom::AdapterFleet")]
        assert "KeptArchives" not in fleet["Properties"]

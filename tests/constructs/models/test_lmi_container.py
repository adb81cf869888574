from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Match, Template
from botocore.loaders import Loader

from adapter_fleet.serving.registry_accounts import REGISTRY_ACCOUNTS
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    IContainer,
    LmiContainer,
    LmiVersion,
    VllmContainer,
    VllmVersion,
)
from tests.constructs.conftest import Infos, MakeEndpoint, Warnings, WriteManifest

TAG = "0.36.0-lmi19.0.0-cu128"


def container(stack: cdk.Stack) -> dict[str, Any]:
    (model,) = Template.from_stack(stack).find_resources("AWS::SageMaker::Model").values()
    return dict(model["Properties"]["PrimaryContainer"])


def image(stack: cdk.Stack) -> Any:
    return container(stack)["Image"]


def environment(stack: cdk.Stack) -> Any:
    return container(stack)["Environment"]


@pytest.fixture
def stack_in(app: cdk.App) -> Callable[[str], cdk.Stack]:
    return lambda region: cdk.Stack(app, region, env=cdk.Environment(account="123456789012", region=region))


@pytest.mark.parametrize(
    ("region", "account"),
    [
        ("us-east-1", "763104351884"),
        ("ca-west-1", "204538143572"),
        ("ap-southeast-7", "590183813437"),
        ("cn-north-1", "727897471807"),
        ("us-gov-west-1", "442386744353"),
    ],
)
def test_in_a_known_region_the_image_is_that_regions(
    make_endpoint: MakeEndpoint, stack_in: Callable[[str], cdk.Stack], region: str, account: str
) -> None:
    stack = stack_in(region)
    make_endpoint(stack)
    Template.from_stack(stack).resource_count_is("AWS::SageMaker::Model", 1)
    assert image(stack) == {
        "Fn::Join": [
            "",
            [f"{account}.dkr.ecr.{region}.", {"Ref": "AWS::URLSuffix"}, f"/djl-inference:{TAG}"],
        ]
    }


def test_the_role_pulls_from_the_repository_of_the_image(
    make_endpoint: MakeEndpoint, stack_in: Callable[[str], cdk.Stack]
) -> None:
    stack = stack_in("ca-west-1")
    make_endpoint(stack)
    (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    assert ":ecr:ca-west-1:204538143572:repository/djl-inference" in str(policy)


def test_a_region_known_at_deployment_only_is_looked_up_then(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint()
    look_up = {"Fn::FindInMap": ["LmiRegistryAccounts", {"Ref": "AWS::Region"}, "account"]}
    assert image(stack)["Fn::Join"][1][0] == look_up
    mappings = Template.from_stack(stack).to_json()["Mappings"]["LmiRegistryAccounts"]
    assert {region: entry["account"] for region, entry in mappings.items()} == REGISTRY_ACCOUNTS


def test_two_endpoints_of_a_stack_share_the_table_of_regions(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint(id="One")
    make_endpoint(id="Two")
    assert list(Template.from_stack(stack).to_json()["Mappings"]) == ["LmiRegistryAccounts"]


def test_a_region_without_the_image_is_an_error_that_lists_those_with_it(
    make_endpoint: MakeEndpoint, stack_in: Callable[[str], cdk.Stack]
) -> None:
    with pytest.raises(ValueError, match=r"no image of LMI 19 .* in the region 'xx-north-1'; .* eu-west-1"):
        make_endpoint(stack_in("xx-north-1"))


def test_an_image_of_ones_own_is_pulled_from_its_repository(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    repository = ecr.Repository.from_repository_arn(
        stack, "Repository", "arn:aws:ecr:eu-west-1:111122223333:repository/llm"
    )
    make_endpoint(container=LmiContainer(version=LmiVersion.V19, repository=repository, tag="patched"))
    assert "/llm:patched" in str(image(stack))
    assert "Mappings" not in Template.from_stack(stack).to_json()
    assert "arn:aws:ecr:eu-west-1:111122223333:repository/llm" in str(
        Template.from_stack(stack).find_resources("AWS::IAM::Policy")
    )


def test_a_tag_without_a_repository_is_an_error() -> None:
    with pytest.raises(ValueError, match="'tag' should come with 'repository', got 'patched' alone"):
        LmiContainer(version=LmiVersion.V19, tag="patched")


def test_the_environment_is_that_of_the_releases_lora_mode(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint()
    assert environment(stack) == {
        "OPTION_ASYNC_MODE": "true",
        "OPTION_ROLLING_BATCH": "disable",
        "OPTION_ENTRYPOINT": "djl_python.lmi_vllm.vllm_async_service",
        "OPTION_ENABLE_LORA": "true",
        "OPTION_ENABLE_PREFIX_CACHING": "--no-enable-prefix-caching",
        "OPTION_MAX_LORAS": "30",
        "OPTION_MAX_CPU_LORAS": "70",
        "OPTION_MAX_LORA_RANK": "64",
        "SERVING_FAIL_FAST": "true",
    }


def test_further_settings_are_added_to_the_environment(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(container=LmiContainer(version=LmiVersion.V13, environment={"OPTION_DTYPE": "fp16"}))
    assert environment(stack)["OPTION_DTYPE"] == "fp16"
    assert environment(stack)["OPTION_ROLLING_BATCH"] == "lmi-dist"


def test_a_setting_that_the_library_makes_is_an_error_that_names_it(make_endpoint: MakeEndpoint) -> None:
    container = LmiContainer(version=LmiVersion.V19, environment={"OPTION_MAX_LORAS": "31"})
    with pytest.raises(ValueError, match=r"should not set OPTION_MAX_LORAS, .* to '30', got '31'"):
        make_endpoint(container=container)


@pytest.mark.parametrize("setting", ["HF_MODEL_ID", "OPTION_MODEL_ID"])
def test_another_model_in_the_environment_is_an_error(make_endpoint: MakeEndpoint, setting: str) -> None:
    container = LmiContainer(version=LmiVersion.V19, environment={setting: "org/other"})
    with pytest.raises(
        ValueError, match=f"'Stack/Llm': 'environment' .* should not set {setting}, .* got 'org/other'"
    ):
        make_endpoint(container=container)


def test_as_many_entries_as_a_model_may_have_are_taken(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    most = shapes[shapes["ContainerDefinition"]["members"]["Environment"]["shape"]]["max"]

    def with_entries(count: int) -> LmiContainer:
        own = {f"OPTION_{number}": "1" for number in range(count - 9)}
        return LmiContainer(version=LmiVersion.V19, environment=own)

    make_endpoint(container=with_entries(most))
    assert len(environment(stack)) == most
    with pytest.raises(ValueError, match=f"should have at most {most} entries, got {most + 1}: OPTION_0, "):
        make_endpoint(id="TooMany", container=with_entries(most + 1))


@pytest.mark.parametrize(
    ("version", "id"),
    [
        (LmiVersion.V16, "lmi16-wrong-adapter"),
        (LmiVersion.V25, "cuda13-needs-newer-ami"),
        (LmiVersion.V29, "lmi29-adapters-unknown"),
    ],
)
def test_a_release_with_a_known_fault_is_warned_of(
    make_endpoint: MakeEndpoint, warnings: Warnings, version: LmiVersion, id: str
) -> None:
    make_endpoint(container=LmiContainer(version=version))
    assert any(f"multi-adapter-inference:{id}" in warning for warning in warnings())


def test_a_chosen_ami_is_that_of_the_instances_and_stops_the_warning(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, warnings: Warnings
) -> None:
    ami = "al2023-ami-sagemaker-inference-gpu-4-1"
    make_endpoint(container=LmiContainer(version=LmiVersion.V25), inference_ami_version=ami)
    assert not any("cuda13" in warning for warning in warnings())
    Template.from_stack(stack).has_resource_properties(
        "AWS::SageMaker::EndpointConfig",
        {"ProductionVariants": [Match.object_like({"InferenceAmiVersion": ami})]},
    )


def test_prefix_caching_is_off_and_synth_says_why_and_how_to_keep_it_on(
    make_endpoint: MakeEndpoint, infos: Infos
) -> None:
    make_endpoint()
    (info,) = infos()
    assert info.startswith("prefix caching is off, so what prompts have in common is computed for each")
    assert "LMI 19 finds cached prefixes by the adapter's name" in info
    assert "prefix_caching=True keeps it on" in info
    assert "[ack: multi-adapter-inference:prefix-caching-off]" in info


def test_note_says_that_a_file_beside_a_model_in_s3_counts_more(
    make_endpoint: MakeEndpoint, base_directory: Path, infos: Infos
) -> None:
    make_endpoint(id="Local", base_model=BaseModel.from_directory(base_directory))
    assert not any("serving.properties" in info for info in infos())
    make_endpoint(id="Stored")
    assert sum("a serving.properties beside the base model in S3" in info for info in infos()) == 1


@pytest.mark.parametrize("on", [False, True])
def test_prefix_caching_that_is_no_danger_gets_no_variable_and_no_note(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, infos: Infos, on: bool
) -> None:
    make_endpoint(container=LmiContainer(version=LmiVersion.V16, prefix_caching=on))
    assert "OPTION_ENABLE_PREFIX_CACHING" not in environment(stack)
    assert infos() == []


def test_prefix_caching_that_stays_on_is_noted_for_apps_that_import_the_endpoint(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, infos: Infos
) -> None:
    make_endpoint(container=LmiContainer(version=LmiVersion.V19, prefix_caching=True))
    assert "OPTION_ENABLE_PREFIX_CACHING" not in environment(stack)
    (info,) = infos()
    assert info.startswith("prefix caching is on: LMI 19 finds cached prefixes by the adapter's name")
    assert "but not in an app that imports this endpoint" in info
    assert "[ack: multi-adapter-inference:prefix-caching-on]" in info


@pytest.mark.parametrize("setting", ["OPTION_ENABLE_PREFIX_CACHING", "OPTION_enable_prefix_caching"])
def test_variable_of_prefix_caching_in_the_environment_is_an_error_that_names_the_argument(
    make_endpoint: MakeEndpoint, setting: str
) -> None:
    container = LmiContainer(version=LmiVersion.V28, environment={setting: "true"})
    with pytest.raises(ValueError, match="as 'prefix_caching' says it, got 'true'"):
        make_endpoint(container=container)


@pytest.mark.parametrize("kind", [LmiContainer, VllmContainer])
@pytest.mark.parametrize(
    "setting",
    [
        f"{prefix}_{name}"
        for prefix in ("OPTION", "SM_VLLM")
        for name in ("KV_TRANSFER_CONFIG", "KV_OFFLOADING_SIZE", "LMCACHE_AUTO_CONFIG", "LMCACHE_CONFIG_FILE")
    ],
)
def test_cache_outside_of_the_engine_is_a_prefix_cache(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, kind: Callable[..., IContainer], setting: str
) -> None:
    version = LmiVersion.V19 if kind is LmiContainer else VllmVersion.V2_6
    with pytest.raises(ValueError, match=f"should not set {setting} without prefix_caching=True, .* got 'x'"):
        make_endpoint(id="Off", container=kind(version=version, environment={setting: "x"}))
    make_endpoint(container=kind(version=version, environment={setting: "x"}, prefix_caching=True))
    assert environment(stack)[setting] == "x"


@pytest.mark.parametrize(
    ("setting", "value", "warned"),
    [
        ("OPTION_LMCACHE_AUTO_CONFIG", "true", True),
        ("OPTION_KV_TRANSFER_CONFIG", '{"kv_connector": "LMCacheConnectorV1"}', True),
        ("OPTION_KV_TRANSFER_CONFIG", '{"kv_connector": "OffloadingConnector"}', False),
    ],
)
def test_cache_that_does_not_tell_adapters_apart_is_warned_of(
    make_endpoint: MakeEndpoint, warnings: Warnings, setting: str, value: str, warned: bool
) -> None:
    own = LmiContainer(version=LmiVersion.V19, environment={setting: value}, prefix_caching=True)
    make_endpoint(container=own)
    assert any("lmcache-mixes-adapters" in warning for warning in warnings()) is warned


def test_prefix_cache_that_may_answer_for_an_old_version_is_warned_of_once(
    make_endpoint: MakeEndpoint, adapter_directory: Path, warnings: Warnings
) -> None:
    endpoint = make_endpoint(container=LmiContainer(version=LmiVersion.V19, prefix_caching=True))
    assert not any("prefix-cache-outlives-update" in warning for warning in warnings())
    for name in ("One", "Two"):
        endpoint.add_adapter(name, artifact=AdapterArtifact.from_directory(adapter_directory))
    assert sum("prefix-cache-outlives-update" in warning for warning in warnings()) == 1


def test_fleet_beside_a_prefix_cache_is_warned_of(
    make_endpoint: MakeEndpoint, bucket: s3.IBucket, write_manifest: WriteManifest, warnings: Warnings
) -> None:
    endpoint = make_endpoint(
        container=LmiContainer(version=LmiVersion.V19, prefix_caching=True),
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
    )
    endpoint.add_fleet("Tenants", manifest=AdapterManifest.from_file(write_manifest()))
    assert any("prefix-cache-outlives-update" in warning for warning in warnings())


@pytest.mark.parametrize(
    ("container", "per_version"),
    [
        (LmiContainer(version=LmiVersion.V19), False),
        (LmiContainer(version=LmiVersion.V16, prefix_caching=True), False),
        (LmiContainer(version=LmiVersion.V19, prefix_caching=True), True),
    ],
    ids=["off", "no danger", "component per version"],
)
def test_adapter_that_no_cached_prefix_can_answer_for_is_not_warned_of(
    make_endpoint: MakeEndpoint,
    adapter_directory: Path,
    warnings: Warnings,
    container: LmiContainer,
    per_version: bool,
) -> None:
    make_endpoint(container=container).add_adapter(
        "One",
        artifact=AdapterArtifact.from_directory(adapter_directory),
        component_per_version=per_version,
    )
    assert not any("prefix-cache-outlives-update" in warning for warning in warnings())


def test_warning_of_a_prefix_cache_can_be_acknowledged_on_the_endpoint(
    make_endpoint: MakeEndpoint, adapter_directory: Path, warnings: Warnings
) -> None:
    endpoint = make_endpoint(container=LmiContainer(version=LmiVersion.V19, prefix_caching=True))
    cdk.Annotations.of(endpoint).acknowledge_warning("multi-adapter-inference:prefix-cache-outlives-update")
    endpoint.add_adapter("One", artifact=AdapterArtifact.from_directory(adapter_directory))
    assert not any("prefix-cache-outlives-update" in warning for warning in warnings())


def test_a_container_is_one_of_the_two() -> None:
    with pytest.raises(TypeError, match="abstract class IContainer"):
        IContainer(version=LmiVersion.V19)  # type: ignore[abstract]

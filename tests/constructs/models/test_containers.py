"""Containers of LMI and of vLLM: images, settings, and what a user of them should know."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ecr as ecr
from aws_cdk.assertions import Template
from botocore.loaders import Loader

from adapter_rules.engines.container_releases import INFERENCE_AMI_FOR_CUDA_13, REGISTRY_ACCOUNTS
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterManifest,
    BaseModel,
    ComputeRequirements,
    IContainer,
    LmiContainer,
    LmiVersion,
    LoraServing,
    VllmContainer,
    VllmVersion,
)
from multi_adapter_inference.models.capacity import warn_of_idle_accelerators
from multi_adapter_inference.models.container import StartupDownload
from tests.constructs.conftest import ChangeConfig, MakeEndpoint, infos_of, warnings_of

LORA = LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)


def environment_of(container: IContainer) -> Mapping[str, str]:
    """Return the environment of a container whose model SageMaker downloads."""
    return container._environment_for(LORA, None)


def annotated(stack: cdk.Stack, container: IContainer, *, ami: str | None = None) -> cdk.Stack:
    """Return the stack with what a user of a container should know."""
    container.annotate(stack, inference_ami_version=ami, model_in_s3=False)
    return stack


def lmi(version: LmiVersion = LmiVersion.V19, **settings: Any) -> LmiContainer:
    return LmiContainer(version=version, **settings)


def vllm(version: VllmVersion = VllmVersion.V2_6, **settings: Any) -> VllmContainer:
    return VllmContainer(version=version, **settings)


@pytest.mark.parametrize(
    ("region", "account"), [("ca-west-1", "204538143572"), ("cn-north-1", "727897471807")]
)
def test_in_a_known_region_the_image_is_that_regions(app: cdk.App, region: str, account: str) -> None:
    stack = cdk.Stack(app, region, env=cdk.Environment(account="123456789012", region=region))
    image = lmi()._image(stack)
    begin, _, end = stack.resolve(image.uri)["Fn::Join"][1]
    assert (begin, end) == (f"{account}.dkr.ecr.{region}.", "/djl-inference:0.36.0-lmi19.0.0-cu128")
    assert image.repository_arn.endswith(f":ecr:{region}:{account}:repository/djl-inference")


def test_a_region_without_the_image_is_an_error_that_lists_those_with_it(
    app: cdk.App, make_endpoint: MakeEndpoint
) -> None:
    stack = cdk.Stack(app, "There", env=cdk.Environment(account="123456789012", region="xx-north-1"))
    with pytest.raises(
        ValueError, match=r"^'There/Llm': no image of LMI 19 .* in the region 'xx-north-1'; .* eu-west-1"
    ):
        make_endpoint(stack)


def test_an_image_of_ones_own_is_pulled_from_its_repository(stack: cdk.Stack) -> None:
    arn = "arn:aws:ecr:eu-west-1:111122223333:repository/llm"
    repository = ecr.Repository.from_repository_arn(stack, "Repository", arn)
    image = lmi(repository=repository, tag="patched")._image(stack)
    assert "/llm:patched" in str(stack.resolve(image.uri))
    assert image.repository_arn == arn
    assert stack.node.try_find_child("LmiRegistryAccounts") is None


def test_a_tag_without_a_repository_is_an_error() -> None:
    with pytest.raises(ValueError, match="'tag' should come with 'repository', got 'patched' alone"):
        lmi(tag="patched")


@pytest.mark.parametrize(
    ("make", "setting", "message"),
    [
        (lmi, "OPTION_MAX_LORAS", "which the library sets to '30', got 'x'"),
        (lmi, "OPTION_MODEL_ID", "which would replace the base model, got 'x'"),
        (lmi, "OPTION_enable_prefix_caching", "as 'prefix_caching' says it, got 'x'"),
        (vllm, "SM_VLLM_max_loras", "which the library sets to '30', got 'x'"),
        (vllm, "SM_VLLM_model", "which would replace the base model, got 'x'"),
    ],
)
def test_setting_that_is_not_the_users_is_an_error(
    make: Callable[..., IContainer], setting: str, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^'environment' .* should not set {setting}, .*{message}$"):
        environment_of(make(environment={setting: "x"}))


def test_as_many_entries_as_a_model_may_have_are_taken() -> None:
    shapes = Loader().load_service_model("sagemaker", "service-2")["shapes"]
    most = shapes[shapes["ContainerDefinition"]["members"]["Environment"]["shape"]]["max"]

    def with_entries(count: int) -> LmiContainer:
        return lmi(environment={f"OPTION_{number}": "1" for number in range(count - 9)})

    assert len(environment_of(with_entries(most))) == most
    with pytest.raises(ValueError, match=f"should have at most {most} entries, got {most + 1}: OPTION_0, "):
        environment_of(with_entries(most + 1))


@pytest.mark.parametrize(
    ("container", "ami", "ids"),
    [
        (lmi(LmiVersion.V28), INFERENCE_AMI_FOR_CUDA_13, []),
        (lmi(LmiVersion.V16), None, ["adapter-swapped-in-flight", "lmi16-wrong-adapter"]),
        (lmi(LmiVersion.V28), None, ["cuda13-needs-newer-ami"]),
        (vllm(VllmVersion.V1_4), None, ["adapter-swapped-in-flight"]),
        (vllm(), None, ["cuda13-needs-newer-ami"]),
        (
            lmi(LmiVersion.V28, environment={"OPTION_ENABLE_TOWER_CONNECTOR_LORA": "true"}),
            INFERENCE_AMI_FOR_CUDA_13,
            ["encoder-cache-outlives-update"],
        ),
    ],
    ids=["good", "known faults", "newer driver", "vLLM", "newer driver of vLLM", "images"],
)
def test_a_release_with_a_known_fault_is_warned_of(
    stack: cdk.Stack, container: IContainer, ami: str | None, ids: list[str]
) -> None:
    warnings = warnings_of(annotated(stack, container, ami=ami))
    assert [warning.rpartition("multi-adapter-inference:")[2].rstrip("]") for warning in warnings] == ids


@pytest.mark.parametrize(
    ("container", "title"), [(lmi(), "LMI 19"), (vllm(), "vLLM server 2.6")], ids=["LMI", "vLLM"]
)
def test_prefix_caching_is_off_and_synth_says_why_and_how_to_keep_it_on(
    stack: cdk.Stack, container: IContainer, title: str
) -> None:
    assert [name for name in environment_of(container) if "PREFIX" in name]
    (info,) = infos_of(annotated(stack, container))
    assert info.startswith("prefix caching is off, so what prompts have in common is computed for each")
    assert f"{title} finds cached prefixes by the adapter's name" in info
    assert "prefix_caching=True keeps it on" in info
    assert "[ack: multi-adapter-inference:prefix-caching-off]" in info


def test_note_says_that_a_file_beside_a_model_in_s3_counts_more(
    make_endpoint: MakeEndpoint, base_directory: Path
) -> None:
    text = "a serving.properties beside the base model in S3"
    local = make_endpoint(id="Local", base_model=BaseModel.from_directory(base_directory))
    assert not any(text in info for info in infos_of(local))
    assert sum(text in info for info in infos_of(make_endpoint(id="Stored"))) == 1


def test_prefix_caching_that_is_no_danger_gets_no_variable_and_no_note(stack: cdk.Stack) -> None:
    container = lmi(LmiVersion.V16)
    assert "OPTION_ENABLE_PREFIX_CACHING" not in environment_of(container)
    assert infos_of(annotated(stack, container)) == []


def test_prefix_caching_that_stays_on_is_noted_for_apps_that_import_the_endpoint(stack: cdk.Stack) -> None:
    container = lmi(prefix_caching=True)
    assert not [name for name in environment_of(vllm(prefix_caching=True)) if "PREFIX" in name]
    assert "OPTION_ENABLE_PREFIX_CACHING" not in environment_of(container)
    (info,) = infos_of(annotated(stack, container))
    assert info.startswith("prefix caching is on: LMI 19 finds cached prefixes by the adapter's name")
    assert "but not in an app that imports this endpoint" in info
    assert "[ack: multi-adapter-inference:prefix-caching-on]" in info


@pytest.mark.parametrize(
    ("kind", "version", "prefix"),
    [(LmiContainer, LmiVersion.V19, "OPTION"), (VllmContainer, VllmVersion.V2_6, "SM_VLLM")],
    ids=["LMI", "vLLM"],
)
@pytest.mark.parametrize(
    "name", ["KV_TRANSFER_CONFIG", "KV_OFFLOADING_SIZE", "LMCACHE_AUTO_CONFIG", "LMCACHE_CONFIG_FILE"]
)
def test_cache_outside_of_the_engine_is_a_prefix_cache(
    kind: Callable[..., IContainer], version: LmiVersion | VllmVersion, prefix: str, name: str
) -> None:
    setting = f"{prefix}_{name}"
    with pytest.raises(ValueError, match=f"should not set {setting} without prefix_caching=True, .* got 'x'"):
        environment_of(kind(version=version, environment={setting: "x"}))
    on = kind(version=version, environment={setting: "x"}, prefix_caching=True)
    assert environment_of(on)[setting] == "x"


@pytest.mark.parametrize(
    ("connector", "warned"), [("LMCacheConnectorV1", True), ("OffloadingConnector", False)]
)
def test_cache_that_does_not_tell_adapters_apart_is_warned_of(
    stack: cdk.Stack, connector: str, warned: bool
) -> None:
    environment = {"OPTION_KV_TRANSFER_CONFIG": f'{{"kv_connector": "{connector}"}}'}
    container = lmi(environment=environment, prefix_caching=True)
    assert (
        any("lmcache-mixes-adapters" in text for text in warnings_of(annotated(stack, container))) is warned
    )


@pytest.mark.slow
def test_prefix_cache_that_may_answer_for_an_old_version_is_warned_of_once(
    make_endpoint: MakeEndpoint, adapter_directory: Path
) -> None:
    endpoint = make_endpoint(container=lmi(prefix_caching=True))
    artifact = AdapterArtifact.from_directory(adapter_directory)

    def count() -> int:
        return sum("prefix-cache-outlives-update" in warning for warning in warnings_of(endpoint))

    assert count() == 0
    endpoint.add_adapter("Versions", artifact=artifact, component_per_version=True)
    assert count() == 0
    for name in ("One", "Two"):
        endpoint.add_adapter(name, artifact=artifact)
    assert count() == 1
    with_fleet = make_endpoint(id="Fleets", container=lmi(prefix_caching=True), component_prefix="fleets")
    with_fleet.add_fleet("Tenants", manifest=AdapterManifest.from_adapters([]))
    assert any("prefix-cache-outlives-update" in warning for warning in warnings_of(with_fleet))


@pytest.mark.parametrize(
    "container", [lmi(), lmi(LmiVersion.V16, prefix_caching=True)], ids=["off", "no danger"]
)
def test_update_that_no_cached_prefix_can_answer_for_is_not_warned_of(
    stack: cdk.Stack, container: LmiContainer
) -> None:
    container.warn_of_updates_in_place(stack)
    assert warnings_of(stack) == []


FEWER = ["cn-north-1", "cn-northwest-1", "eusc-de-east-1", "us-gov-east-1", "us-gov-west-1"]


@pytest.mark.parametrize("region", FEWER)
@pytest.mark.parametrize("version", [VllmVersion.V2_5, VllmVersion.V2_6])
def test_release_is_an_error_in_a_region_where_it_is_not_published(
    app: cdk.App, version: VllmVersion, region: str
) -> None:
    stack = cdk.Stack(app, region, env=cdk.Environment(account="123456789012", region=region))
    with pytest.raises(ValueError, match=f"no image of {version.title} .* in the region '{region}'; .*"):
        vllm(version)._image(stack)
    assert vllm(VllmVersion.V2_4)._image(stack).uri
    repository = ecr.Repository.from_repository_name(stack, "Repository", "own")
    assert "/own:server-sagemaker-cuda-v2." in vllm(version, repository=repository)._image(stack).uri


def test_region_known_at_deployment_only_is_looked_up_among_those_of_the_release(stack: cdk.Stack) -> None:
    """In one table of the stack for all containers of a kind that are in the same regions."""
    containers = (lmi(), lmi(), vllm(VllmVersion.V2_4), vllm())
    images = str([stack.resolve(container._image(stack).uri) for container in containers])
    tables = {
        name: {region: entry["account"] for region, entry in mapping.items()}
        for name, mapping in Template.from_stack(stack).to_json()["Mappings"].items()
    }
    place = "{'Ref': 'AWS::Region'}, 'account'"
    assert all(f"'Fn::FindInMap': ['{name}', {place}]" in images for name in tables)
    of_lmi, everywhere, fewer = sorted(tables.values(), key=len, reverse=True)
    assert of_lmi == everywhere == REGISTRY_ACCOUNTS
    assert fewer == {region: REGISTRY_ACCOUNTS[region] for region in everywhere if region not in FEWER}


def test_model_of_the_hub_is_named_as_the_container_reads_it() -> None:
    environment = vllm()._environment_for(LORA, StartupDownload(model_id="org/model", revision="0123abc"))
    named = {name: value for name, value in environment.items() if "MODEL_ID" in name or "REV" in name}
    assert named == {"HF_MODEL_ID": "org/model", "SM_VLLM_REVISION": "0123abc"}


def test_model_that_the_container_would_download_from_a_bucket_is_an_error() -> None:
    download = StartupDownload(model_id="s3://models/llama/", in_bucket=True)
    with pytest.raises(ValueError, match=r"should be ModelDownload.SAGEMAKER with vLLM server 2.6, got"):
        vllm()._environment_for(LORA, download)


def test_adapter_is_checked_by_the_rules_of_the_engine_in_the_container(
    make_endpoint: MakeEndpoint, adapter_directory: Path, change_config: ChangeConfig
) -> None:
    change_config(bias="all")
    endpoint = make_endpoint(container=vllm())
    with pytest.raises(ValueError, match="'bias' should be 'none': vLLM serves no adapters with biases"):
        endpoint.add_adapter("One", artifact=AdapterArtifact.from_directory(adapter_directory))


@pytest.mark.parametrize(
    ("settings", "accelerators", "warned"),
    [
        ({}, 4, True),
        ({}, 1, False),
        ({"SM_VLLM_TENSOR_PARALLEL_SIZE": "4"}, 4, False),
        ({"SM_VLLM_TENSOR_PARALLEL_SIZE": "2"}, 4, True),
    ],
)
def test_accelerators_that_vllm_leaves_idle_are_warned_of(
    stack: cdk.Stack, settings: dict[str, str], accelerators: int, warned: bool
) -> None:
    compute = ComputeRequirements(accelerators=accelerators, min_memory=cdk.Size.mebibytes(32000))
    warn_of_idle_accelerators(stack, vllm(environment=settings), compute)
    found = warnings_of(stack)
    assert bool(found) is warned
    assert all("set SM_VLLM_TENSOR_PARALLEL_SIZE to '4'" in warning for warning in found)

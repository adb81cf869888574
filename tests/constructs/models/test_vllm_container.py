from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ecr as ecr
from aws_cdk.assertions import Template

from adapter_fleet.serving.registry_accounts import REGISTRY_ACCOUNTS
from multi_adapter_inference import (
    AdapterArtifact,
    ComputeRequirements,
    LoraServing,
    VllmContainer,
    VllmVersion,
)
from multi_adapter_inference.models.capacity import warn_of_idle_accelerators
from multi_adapter_inference.models.container import StartupDownload
from tests.constructs.conftest import ChangeConfig, MakeEndpoint, infos_of, warnings_of
from tests.constructs.models.containers import LORA, annotated, environment_of


def vllm(version: VllmVersion = VllmVersion.V2_6, **settings: Any) -> VllmContainer:
    return VllmContainer(version=version, **settings)


def stack_in(app: cdk.App, region: str) -> cdk.Stack:
    return cdk.Stack(app, region, env=cdk.Environment(account="123456789012", region=region))


FEWER = ["cn-north-1", "cn-northwest-1", "eusc-de-east-1", "us-gov-east-1", "us-gov-west-1"]


@pytest.mark.parametrize("region", FEWER)
@pytest.mark.parametrize("version", [VllmVersion.V2_5, VllmVersion.V2_6])
def test_release_is_an_error_in_a_region_where_it_is_not_published(
    app: cdk.App, version: VllmVersion, region: str
) -> None:
    stack = stack_in(app, region)
    with pytest.raises(ValueError, match=f"no image of {version.title} .* in the region '{region}'; .*"):
        vllm(version)._image(stack)
    assert vllm(VllmVersion.V2_4)._image(stack).uri
    repository = ecr.Repository.from_repository_name(stack, "Repository", "own")
    assert "/own:server-sagemaker-cuda-v2." in vllm(version, repository=repository)._image(stack).uri


def test_region_known_at_deployment_only_is_looked_up_among_those_of_the_release(stack: cdk.Stack) -> None:
    versions = (VllmVersion.V2_4, VllmVersion.V2_6)
    images = str([stack.resolve(vllm(version)._image(stack).uri) for version in versions])
    tables = {
        name: {region: entry["account"] for region, entry in mapping.items()}
        for name, mapping in Template.from_stack(stack).to_json()["Mappings"].items()
    }
    assert all(f"'Fn::FindInMap': ['{name}'" in images for name in tables)
    everywhere, fewer = sorted(tables.values(), key=len, reverse=True)
    assert everywhere == REGISTRY_ACCOUNTS
    assert fewer == {region: REGISTRY_ACCOUNTS[region] for region in everywhere if region not in FEWER}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("SM_VLLM_enable_prefix_caching", "as 'prefix_caching' says it, got 'x'"),
        ("SM_VLLM_max_loras", "which the library sets to '30', got 'x'"),
        ("SM_VLLM_model", "which would replace the model of 'base_model', got 'x'"),
    ],
)
def test_setting_that_is_not_the_users_is_an_error(setting: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"should not set {setting}, .*{message}$"):
        environment_of(vllm(environment={setting: "x"}))


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


def test_rank_1_is_served() -> None:
    lora = LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=1)
    assert vllm()._environment_for(lora, None)["SM_VLLM_MAX_LORA_RANK"] == "1"


@pytest.mark.parametrize(("version", "warned"), [(VllmVersion.V1_4, False), (VllmVersion.V2_0, True)])
def test_a_release_on_cuda_13_needs_a_newer_ami(stack: cdk.Stack, version: VllmVersion, warned: bool) -> None:
    warnings = warnings_of(annotated(stack, vllm(version)))
    assert any("cuda13-needs-newer-ami" in warning for warning in warnings) is warned


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


def test_archives_in_a_bucket_are_no_code_of_the_container(stack: cdk.Stack) -> None:
    vllm().warn_of_unchecked_archives(stack)
    assert warnings_of(stack) == []


@pytest.mark.parametrize(("on", "said"), [(False, "off"), (True, "on")])
def test_prefix_caching_is_off_unless_it_is_wanted_and_synth_says_so(
    stack: cdk.Stack, on: bool, said: str
) -> None:
    container = vllm(prefix_caching=on)
    assert bool([name for name in environment_of(container) if "PREFIX" in name]) is not on
    (info,) = infos_of(annotated(stack, container))
    assert info.startswith(f"prefix caching is {said}")
    assert "vLLM server 2.6 finds cached prefixes by the adapter's name" in info

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Template

from adapter_fleet.serving.registry_accounts import REGISTRY_ACCOUNTS
from multi_adapter_inference import (
    AdapterArtifact,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    LoraServing,
    ModelDownload,
    VllmContainer,
    VllmVersion,
)
from tests.constructs.conftest import ChangeConfig, Infos, MakeEndpoint, Warnings

VLLM = VllmContainer(version=VllmVersion.V2_6)


def container(stack: cdk.Stack) -> dict[str, Any]:
    (model,) = Template.from_stack(stack).find_resources("AWS::SageMaker::Model").values()
    return dict(model["Properties"]["PrimaryContainer"])


def environment(stack: cdk.Stack) -> dict[str, str]:
    return dict(container(stack)["Environment"])


def test_image_is_that_of_the_region(app: cdk.App, make_endpoint: MakeEndpoint) -> None:
    stack = cdk.Stack(app, "Here", env=cdk.Environment(account="123456789012", region="eu-west-1"))
    make_endpoint(stack, container=VLLM)
    assert container(stack)["Image"] == {
        "Fn::Join": [
            "",
            [
                "763104351884.dkr.ecr.eu-west-1.",
                {"Ref": "AWS::URLSuffix"},
                "/vllm:server-sagemaker-cuda-v2.6",
            ],
        ]
    }
    (policy,) = Template.from_stack(stack).find_resources("AWS::IAM::Policy").values()
    assert ":ecr:eu-west-1:763104351884:repository/vllm" in str(policy)


FEWER = ["cn-north-1", "cn-northwest-1", "eusc-de-east-1", "us-gov-east-1", "us-gov-west-1"]


@pytest.mark.parametrize("region", FEWER)
@pytest.mark.parametrize("version", [VllmVersion.V2_5, VllmVersion.V2_6])
def test_release_is_an_error_in_a_region_where_it_is_not_published(
    app: cdk.App, make_endpoint: MakeEndpoint, version: VllmVersion, region: str
) -> None:
    stack = cdk.Stack(app, "Here", env=cdk.Environment(account="123456789012", region=region))
    with pytest.raises(ValueError, match=f"no image of {version.title} .* in the region '{region}'; .*"):
        make_endpoint(stack, container=VllmContainer(version=version))
    make_endpoint(stack, id="Before", container=VllmContainer(version=VllmVersion.V2_4))


def test_image_of_ones_own_may_be_in_any_region(app: cdk.App, make_endpoint: MakeEndpoint) -> None:
    stack = cdk.Stack(app, "Here", env=cdk.Environment(account="123456789012", region="cn-north-1"))
    repository = ecr.Repository.from_repository_name(stack, "Repository", "vllm")
    make_endpoint(stack, container=VllmContainer(version=VllmVersion.V2_6, repository=repository))
    assert "/vllm:server-sagemaker-cuda-v2.6" in str(container(stack)["Image"])


def test_region_known_at_deployment_only_is_looked_up_among_those_of_the_release(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    make_endpoint(id="Everywhere", container=VllmContainer(version=VllmVersion.V2_4))
    make_endpoint(id="Fewer", container=VLLM)
    template = Template.from_stack(stack)
    models = str(template.find_resources("AWS::SageMaker::Model"))
    tables = {
        name: {region: entry["account"] for region, entry in mapping.items()}
        for name, mapping in template.to_json()["Mappings"].items()
    }
    assert all(f"'Fn::FindInMap': ['{name}'" in models for name in tables)
    everywhere, fewer = sorted(tables.values(), key=len, reverse=True)
    assert everywhere == REGISTRY_ACCOUNTS
    assert fewer == {region: REGISTRY_ACCOUNTS[region] for region in everywhere if region not in FEWER}


def test_environment_is_the_containers_own(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    own = VllmContainer(version=VllmVersion.V2_6, environment={"SM_VLLM_MAX_MODEL_LEN": "4096"})
    make_endpoint(container=own)
    assert environment(stack) == {
        "SM_VLLM_ENABLE_LORA": "true",
        "SM_VLLM_MAX_CPU_LORAS": "70",
        "SM_VLLM_MAX_LORAS": "30",
        "SM_VLLM_MAX_LORA_RANK": "64",
        "SM_VLLM_MAX_MODEL_LEN": "4096",
        "SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",
    }


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "false", "which the library sets to 'true', got 'false'"),
        ("SM_VLLM_NO_ENABLE_PREFIX_CACHING", "false", "as 'prefix_caching' says it, got 'false'"),
        ("SM_VLLM_ENABLE_PREFIX_CACHING", "true", "as 'prefix_caching' says it, got 'true'"),
        ("SM_VLLM_enable_prefix_caching", "true", "as 'prefix_caching' says it, got 'true'"),
        ("SM_VLLM_max_loras", "31", "which the library sets to '30', got '31'"),
        ("SM_VLLM_model", "org/other", "which would replace the model of 'base_model', got 'org/other'"),
        ("SM_VLLM_MODEL", "org/other", "which would replace the model of 'base_model', got 'org/other'"),
    ],
)
def test_setting_that_is_not_the_users_is_an_error(
    make_endpoint: MakeEndpoint, setting: str, value: str, message: str
) -> None:
    own = VllmContainer(version=VllmVersion.V2_6, environment={setting: value})
    with pytest.raises(ValueError, match=f"should not set {setting}, .*{message}"):
        make_endpoint(container=own)


def test_model_of_the_hub_is_named_as_the_container_reads_it(
    stack: cdk.Stack, make_endpoint: MakeEndpoint
) -> None:
    model = BaseModel.from_hugging_face_hub("org/model", revision="0123abc")
    make_endpoint(container=VLLM, base_model=model)
    named = {name: value for name, value in environment(stack).items() if "MODEL_ID" in name or "REV" in name}
    assert named == {"HF_MODEL_ID": "org/model", "SM_VLLM_REVISION": "0123abc"}


def test_model_that_the_container_would_download_from_a_bucket_is_an_error(
    make_endpoint: MakeEndpoint, stack: cdk.Stack
) -> None:
    bucket = s3.Bucket.from_bucket_name(stack, "Models", "models-bucket")
    model = BaseModel.from_bucket(bucket, "llama/", download=ModelDownload.CONTAINER)
    with pytest.raises(ValueError, match=r"should be ModelDownload.SAGEMAKER with vLLM server 2.6, got"):
        make_endpoint(container=VLLM, base_model=model)


def test_adapter_is_checked_by_the_rules_of_the_engine_in_the_container(
    make_endpoint: MakeEndpoint, adapter_directory: Path, change_config: ChangeConfig
) -> None:
    change_config(bias="all")
    endpoint = make_endpoint(container=VLLM)
    with pytest.raises(ValueError, match="'bias' should be 'none': vLLM serves no adapters with biases"):
        endpoint.add_adapter("One", artifact=AdapterArtifact.from_directory(adapter_directory))


def test_rank_1_is_served(stack: cdk.Stack, make_endpoint: MakeEndpoint) -> None:
    make_endpoint(container=VLLM, lora=LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=1))
    assert environment(stack)["SM_VLLM_MAX_LORA_RANK"] == "1"


@pytest.mark.parametrize(("version", "warned"), [(VllmVersion.V1_4, False), (VllmVersion.V2_0, True)])
def test_a_release_on_cuda_13_needs_a_newer_ami(
    make_endpoint: MakeEndpoint, warnings: Warnings, version: VllmVersion, warned: bool
) -> None:
    make_endpoint(container=VllmContainer(version=version))
    assert any("cuda13-needs-newer-ami" in warning for warning in warnings()) is warned


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
    make_endpoint: MakeEndpoint,
    warnings: Warnings,
    settings: dict[str, str],
    accelerators: int,
    warned: bool,
) -> None:
    own = VllmContainer(version=VllmVersion.V2_6, environment=settings)
    compute = ComputeRequirements(accelerators=accelerators, min_memory=cdk.Size.mebibytes(32000))
    make_endpoint(container=own, compute=compute)
    found = [warning for warning in warnings() if "idle-accelerators" in warning]
    assert bool(found) is warned
    assert all("set SM_VLLM_TENSOR_PARALLEL_SIZE to '4'" in warning for warning in found)


def test_archives_in_a_bucket_are_no_code_of_the_container(
    make_endpoint: MakeEndpoint, bucket: s3.IBucket, warnings: Warnings
) -> None:
    endpoint = make_endpoint(
        container=VLLM, artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")]
    )
    artifact = AdapterArtifact.from_bucket(bucket, "adapters/one.tar.gz")
    endpoint.add_adapter("One", artifact=artifact)
    assert not any("archives-in-s3-not-checked" in warning for warning in warnings())


def test_prefix_caching_is_off_and_synth_says_so(make_endpoint: MakeEndpoint, infos: Infos) -> None:
    make_endpoint(container=VLLM)
    (info,) = infos()
    assert "vLLM server 2.6 finds cached prefixes by the adapter's name" in info


def test_prefix_caching_may_stay_on(stack: cdk.Stack, make_endpoint: MakeEndpoint, infos: Infos) -> None:
    make_endpoint(container=VllmContainer(version=VllmVersion.V2_6, prefix_caching=True))
    assert not [name for name in environment(stack) if "PREFIX" in name]
    (info,) = infos()
    assert info.startswith("prefix caching is on: vLLM server 2.6 finds cached prefixes by")

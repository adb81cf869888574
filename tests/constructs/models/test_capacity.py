"""What fits into memory is told at synth: an error where that is certain, else a warning."""

import re
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3
from constructs import Construct

from adapter_rules.hardware.memory import GpuMemory
from multi_adapter_inference import (
    AdapterFleet,
    AdapterManifest,
    BaseModel,
    ComputeRequirements,
    IContainer,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    VllmContainer,
    VllmVersion,
)
from multi_adapter_inference.models.capacity import (
    memory_of_copy,
    warn_of_adapters_on_disk,
    warn_of_memory,
)
from tests.constructs.conftest import MakeEndpoint, WriteManifest, imported_endpoint, warnings_of

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"
ONE = ComputeRequirements(accelerators=1, min_memory=cdk.Size.gibibytes(1))
FOUR = ComputeRequirements(accelerators=4, min_memory=cdk.Size.gibibytes(1))
G5 = InstanceType.ML_G5_XLARGE


@pytest.fixture(scope="module")
def models() -> s3.IBucket:
    return s3.Bucket.from_bucket_name(cdk.Stack(cdk.App(), "Stack"), "Bucket", "models")


@pytest.fixture(scope="module")
def llama(models: s3.IBucket) -> BaseModel:
    """A base model that is known by name."""
    return BaseModel.from_bucket(models, "llama/", name=LLAMA_8B)


def slots(count: int, rank: int = 64) -> LoraServing:
    return LoraServing(max_loras=count, max_cpu_loras=count, max_lora_rank=rank)


def lmi(**environment: str) -> LmiContainer:
    return LmiContainer(version=LmiVersion.V19, environment=environment)


def copy_of(
    model: BaseModel,
    *,
    lora: LoraServing | None = None,
    container: IContainer | None = None,
    compute: ComputeRequirements = ONE,
    on: InstanceType = G5,
) -> GpuMemory | str:
    """Return what is in the memory of a copy with a few adapters."""
    return memory_of_copy(model, lora or slots(4), container or lmi(OPTION_MAX_MODEL_LEN="6000"), compute, on)


def told(memory: GpuMemory | str) -> list[str]:
    """Return the warnings about the memory of a copy."""
    scope = Construct(cdk.Stack(cdk.App(), "Stack"), "Llm")
    warn_of_memory(scope, memory, lmi())
    return warnings_of(scope)


def test_weights_and_slots_that_are_more_than_the_memory_are_an_error_of_the_endpoint(
    make_endpoint: MakeEndpoint, llama: BaseModel
) -> None:
    with pytest.raises(
        ValueError,
        match=r"^'Stack/Llm': 'max_loras' x 'max_lora_rank' should leave room on 1 x 24 GiB of"
        r" ml\.g5\.xlarge, got 30 x 64: on each accelerator, the base model's weights take 15\.0 GiB and the"
        r" slots 10\.3 GiB, of 21\.6 GiB at most that vLLM takes; lower one",
    ):
        make_endpoint(base_model=llama, lora=slots(30), instance_type=G5, compute=ONE)


def test_too_little_for_one_sequence_is_warned_of_with_numbers(llama: BaseModel) -> None:
    (warning,) = told(copy_of(llama, container=lmi(OPTION_MAX_MODEL_LEN="32768")))
    assert "2.0 GiB are left for its key-value cache" in warning
    assert "one sequence of 32768 tokens" in warning
    assert "takes 4.0 GiB" in warning
    assert "multi-adapter-inference:small-key-value-cache" in warning
    assert told(copy_of(llama, container=lmi(OPTION_MAX_MODEL_LEN="8192"))) == []


@pytest.mark.parametrize(
    ("instance_type", "accelerators", "container", "what_to_give"),
    [
        ("ml.g5.xlarge", 1, lmi(), r"got 131\.4 GiB on each .*; give a copy more accelerators, or"),
        (
            "ml.p5.48xlarge",
            8,
            VllmContainer(version=VllmVersion.V2_6),
            "weights should fit on 1 x 80 GiB .*; vLLM uses 1 of the 8 accelerators of a copy; set"
            " SM_VLLM_TENSOR_PARALLEL_SIZE to '8' in the container's environment$",
        ),
    ],
    ids=["a large model", "accelerators that vLLM does not use"],
)
def test_an_app_that_cannot_run_is_an_error_with_what_to_give(
    models: s3.IBucket, instance_type: str, accelerators: int, container: IContainer, what_to_give: str
) -> None:
    compute = ComputeRequirements(accelerators=accelerators, min_memory=cdk.Size.gibibytes(1))
    model = BaseModel.from_bucket(models, name=LLAMA_70B)
    with pytest.raises(ValueError, match=what_to_give):
        copy_of(model, compute=compute, on=InstanceType.of(instance_type), container=container)


def test_a_configuration_is_enough_to_count_a_model_of_any_name(
    models: s3.IBucket, base_directory: Path
) -> None:
    config = base_directory / "config.json"
    for model in (
        BaseModel.from_bucket(models, "own/", config=config),
        BaseModel.from_hugging_face_hub("acme/own-model", config=config),
        BaseModel.from_directory(base_directory),
    ):
        with pytest.raises(ValueError, match=r"got 100000 x 512: .* the slots \d+\.\d GiB"):
            copy_of(model, lora=slots(100000, 512), compute=FOUR, on=InstanceType.ML_G5_12XLARGE)


def test_a_configuration_of_a_type_that_is_not_known_is_warned_of(
    make_endpoint: MakeEndpoint, bucket: s3.IBucket, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "mamba"}')
    endpoint = make_endpoint(base_model=BaseModel.from_bucket(bucket, "own/", config=config))
    (warning,) = (text for text in warnings_of(endpoint) if "memory-not-checked" in text)
    assert "the size of a model of the type 'mamba' is not known" in warning


A_NUMBER = cast("int", cdk.Token.as_number({"Ref": "Number"}))
NAME_OF_8B = r"\(did you mean 'llama-3\.1-8b-instruct'\?\), or give its config\.json as 'config', got "


@pytest.mark.parametrize(
    ("prefix", "name", "settings", "what_to_give"),
    [
        ("llama-3.1-8b-instruct/", None, {}, f"'name' should be a known one {NAME_OF_8B}None"),
        ("base/", "meta-llama/Llama-3.1-8B-Instrct", {}, f"{NAME_OF_8B}'meta-llama/.*Instrct'"),
        (
            "base/",
            LLAMA_8B,
            {"on": InstanceType.of("ml.g9.48xlarge", accelerators=8)},
            r"'accelerator_memory' of InstanceType\.of\('ml\.g9\.48xlarge', …\) should be given, got None",
        ),
        (
            "base/",
            LLAMA_8B,
            {"compute": ComputeRequirements(accelerators=A_NUMBER, min_memory=cdk.Size.gibibytes(1))},
            "'accelerators' should be known at synth, got a token",
        ),
        (
            "base/",
            LLAMA_8B,
            {"container": lmi(OPTION_MAX_MODEL_LEN=cdk.Token.as_string({"Ref": "Length"}))},
            "the memory is not known with OPTION_MAX_MODEL_LEN=",
        ),
        (
            "base/",
            LLAMA_70B,
            {"container": lmi(OPTION_QUANTIZE="awq")},
            "'config' of the base model should be given with weights in 'awq', got None",
        ),
    ],
    ids=["no name", "a typo in the name", "new accelerators", "accelerators of a token", "length", "awq"],
)
def test_what_synth_cannot_check_is_told_with_what_to_give(
    models: s3.IBucket, prefix: str, name: str | None, settings: dict[str, Any], what_to_give: str
) -> None:
    memory = copy_of(BaseModel.from_bucket(models, prefix, name=name), lora=slots(3000), **settings)
    assert isinstance(memory, str)
    assert re.search(what_to_give, memory)


def test_accelerators_that_an_app_describes_are_counted(llama: BaseModel) -> None:
    described = InstanceType.of("ml.new.large", accelerators=1, accelerator_memory=cdk.Size.gibibytes(24))
    with pytest.raises(ValueError, match=r"1 x 24 GiB of ml\.new\.large"):
        copy_of(llama, lora=slots(30), on=described)


def test_a_fleet_with_most_adapters_on_disk_is_warned_of_with_numbers(
    stack: cdk.Stack, write_manifest: WriteManifest
) -> None:
    lora = LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)
    warn_of_adapters_on_disk(stack, 141, None)
    assert warnings_of(stack) == []
    path = write_manifest(*({"name": f"tenant-{number}"} for number in range(141)))
    fleet = AdapterFleet(
        stack,
        "Tenants",
        endpoint=imported_endpoint(stack, lora=lora),
        manifest=AdapterManifest.from_file(path),
    )
    (warning,) = warnings_of(fleet)
    assert "71 of 141 adapters are on disk at any time" in warning
    assert "'max_cpu_loras' is 70, which counts the 30 in GPU memory" in warning
    assert "multi-adapter-inference:most-adapters-on-disk" in warning

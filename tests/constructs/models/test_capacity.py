"""What fits into memory is told at synth: an error where that is certain, else a warning."""

import json
import re
import shutil
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from multi_adapter_inference import (
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    InstancePool,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
    VllmContainer,
    VllmVersion,
)
from tests.constructs.conftest import MakeEndpoint, MakeFleet, Warnings, WriteManifest

LLAMA_8B = "meta-llama/Llama-3.1-8B-Instruct"
ONE = ComputeRequirements(accelerators=1, min_memory=cdk.Size.gibibytes(1))


@pytest.fixture
def make(make_endpoint: MakeEndpoint, bucket: s3.IBucket) -> MakeEndpoint:
    """Return a function that makes the seed's endpoint with a base model that is known by name."""

    def make(environment: dict[str, str] | None = None, **settings: Any) -> MultiAdapterEndpoint:
        return make_endpoint(
            **{
                "base_model": BaseModel.from_bucket(bucket, "llama/", name=LLAMA_8B),
                "container": LmiContainer(
                    version=LmiVersion.V19,
                    environment={"OPTION_MAX_MODEL_LEN": "6000"} if environment is None else environment,
                ),
                **settings,
            }
        )

    return make


@pytest.fixture
def told(warnings: Warnings) -> Warnings:
    """Return a function that returns the warnings about memory."""
    return lambda: [w for w in warnings() if re.search("key-value-cache|adapters-on-disk|memory-not", w)]


def slots(count: int, **settings: Any) -> LoraServing:
    return LoraServing(**{"max_loras": count, "max_cpu_loras": count, "max_lora_rank": 64, **settings})


def test_the_set_up_of_the_announcement_fits(make: MakeEndpoint, told: Warnings) -> None:
    make()
    assert told() == []


def test_weights_and_slots_that_are_more_than_the_memory_are_an_error(make: MakeEndpoint) -> None:
    with pytest.raises(
        ValueError,
        match=r"^'Stack/Llm': 'max_loras' x 'max_lora_rank' should leave room on 1 x 24 GiB of"
        r" ml\.g5\.xlarge, got 30 x 64: on each accelerator, the base model's weights take 15\.0 GiB and the"
        r" slots 10\.3 GiB, of 21\.6 GiB at most that vLLM takes$",
    ):
        make(lora=slots(30), instance_type=InstanceType.ML_G5_XLARGE, compute=ONE)


def test_slots_of_a_model_from_a_directory_are_counted(make: MakeEndpoint, base_directory: Path) -> None:
    with pytest.raises(ValueError, match=r"got 100000 x 512: .* the slots \d+\.\d GiB"):
        make(
            base_model=BaseModel.from_directory(base_directory),
            lora=slots(100000, max_lora_rank=512),
        )


def test_a_model_on_the_hub_that_is_known_by_name_is_counted(make: MakeEndpoint) -> None:
    with pytest.raises(ValueError, match="weights take 15"):
        make(
            base_model=BaseModel.from_hugging_face_hub(LLAMA_8B),
            lora=slots(30),
            instance_type=InstanceType.ML_G5_XLARGE,
            compute=ONE,
        )


def test_too_little_for_one_sequence_is_warned_of_with_numbers(make: MakeEndpoint, told: Warnings) -> None:
    make(
        {"OPTION_MAX_MODEL_LEN": "32768"},
        lora=slots(4),
        instance_type=InstanceType.ML_G5_XLARGE,
        compute=ONE,
    )
    (warning,) = told()
    assert "2.0 GiB are left for its key-value cache" in warning
    assert "one sequence of 32768 tokens" in warning
    assert "takes 4.0 GiB" in warning
    assert (
        "the weights have 15.0 GiB, 4 slots for adapters 1.4 GiB, and an estimate of the rest is 1.5 GiB"
        in (warning)
    )
    assert "no number of slots leaves enough" in warning
    assert "multi-adapter-inference:small-key-value-cache" in warning


def test_a_sequence_that_has_room_is_not_warned_of(make: MakeEndpoint, told: Warnings) -> None:
    make(
        {"OPTION_MAX_MODEL_LEN": "8192"}, lora=slots(4), instance_type=InstanceType.ML_G5_XLARGE, compute=ONE
    )
    assert told() == []


def test_the_models_own_length_counts_where_none_is_set(make: MakeEndpoint, told: Warnings) -> None:
    make({}, lora=slots(4), instance_type=InstanceType.ML_G5_XLARGE, compute=ONE)
    (warning,) = told()
    assert "one sequence of 131072 tokens" in warning


def test_a_model_without_a_length_needs_a_share_of_the_memory(
    make: MakeEndpoint, told: Warnings, base_directory: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(base_directory, tmp_path / "base")
    config = json.loads((directory / "config.json").read_text())
    del config["max_position_embeddings"]
    (directory / "config.json").write_text(json.dumps(config))
    settings = {"instance_type": InstanceType.ML_G5_XLARGE, "compute": ONE}
    make({}, id="Small", component_prefix="small", base_model=BaseModel.from_directory(directory), **settings)
    assert told() == []
    make({}, base_model=BaseModel.from_directory(directory), lora=slots(115_000, max_lora_rank=8), **settings)
    (warning,) = told()
    assert "it should have 1.2 GiB" in warning


LLAMA_70B = "meta-llama/Llama-3.1-70B-Instruct"


@pytest.mark.parametrize(
    ("name", "instance_type", "accelerators", "settings", "what_to_give"),
    [
        (
            LLAMA_8B,
            "ml.g5.12xlarge",
            4,
            {"lora": slots(2000, max_lora_rank=512)},
            r"'max_loras' x 'max_lora_rank' should leave room on 4 x 24 GiB .*, got 2000 x 512",
        ),
        (
            LLAMA_70B,
            "ml.g5.xlarge",
            1,
            {},
            r"the base model's weights should fit on 1 x 24 GiB of ml\.g5\.xlarge, got 131\.4 GiB on each"
            r" accelerator, of 21\.6 GiB at most that vLLM takes; give a copy more accelerators, or larger"
            " ones$",
        ),
        (
            LLAMA_70B,
            "ml.p5.48xlarge",
            8,
            {"container": VllmContainer(version=VllmVersion.V2_6)},
            "weights should fit on 1 x 80 GiB .*; vLLM uses 1 of the 8 accelerators of a copy; set"
            " SM_VLLM_TENSOR_PARALLEL_SIZE to '8' in the container's environment$",
        ),
        (
            LLAMA_8B,
            "ml.g5.12xlarge",
            4,
            {"instance_pools": [InstancePool(instance_type=InstanceType.ML_G5_XLARGE)]},
            r"'accelerators' should be at most 1, as ml\.g5\.xlarge has 1 accelerators, got 4$",
        ),
        (
            LLAMA_8B,
            "ml.c5.4xlarge",
            1,
            {},
            r"GPUs .* such as ml\.g5\.xlarge, got .*, which has no accelerators$",
        ),
        (LLAMA_8B, "ml.inf2.xlarge", 1, {}, "GPUs .*, which has Inferentia accelerators$"),
        (LLAMA_8B, "ml.trn1.2xlarge", 1, {}, "GPUs .*, which has Trainium accelerators$"),
        (LLAMA_8B, "ml.g5.12xlarge", None, {}, "'accelerators' should be a whole number, got None$"),
    ],
    ids=[
        "too many slots",
        "a large model",
        "accelerators that vLLM does not use",
        "a pool that is too small",
        "no accelerators",
        "Inferentia",
        "Trainium",
        "none asked for",
    ],
)
def test_an_app_that_cannot_run_is_an_error_with_what_to_give(
    make: MakeEndpoint,
    bucket: s3.IBucket,
    name: str,
    instance_type: str,
    accelerators: Any,
    settings: dict[str, Any],
    what_to_give: str,
) -> None:
    model = BaseModel.from_bucket(bucket, "llama-3.1-8b-instruct/", name=name)
    with pytest.raises(ValueError, match=what_to_give):
        make(
            **{
                "base_model": model,
                "lora": slots(4),
                "instance_type": InstanceType.of(instance_type),
                "compute": ComputeRequirements(accelerators=accelerators, min_memory=cdk.Size.gibibytes(1)),
                **settings,
            }
        )


def test_unchecked_memory_can_be_acknowledged(make: MakeEndpoint, told: Warnings, bucket: s3.IBucket) -> None:
    endpoint = make(base_model=BaseModel.from_bucket(bucket, "own/"))
    cdk.Annotations.of(endpoint).acknowledge_warning(
        "multi-adapter-inference:memory-not-checked", "'adapters capacity' was read"
    )
    assert told() == []


@pytest.mark.parametrize("source", ["bucket", "hub"])
def test_a_configuration_is_enough_to_count_a_model_of_any_name(
    make: MakeEndpoint, bucket: s3.IBucket, base_directory: Path, source: str
) -> None:
    config = base_directory / "config.json"
    model = (
        BaseModel.from_bucket(bucket, "own/", config=config)
        if source == "bucket"
        else BaseModel.from_hugging_face_hub("acme/own-model", config=config)
    )
    with pytest.raises(ValueError, match=r"got 100000 x 512: .* the slots \d+\.\d GiB"):
        make(base_model=model, lora=slots(100000, max_lora_rank=512))


def test_a_configuration_of_a_type_that_is_not_known_is_warned_of(
    make: MakeEndpoint, told: Warnings, bucket: s3.IBucket, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"model_type": "mamba"}')
    make(base_model=BaseModel.from_bucket(bucket, "own/", config=config))
    (warning,) = told()
    assert "the size of a model of the type 'mamba' is not known" in warning


def new_card(**facts: Any) -> InstanceType:
    return InstanceType.of("ml.g9.48xlarge", **{"accelerators": 8, **facts})


A_NUMBER = cast("int", cdk.Token.as_number({"Ref": "Number"}))
NAME_OF_8B = r"\(did you mean 'llama-3\.1-8b-instruct'\?\), or give its config\.json as 'config', got "


@pytest.mark.parametrize(
    ("settings", "what_to_give"),
    [
        (
            {"model": ("llama-3.1-8b-instruct/", None), "lora": slots(2000, max_lora_rank=512)},
            f"'name' should be a known one {NAME_OF_8B}None ",
        ),
        (
            {"model": ("models/Llama-3.1-70B-Instruct/", None), "compute": ONE},
            r"did you mean 'llama-3\.1-70b-instruct'\?",
        ),
        ({"model": ("base/", "meta-llama/Llama-3.1-8B-Instrct")}, f"{NAME_OF_8B}'meta-llama/.*Instrct' "),
        (
            {"model": ("base/", "acme/own-model")},
            r"\(known are llama-3\.1-8b, .*\), or give its config\.json as 'config', got 'acme/own-model' ",
        ),
        (
            {"instance_type": new_card()},
            r"'accelerator_memory' of InstanceType\.of\('ml\.g9\.48xlarge', …\) should be given, got None ",
        ),
        (
            {"compute": ComputeRequirements(accelerators=A_NUMBER, min_memory=cdk.Size.gibibytes(1))},
            "'accelerators' should be known at synth, got a token ",
        ),
        (
            {"environment": {"OPTION_MAX_MODEL_LEN": cdk.Token.as_string({"Ref": "Length"})}},
            "the memory is not known with OPTION_MAX_MODEL_LEN=",
        ),
        (
            {"environment": {"OPTION_PIPELINE_PARALLEL_DEGREE": "2"}},
            "the memory is not known with OPTION_PIPELINE_PARALLEL_DEGREE=2 ",
        ),
        (
            {
                "environment": {"OPTION_QUANTIZE": "awq"},
                "model": ("base/", "meta-llama/Llama-3.1-70B-Instruct"),
            },
            "'config' of the base model should be given with weights in 'awq', got None ",
        ),
    ],
    ids=[
        "no name",
        "no name of a large model",
        "a typo in the name",
        "an own model",
        "new accelerators",
        "accelerators of a token",
        "length of a token",
        "pipeline",
        "quantization",
    ],
)
def test_what_synth_cannot_check_is_warned_of_with_what_to_give(
    make: MakeEndpoint, told: Warnings, bucket: s3.IBucket, settings: dict[str, Any], what_to_give: str
) -> None:
    prefix, name = settings.pop("model", ("llama/", LLAMA_8B))
    make(**{"lora": slots(3000), "base_model": BaseModel.from_bucket(bucket, prefix, name=name), **settings})
    (warning,) = told()
    assert re.search(f"{what_to_give}.*memory-not-checked", warning)


def test_a_copy_that_cannot_be_split_over_its_accelerators_is_an_error(make: MakeEndpoint) -> None:
    with pytest.raises(ValueError, match="cannot be split over 3 accelerators: its 32 attention heads"):
        make(compute=ComputeRequirements(accelerators=3, min_memory=cdk.Size.gibibytes(1)))


def test_accelerators_that_an_app_describes_are_counted(make: MakeEndpoint) -> None:
    described = InstanceType.of("ml.new.large", accelerators=1, accelerator_memory=cdk.Size.gibibytes(24))
    with pytest.raises(ValueError, match=r"1 x 24 GiB of ml\.new\.large"):
        make(lora=slots(30), instance_type=described, compute=ONE)


class TestFleet:
    @pytest.fixture
    def make_fleet(
        self, stack: cdk.Stack, make: MakeEndpoint, bucket: s3.IBucket, write_manifest: WriteManifest
    ) -> MakeFleet:
        """Return a function that makes a fleet of so many adapters."""

        def make_fleet(adapters: int, **settings: Any) -> AdapterFleet:
            endpoint = make(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")], **settings)
            path = write_manifest(*({"name": f"tenant-{number}"} for number in range(adapters)))
            return AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=AdapterManifest.from_file(path))

        return make_fleet

    def test_one_with_most_adapters_on_disk_is_warned_of_with_numbers(
        self, make_fleet: MakeFleet, told: Warnings
    ) -> None:
        make_fleet(141)
        (warning,) = told()
        assert "71 of 141 adapters are on disk at any time" in warning
        assert "'max_cpu_loras' is 70, which counts the 30 in GPU memory" in warning
        assert "multi-adapter-inference:most-adapters-on-disk" in warning

    def test_one_with_half_of_them_in_memory_is_not(self, make_fleet: MakeFleet, told: Warnings) -> None:
        make_fleet(140)
        assert told() == []

    def test_one_of_an_unknown_number_is_not(
        self, stack: cdk.Stack, make: MakeEndpoint, bucket: s3.IBucket, told: Warnings
    ) -> None:
        manifests = s3.Bucket.from_bucket_name(stack, "Manifests", "manifests")
        AdapterFleet(
            stack,
            "Tenants",
            endpoint=make(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")]),
            manifest=AdapterManifest.from_bucket(manifests, "tenants.yaml", enable_events=False),
        )
        assert told() == []

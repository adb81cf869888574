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
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
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
    return lambda: [w for w in warnings() if re.search("key-value-cache|adapters-on-disk", w)]


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


@pytest.mark.parametrize(
    "settings",
    [
        {"base_model": "unknown"},
        {"instance_type": InstanceType.of("ml.new.large", local_storage=True)},
        {"compute": ComputeRequirements(min_memory=cdk.Size.gibibytes(1))},
        {
            "compute": ComputeRequirements(
                accelerators=cast("int", cdk.Token.as_number({"Ref": "Number"})),
                min_memory=cdk.Size.gibibytes(1),
            )
        },
        {"environment": {"OPTION_MAX_MODEL_LEN": cdk.Token.as_string({"Ref": "Length"})}},
        {"environment": {"OPTION_PIPELINE_PARALLEL_DEGREE": "2"}},
    ],
    ids=["model", "instance", "no accelerators", "accelerators", "length", "pipeline"],
)
def test_what_is_not_known_is_not_judged(
    make: MakeEndpoint, told: Warnings, bucket: s3.IBucket, settings: dict[str, Any]
) -> None:
    if "base_model" in settings:
        settings = {"base_model": BaseModel.from_bucket(bucket, "llama/", name="acme/own-model")}
    make(**{"lora": slots(3000), **settings})
    assert told() == []


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

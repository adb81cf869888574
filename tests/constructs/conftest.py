"""An endpoint to add adapters to, and directories of good and bad adapters."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import jsii
import pytest
from aws_cdk import aws_s3 as s3
from constructs import IConstruct

from multi_adapter_inference import (
    AdapterFleet,
    BaseModel,
    ComputeRequirements,
    IBaseComponent,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)

TICKETS = Path(__file__).parents[2] / "examples" / "tickets"

# What the fixtures return that are functions.
MakeEndpoint = Callable[..., MultiAdapterEndpoint]
MakeFleet = Callable[..., AdapterFleet]
ChangeConfig = Callable[..., None]
WriteManifest = Callable[..., Path]


@pytest.fixture
def cdk_calls(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The calls of the CDK that the test makes from now on; each crosses to a Node.js process."""
    provider: Any = jsii.kernel.provider
    process = provider._process
    calls: list[object] = []

    def send(
        request: object, response_type: object, original: Callable[..., object] = process.send
    ) -> object:
        calls.append(request)
        return original(request, response_type)

    monkeypatch.setattr(process, "send", send)
    return calls


@pytest.fixture
def app(tmp_path: Path) -> cdk.App:
    return cdk.App(outdir=str(tmp_path / "cdk.out"))


@pytest.fixture
def stack(app: cdk.App) -> cdk.Stack:
    return cdk.Stack(app, "Stack")


@pytest.fixture
def bucket(stack: cdk.Stack) -> s3.IBucket:
    return s3.Bucket.from_bucket_name(stack, "Bucket", "models")


@pytest.fixture
def make_endpoint(stack: cdk.Stack, bucket: s3.IBucket) -> MakeEndpoint:
    """Return a function that makes the seed's endpoint, but for the settings it is given."""

    def make(scope: cdk.Stack = stack, id: str = "Llm", **settings: Any) -> MultiAdapterEndpoint:
        return endpoint_of(scope, id, bucket, **settings)

    return make


def endpoint_of(scope: cdk.Stack, id: str, bucket: s3.IBucket, **settings: Any) -> MultiAdapterEndpoint:
    return MultiAdapterEndpoint(
        scope,
        id,
        **{
            "base_model": BaseModel.from_bucket(bucket, "llama-3.1-8b-instruct/"),
            "container": LmiContainer(version=LmiVersion.V19),
            "lora": LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
            "instance_type": InstanceType.ML_G5_12XLARGE,
            "compute": ComputeRequirements(accelerators=4, min_memory=cdk.Size.mebibytes(32000)),
            "component_prefix": "acme",
            **settings,
        },
    )


def imported_endpoint(scope: cdk.Stack, id: str = "Llm", **settings: Any) -> IBaseComponent:
    """Return an endpoint of another app. It is made quickly, as it has no resources."""
    return MultiAdapterEndpoint.from_endpoint_attributes(
        scope,
        id,
        **{
            "endpoint_name": "llama",
            "base_component_name": "base",
            "component_prefix": "acme",
            **settings,
        },
    )


@pytest.fixture
def base_directory() -> Path:
    return TICKETS / "base"


@pytest.fixture
def adapter_directory(tmp_path: Path) -> Path:
    """A copy of a good adapter, of rank 8, for a test to spoil."""
    return Path(shutil.copytree(TICKETS / "adapters" / "triage", tmp_path / "triage"))


@pytest.fixture
def change_config(adapter_directory: Path) -> ChangeConfig:
    def change(**settings: object) -> None:
        path = adapter_directory / "adapter_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))

    return change


def warnings_of(construct: IConstruct) -> list[str]:
    """Return the texts of the warnings on a construct, each with its id at the end."""
    return _annotations(construct, "aws:cdk:warning")


def infos_of(construct: IConstruct) -> list[str]:
    """Return the texts of the notes on a construct, each with its id at the end."""
    return _annotations(construct, "aws:cdk:info")


def _annotations(construct: IConstruct, kind: str) -> list[str]:
    # `Annotations.from_stack` would synthesize the whole app first.
    return [str(entry.data) for entry in construct.node.metadata if entry.type == kind]


@pytest.fixture
def write_manifest(tmp_path: Path) -> WriteManifest:
    """Return a function that writes the manifest of some adapters in S3, or of what it is given."""
    return partial(write_manifest_into, tmp_path)


def write_manifest_into(
    folder: Path, *adapters: dict[str, Any], name: str = "adapters.json", **document: Any
) -> Path:
    path = folder / name
    entries = adapters or ({"name": "ectsum"}, {"name": "triage"})
    path.write_text(
        json.dumps(
            {
                **document,
                "adapters": [
                    {"artifact": f"s3://models/adapters/sha256-{number:064x}.tar.gz", **entry}
                    for number, entry in enumerate(entries)
                ],
            },
            indent=1,
        )
    )
    return path

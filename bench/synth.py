"""Synthesizing native adapters, with and without the CDK's own validation, and beside bare resources; fleets.

Each figure is of a process of its own, since the CDK reads `CDK_VALIDATION` when that starts, and leaves out
the imports, but for those of `cdk synth`. The adapters are in a stack beside the endpoint's, as 499 of them
fill one. What is compared is synthesized in turns, fleets with the validation, and the best of each counts,
as what else runs on a machine only ever adds.
"""

import hashlib
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sagemaker as sagemaker

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file also runs by its path

from bench.harness import Claim, publish
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraAdapter,
    LoraServing,
    MultiAdapterEndpoint,
)

COUNTS = (1, 100, 499)
FLEET = 1000
ROUNDS = 5
COMMAND_ROUNDS = 3


def _endpoint(app: cdk.App) -> MultiAdapterEndpoint:
    stack = cdk.Stack(app, "Endpoint")
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
    return MultiAdapterEndpoint(
        stack,
        "Llm",
        base_model=BaseModel.from_bucket(bucket, "base/"),
        container=LmiContainer(version=LmiVersion.V19),
        lora=LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
        instance_type=InstanceType.ML_G5_12XLARGE,
        compute=ComputeRequirements(accelerators=4, min_memory=cdk.Size.mebibytes(32000)),
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
        component_prefix="bench",
    )


def _ours(app: cdk.App, count: int) -> None:
    endpoint = _endpoint(app)
    adapters = cdk.Stack(app, "Adapters")
    for number in range(count):
        LoraAdapter(
            adapters,
            f"Tenant{number}",
            endpoint=endpoint,
            artifact=AdapterArtifact.from_uri(f"s3://models/adapters/{number}.tar.gz"),
        )


def _bare(app: cdk.App, count: int) -> None:
    adapters = cdk.Stack(app, "Adapters")
    cfn = sagemaker.CfnInferenceComponent
    for number in range(count):
        cfn(
            adapters,
            f"Tenant{number}",
            endpoint_name="endpoint",
            inference_component_name=f"bench-{number}",
            specification=cfn.InferenceComponentSpecificationProperty(
                base_inference_component_name="base",
                container=cfn.InferenceComponentContainerSpecificationProperty(
                    artifact_url=f"s3://models/adapters/{number}.tar.gz"
                ),
            ),
        )


def _fleet(app: cdk.App, count: int) -> None:
    endpoint = _endpoint(app)
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as manifest:
        manifest.write("adapters:\n")
        for number in range(count):
            digest = hashlib.sha256(str(number).encode()).hexdigest()
            uri = f"s3://models/adapters/tenant-{number}/sha256-{digest}.tar.gz"
            manifest.write(f"  - name: tenant-{number}\n    artifact: {uri}\n    rank: 16\n")
        manifest.flush()
        AdapterFleet(
            cdk.Stack(app, "Adapters"),
            "Tenants",
            endpoint=endpoint,
            manifest=AdapterManifest.from_file(manifest.name),
        )


BUILDERS: dict[str, Callable[[cdk.App, int], None]] = {"ours": _ours, "bare": _bare, "fleet": _fleet}


def _measure(builder: str, count: int) -> None:
    """Print the seconds to build and synthesize one app."""
    with tempfile.TemporaryDirectory() as outdir:
        started = time.perf_counter()
        app = cdk.App(outdir=outdir)
        BUILDERS[builder](app, count)
        app.synth()
        print(json.dumps(time.perf_counter() - started))


def _seconds(builder: str, count: int, *, validation: bool) -> float:
    done = subprocess.run(
        [sys.executable, "-m", "bench.synth", builder, str(count)],
        env={**os.environ, "CDK_VALIDATION": str(validation).lower()},
        stdout=subprocess.PIPE,
        check=True,
    )
    return float(json.loads(done.stdout))


def _command_seconds(count: int) -> float:
    """Return what `cdk synth` takes for a fleet, imports and the CDK's validation included."""
    app = shlex.join([sys.executable, str(Path(__file__).resolve()), "fleet", str(count), "for-the-command"])
    with tempfile.TemporaryDirectory() as outdir:
        started = time.perf_counter()
        subprocess.run(
            ["cdk", "synth", "--quiet", "--app", app, "--output", outdir],
            env={**os.environ, "CDK_DISABLE_VERSION_CHECK": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
            cwd=Path(__file__).parents[1],
        )
        return time.perf_counter() - started


def _for_the_command(builder: str, count: int) -> None:
    app = cdk.App()
    BUILDERS[builder](app, count)
    app.synth()


def _fleet_claims() -> list[Claim]:
    one, many, command_one, command_many = [], [], [], []
    for number in range(ROUNDS):
        one.append(_seconds("fleet", 1, validation=True))
        many.append(_seconds("fleet", FLEET, validation=True))
        if number < COMMAND_ROUNDS:
            command_one.append(_command_seconds(1))
            command_many.append(_command_seconds(FLEET))
    return [
        Claim.at_most(
            1.2,
            f"s of `cdk synth` for a fleet of {FLEET:,} (other: a fleet of one)",
            ours=min(command_many),
            other=min(command_one),
        ),
        Claim.at_most(
            0.5,
            f"s that {FLEET:,} adapters add to a synth (other: 1 s)",
            ours=min(many) - min(one),
            other=1.0,
        ),
    ]


def _claims() -> list[Claim]:
    claims = []
    for count in COUNTS:
        turns = [
            [_seconds(builder, count, validation=False) for builder in ("ours", "bare")]
            for _ in range(ROUNDS)
        ]
        ours, bare = map(min, zip(*turns, strict=True))
        checked = _seconds("ours", count, validation=True)
        what = f"s to synthesize {count} native adapters"
        claims += [
            # What the validation costs is the CDK's; that leaving it out costs nothing is ours to hold.
            Claim.at_least(1, f"{what}, without validation (other: with)", ours=ours, other=checked),
            Claim.at_most(4, f"{what} (other: as many bare resources)", ours=ours, other=bare),
        ]
    return claims + _fleet_claims()


if __name__ == "__main__":
    if len(sys.argv) == 4:
        _for_the_command(sys.argv[1], int(sys.argv[2]))
    elif len(sys.argv) == 3:
        _measure(sys.argv[1], int(sys.argv[2]))
    else:
        sys.exit(publish("synth", _claims()))

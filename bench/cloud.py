"""Apps that are synthesized in this process, and deployed to the embedded cloud by plain API calls.

The CDK command line would cost nine seconds a deployment; what is deployed is the same.
"""

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The CDK reads it when it is imported. Nothing that is deployed depends on it.
os.environ.setdefault("CDK_VALIDATION", "false")

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from botocore.config import Config

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)
from tests.integration.by_hand import TICKETS
from tests.integration.fleet_stack import LABELS, Archives, cdk_stack, publish

ROOT = Path(__file__).parents[1]
PREFIX = "bench"
STACK = "Bench"
_ACCEPTED = ("no-room-for-rolling-update", "archives-in-s3-not-checked")
_POLL_SECONDS = 0.1
_LONGEST_SECONDS = 1800.0


@dataclass(frozen=True, kw_only=True)
class Synthesized:
    """A stack that may be deployed: its template, and what the synth of its app took."""

    template: str
    folder: Path
    seconds: float

    @property
    def resources(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.template)["Resources"]
        return found


def synthesize(build: Callable[[cdk.Stack], object]) -> Synthesized:
    """Synthesize an app of one stack."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    started = time.perf_counter()
    app = cdk.App(outdir=str(folder), context=context)
    build(cdk_stack(app, STACK))
    app.synth()
    seconds = time.perf_counter() - started
    return Synthesized(
        template=(folder / f"{STACK}.template.json").read_text(), folder=folder, seconds=seconds
    )


def endpoint_in(stack: cdk.Stack) -> MultiAdapterEndpoint:
    """Make the endpoint of all benches: one copy of a tiny model."""
    bucket = s3.Bucket.from_bucket_name(stack, "Artifacts", Archives.bucket)
    for warning in _ACCEPTED:
        cdk.Validations.of(stack).acknowledge(
            cdk.Acknowledgment(
                id=f"Annotation::multi-adapter-inference:{warning}", reason="nothing but the bench uses it"
            )
        )
    return MultiAdapterEndpoint(
        stack,
        "Llm",
        base_model=BaseModel.from_directory(TICKETS / "base"),
        container=LmiContainer(version=LmiVersion.V28),
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
        instance_type=InstanceType.ML_G5_12XLARGE,
        compute=ComputeRequirements(accelerators=1, min_memory=cdk.Size.mebibytes(1024)),
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
        component_prefix=PREFIX,
        inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
    )


class Account:
    """The account of a running embedded cloud, with the adapters of the example in a bucket."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.s3 = self.client("s3")
        self.sagemaker = self.client("sagemaker")
        self.cloudformation = self.client("cloudformation")
        self.archives = Archives(cloud)
        self.adapters = [self.archives.uri(label) for label in LABELS]

    def client(self, service: str) -> Any:
        """Make a boto3 client."""
        config = Config(retries={"total_max_attempts": 5}, max_pool_connections=32)
        return self.cloud.client(service, config=config)

    def deploy(self, made: Synthesized, *, may_fail: bool = False) -> float:
        """Create or update the stack, and wait; return the seconds. RuntimeError where that fails."""
        self.begin(made)
        started = time.perf_counter()
        status = self.settled()
        seconds = time.perf_counter() - started
        if ("ROLLBACK" in status or "FAILED" in status) and not may_fail:
            raise RuntimeError(f"the stack is {status}: {self.failures()[:3]}")
        return seconds

    def begin(self, made: Synthesized) -> None:
        """Begin to create or update the stack."""
        there = self._status() is not None
        act = self.cloudformation.update_stack if there else self.cloudformation.create_stack
        act(
            StackName=STACK,
            TemplateURL=publish(self.s3, made.folder, STACK),
            Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
        )

    def settled(self) -> str:
        """Wait until nothing is in progress, and return the stack's status."""
        return self._wait(lambda status: not status.endswith("_IN_PROGRESS"))

    def reaches(self, status: str) -> None:
        """Wait until the stack has a status; RuntimeError where it settles in another."""
        reached = self._wait(lambda now: now == status or not now.endswith("_IN_PROGRESS"))
        if reached != status:
            raise RuntimeError(f"the stack is {reached}, not {status}: {self.failures()[:3]}")

    def _wait(self, enough: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + _LONGEST_SECONDS
        while time.monotonic() < deadline:
            status = self._status()
            if status is not None and enough(status):
                return status
            time.sleep(_POLL_SECONDS)
        raise TimeoutError(f"the stack is {status} after {_LONGEST_SECONDS:g} s")

    def _status(self) -> str | None:
        try:
            found: str = self.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"]
        except self.cloudformation.exceptions.ClientError:
            return None
        return found

    def events(self, *, since: float = 0.0) -> list[tuple[float, str, str, str]]:
        """Return time, resource type, status and reason of the stack's events, oldest first."""
        pages = self.cloudformation.get_paginator("describe_stack_events").paginate(StackName=STACK)
        found = [
            (
                event["Timestamp"].timestamp(),
                event["ResourceType"],
                event["ResourceStatus"],
                event.get("ResourceStatusReason", ""),
            )
            for event in pages.search("StackEvents[]")
        ]
        return [event for event in reversed(found) if event[0] >= since]

    def failures(self) -> list[str]:
        """Return why resources failed."""
        return [
            f"{kind}: {reason}" for _, kind, status, reason in self.events() if status.endswith("_FAILED")
        ]

    def outputs(self) -> dict[str, str]:
        """Return the stack's outputs."""
        stack = self.cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}

    def components(self) -> dict[str, str]:
        """Return the statuses of all components, by name."""
        pages = self.sagemaker.get_paginator("list_inference_components").paginate(
            PaginationConfig={"PageSize": 100}
        )
        return dict(pages.search("InferenceComponents[].[InferenceComponentName, InferenceComponentStatus]"))

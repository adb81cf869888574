"""A base and its adapters made by plain API calls, for tests that are not about the constructs."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError
from typer.testing import CliRunner, Result

from adapters_cli.main import app
from local_sagemaker.server import LocalCloud

TICKETS = Path(__file__).resolve().parents[2] / "examples" / "tickets"
V1 = TICKETS / "adapters"
V2 = TICKETS / "adapters-v2"
LMI = {"OPTION_ENABLE_LORA": "true", "OPTION_MAX_LORAS": "4", "OPTION_MAX_CPU_LORAS": "8"}


def client(cloud: LocalCloud, service: str, **credentials: str) -> Any:
    """Return a boto3 client of the embedded cloud that never retries, so that a failure shows as one."""
    return _client(cloud, service, tuple(sorted(credentials.items())))


@cache
def _client(cloud: LocalCloud, service: str, credentials: tuple[tuple[str, str], ...]) -> Any:
    """Return the one client of its kind: making one takes longer than most calls."""
    config = Config(retries={"total_max_attempts": 1}, max_pool_connections=32)
    return cloud.client(service, config=config, **dict(credentials))


def prompts() -> list[dict[str, Any]]:
    """Return the held-out prompts with the answer of the base and of each adapter."""
    return list(json.loads((TICKETS / "prompts.json").read_text()))


def write(call: Callable[..., Any], **request: Any) -> Any:
    """Make a write on a component, and make it again as long as it has to wait for others.

    With the profile `hostile`, a base has one write at a time, keeps its adapters, and writes are throttled.
    """
    deadline = time.monotonic() + 120
    while True:
        try:
            return call(**request)
        except ClientError as error:
            words = ("is in state", "Rate exceeded", "is a base inference component for")
            if time.monotonic() > deadline or not any(word in str(error) for word in words):
                raise
        time.sleep(0.1)


def ask(cloud: LocalCloud, endpoint: str, component: str, prompt: str, *, tokens: int = 60) -> str:
    """Return what a component answers to OpenAI's completions body, which every container takes."""
    response = client(cloud, "sagemaker-runtime").invoke_endpoint(
        EndpointName=endpoint,
        InferenceComponentName=component,
        ContentType="application/json",
        Body=json.dumps({"prompt": prompt, "max_tokens": tokens, "temperature": 0}),
    )
    return str(json.loads(response["Body"].read())["choices"][0]["text"])


def create_adapter(
    cloud: LocalCloud, name: str, uri: str, *, endpoint: str, base: str, tags: Mapping[str, str] | None = None
) -> None:
    """Create the component of an adapter, as a notebook would."""
    write(
        client(cloud, "sagemaker").create_inference_component,
        InferenceComponentName=name,
        EndpointName=endpoint,
        Specification={"BaseInferenceComponentName": base, "Container": {"ArtifactUrl": uri}},
        Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
    )


def delete_component(cloud: LocalCloud, component: str) -> None:
    """Delete a component, once what has to end before it has ended."""
    write(client(cloud, "sagemaker").delete_inference_component, InferenceComponentName=component)


def tags_of(cloud: LocalCloud, component: str) -> dict[str, str]:
    """Return the tags of a component."""
    sagemaker = client(cloud, "sagemaker")
    arn = sagemaker.describe_inference_component(InferenceComponentName=component)["InferenceComponentArn"]
    return {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}


def until(holds: Callable[[], object], what: str, *, seconds: float = 60, every: float = 0.1) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain until {what}"
        time.sleep(every)


def wait_for_service(cloud: LocalCloud, component: str) -> None:
    """Wait until a component is in service."""

    def in_service() -> bool:
        found = client(cloud, "sagemaker").describe_inference_component(InferenceComponentName=component)
        assert found["InferenceComponentStatus"] != "Failed", found["FailureReason"]
        return bool(found["InferenceComponentStatus"] == "InService")

    until(in_service, f"{component} is in service", seconds=600)


def wait_for_the_listing(cloud: LocalCloud) -> None:
    """Wait until the listing of components shows what there is now; it may lag behind."""
    time.sleep(cloud.admin.settings()["listing_lag_seconds"])


def adapters(cloud: LocalCloud, *arguments: str | Path, **variables: str) -> Result:
    """Run the command `adapters` in this process, as the start of another takes longer than most commands."""
    return CliRunner().invoke(app, [*map(str, arguments)], env={**cloud.environment, **variables})


def start_adapters(cloud: LocalCloud, *arguments: str | Path) -> subprocess.Popen[str]:
    """Start the command `adapters` as another process, to which signals can be sent."""
    command = [sys.executable, "-m", "adapters_cli", *map(str, arguments)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, env=cloud.environment, text=True, **pipes)


@contextmanager
def changed_settings(cloud: LocalCloud, **changes: Any) -> Iterator[None]:
    """Change settings of the embedded cloud, and change them back afterwards."""
    before = cloud.admin.settings()
    cloud.admin.change_settings(**changes)
    try:
        yield
    finally:
        cloud.admin.change_settings(**before)


@contextmanager
def repeated(*actions: Callable[[], object], seconds: float = 0) -> Iterator[None]:
    """Do each of these again and again, side by side, as long as the context lasts."""
    ended = threading.Event()

    def act(action: Callable[[], object]) -> None:
        while not ended.is_set():
            action()
            ended.wait(seconds)

    with ThreadPoolExecutor(len(actions)) as executor:
        acting = [executor.submit(act, action) for action in actions]
        try:
            yield
        finally:
            ended.set()
    for one in acting:
        one.result()


def processes_of(cloud: LocalCloud, file: str, words: str) -> set[int]:
    """Return the processes below a cloud whose file in /proc, `cmdline` or `environ`, has these words."""
    parents, found = {}, set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if words.encode() in (entry / file).read_bytes():
                found.add(int(entry.name))
        except OSError:
            continue  # it has ended

    def descends(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == cloud.process.pid:
                return True
        return False

    return set(filter(descends, found))


class ByHand:
    """An endpoint with a base in service, removed with everything on it when the context is left."""

    def __init__(self, cloud: LocalCloud, /, **environment: str) -> None:
        """`environment` is added to the variables of LMI, or takes their place if it has those of vLLM."""
        self._cloud = cloud
        vllm = any(name.startswith("SM_VLLM_") for name in environment)
        self._environment = environment if vllm else LMI | environment
        self._sagemaker, self._s3 = client(cloud, "sagemaker"), client(cloud, "s3")
        self._id = uuid.uuid4().hex[:8]
        self.bucket = f"by-hand-{self._id}"
        self._archives = itertools.count()
        self.endpoint, self.base = f"by-hand-{self._id}", f"base-{self._id}"

    def __enter__(self) -> ByHand:
        trust = {
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
        }
        role = client(self._cloud, "iam").create_role(
            RoleName=self.endpoint,
            AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
        )["Role"]["Arn"]
        self._s3.create_bucket(Bucket=self.bucket)
        for file in (TICKETS / "base").iterdir():
            self._s3.upload_file(str(file), self.bucket, f"base/{file.name}")
        self._sagemaker.create_model(
            ModelName=self.endpoint,
            ExecutionRoleArn=role,
            PrimaryContainer={
                "Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/djl-inference:0.36.0-lmi19.0.0-cu128",
                "Environment": {"HF_MODEL_ID": f"s3://{self.bucket}/base/", **self._environment},
            },
        )
        variant = {
            "VariantName": "AllTraffic",
            "InstanceType": "ml.g5.2xlarge",
            "InitialInstanceCount": 1,
        }
        self._sagemaker.create_endpoint_config(
            EndpointConfigName=self.endpoint, ExecutionRoleArn=role, ProductionVariants=[variant]
        )
        self._sagemaker.create_endpoint(EndpointName=self.endpoint, EndpointConfigName=self.endpoint)
        self._sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName=self.endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
        )
        self._sagemaker.create_inference_component(
            InferenceComponentName=self.base,
            EndpointName=self.endpoint,
            VariantName="AllTraffic",
            Specification={
                "ModelName": self.endpoint,
                "ComputeResourceRequirements": {
                    "MinMemoryRequiredInMb": 1024,
                    "NumberOfAcceleratorDevicesRequired": 1,
                },
            },
            RuntimeConfig={"CopyCount": 1},
        )
        wait_for_service(self._cloud, self.base)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self.components():
            if name != self.base:
                delete_component(self._cloud, name)
        until(lambda: set(self.components()) <= {self.base}, "the adapters are gone", seconds=600)
        for name in self.components():
            delete_component(self._cloud, name)
        until(lambda: not self.components(), "the base is gone", seconds=600)
        self._sagemaker.delete_endpoint(EndpointName=self.endpoint)

    def adapter(self, adapter: str, directory: Path | None = None) -> str:
        """Create an adapter component, wait until it serves, and return its name."""
        name = self._create(adapter, directory or V1 / adapter)
        wait_for_service(self._cloud, name)
        return name

    def adapters(self, directories: Mapping[str, Path]) -> dict[str, str]:
        """Create many adapter components, wait until all serve, and return their names by adapter."""
        with ThreadPoolExecutor(8) as pool:
            created = pool.map(self._create, directories.keys(), directories.values())
            names = dict(zip(directories, created, strict=True))
        until(
            lambda: set(names.values()) <= set(self.components("InService")),
            "all are in service",
            seconds=600,
        )
        return names

    def _create(self, adapter: str, directory: Path) -> str:
        name = f"{adapter}-{self._id}"
        create_adapter(self._cloud, name, self.archive(directory), endpoint=self.endpoint, base=self.base)
        return name

    def update(self, component: str, directory: Path) -> None:
        """Update an adapter in place and wait until it is in service again."""
        write(
            self._sagemaker.update_inference_component,
            InferenceComponentName=component,
            Specification={"Container": {"ArtifactUrl": self.archive(directory)}},
        )
        wait_for_service(self._cloud, component)

    def archive(self, directory: Path) -> str:
        """Pack a directory, upload it under a new key, and return its S3 URI."""
        packed = BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
            for file in sorted(directory.iterdir()):
                tar.add(file, arcname=file.name)
        key = f"adapters/{directory.name}-{next(self._archives)}.tar.gz"
        self._s3.put_object(Bucket=self.bucket, Key=key, Body=packed.getvalue())
        return f"s3://{self.bucket}/{key}"

    def ask(self, component: str, prompt: str, *, tokens: int = 60) -> str:
        """Return what a component answers."""
        return ask(self._cloud, self.endpoint, component, prompt, tokens=tokens)

    def components(self, status: str | None = None) -> list[str]:
        """Return the names of the components on this endpoint, of one status or all."""
        filters = {} if status is None else {"StatusEquals": status}
        pages = self._sagemaker.get_paginator("list_inference_components").paginate(
            EndpointNameEquals=self.endpoint, PaginationConfig={"PageSize": 100}, **filters
        )
        return [item["InferenceComponentName"] for page in pages for item in page["InferenceComponents"]]

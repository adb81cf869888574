"""A control plane with a clock that only tests move, and with copies that are dictionaries."""

import asyncio
import heapq
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.validate import ParamValidator

from local_sagemaker.clock import Clock
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.control_plane import SageMakerControlPlane
from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.faults import Faults
from local_sagemaker.control_plane.request_validation import operation_model
from local_sagemaker.control_plane.throttling import Throttling
from local_sagemaker.errors import ApiError, HostingError
from local_sagemaker.settings import CurrentSettings, Settings

ROLE = "arn:aws:iam::111122223333:role/Execution"


class ManualClock(Clock):
    def __init__(self) -> None:
        self._now = 1_000_000.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (self._now + seconds, next(self._order), done))
        await done

    async def advance(self, seconds: float) -> None:
        """Move on, waking who waits at the moment it waits for."""
        end = self._now + seconds
        await settle()
        while self._waiting and self._waiting[0][0] <= end:
            self._now, _, done = heapq.heappop(self._waiting)
            done.set_result(None)
            await settle()
        self._now = end


async def settle() -> None:
    """Let every task go on until it waits for the clock."""
    for _ in range(50):
        await asyncio.sleep(0)


class FakeCopy:
    """A copy whose every call takes a moment of the clock, so that what may interleave does."""

    engine = "fake"

    def __init__(self, clock: ManualClock, model: Path, environment: Mapping[str, str]) -> None:
        self._clock = clock
        self._end = asyncio.Event()
        self.model = model
        self.environment = dict(environment)
        self.adapters: dict[str, Path] = {}
        # How much longer the requests for an adapter take; None is any.
        self.busy: dict[str | None, float] = {}
        # What is measured on it.
        self.number = 0
        self.outstanding = self.outstanding_of_base = 0
        self.lines: list[str] = []

    @property
    def running(self) -> bool:
        return not self._end.is_set()

    def die(self) -> None:
        self._end.set()

    async def ended(self) -> None:
        await self._end.wait()

    def new_lines(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines

    async def register(self, adapter: str, directory: Path) -> None:
        await self._answer()
        if "unloadable" in directory.name:
            raise HostingError(f"The container answered 424: cannot load {directory.name}")
        assert adapter not in self.adapters
        self.adapters[adapter] = directory

    async def unregister(self, adapter: str) -> None:
        await self._answer()
        self.adapters.pop(adapter, None)

    async def _answer(self) -> None:
        await self._clock.sleep(0.1)
        if not self.running:
            raise HostingError("The container did not answer")

    async def drained(self, adapter: str | None = None) -> None:
        await self._clock.sleep(self.busy.get(adapter, 0))

    async def stop(self, *, drain: bool = True) -> None:
        if drain:
            await self.drained()
        self.die()


class FakeHosting:
    """Every artifact is a directory named after its URL; one with "missing" in its URL is not there."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self.started: list[FakeCopy] = []
        self.start_seconds: list[float] = []
        self.discarded: list[Path] = []
        self.starts_that_fail: set[int] = set()

    async def fetch_model(self, container: dict[str, Any], role: str) -> Path:
        assert role == ROLE
        return Path("model", container.get("Environment", {}).get("VERSION", "1"))

    async def fetch_adapter(self, url: str, role: str) -> Path:
        assert role == ROLE
        if "missing" in url:
            raise HostingError(f"Could not access model data at {url}.")
        return Path(url.rpartition("/")[2])

    async def start_copy(self, model: Path, environment: Mapping[str, str], start_seconds: float) -> FakeCopy:
        self.start_seconds.append(start_seconds)
        if len(self.started) in self.starts_that_fail:
            self.starts_that_fail.discard(len(self.started))
            raise HostingError("The primary container did not pass the ping health check.")
        copy = FakeCopy(self._clock, model, environment)
        self.started.append(copy)
        copy.number = len(self.started)
        await self._clock.sleep(0.1)
        return copy

    def discard(self, directory: Path) -> None:
        self.discarded.append(directory)


class FakeTelemetry:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.metrics: list[tuple[str, str, dict[str, str], float, str]] = []
        self.logs: dict[tuple[str, str], list[str]] = {}
        self.alarms: dict[str, str] = {}
        self.statuses: list[str] = []

    def endpoint_changed(self, endpoint: EndpointRecord) -> None:
        self.statuses.append(endpoint.shown_status)

    def alarm_state(self, name: str) -> str | None:
        return self.alarms.get(name)

    def metric(
        self, namespace: str, name: str, dimensions: Mapping[str, str], value: float, unit: str = "None"
    ) -> None:
        self.metrics.append((namespace, name, dict(dimensions), value, unit))

    def log(self, group: str, stream: str, lines: Sequence[str], *, most: int = 0) -> None:
        self.logs.setdefault((group, stream), []).extend(lines)

    def values(self, name: str, *dimensions: str) -> list[float]:
        """The values of a metric whose dimensions have these values, in their order."""
        return [one[3] for one in self.metrics if one[1] == name and tuple(one[2].values()) == dimensions]


class World:
    """An account with one control plane; every answer is checked against the operation's output shape."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.settings = CurrentSettings(Settings())
        self.faults = Faults()
        self.throttling = Throttling(self.settings, self.clock, self.faults)
        self.hosting = FakeHosting(self.clock)
        self.telemetry = FakeTelemetry()
        self._models: set[str] = set()
        self.plane = SageMakerControlPlane(
            Context(
                account="111122223333",
                region="us-east-1",
                settings=self.settings,
                throttling=self.throttling,
                faults=self.faults,
                clock=self.clock,
                hosting=cast("Any", self.hosting),  # nobody invokes its copies
                telemetry=self.telemetry,
            )
        )

    def close(self) -> None:
        self.loop.run_until_complete(self.clock.advance(1_000))
        for task in asyncio.all_tasks(self.loop):
            # It watches over a copy.
            task.cancel()
        self.loop.run_until_complete(settle())
        self.loop.close()

    def call(self, operation: str, *, pass_time: Any = 0, **request: Any) -> dict[str, Any]:
        """Call an operation, and let some seconds pass after that."""

        async def on_the_loop() -> dict[str, Any]:
            return self.plane.call(operation, request)

        answer = self.loop.run_until_complete(on_the_loop())
        shape = operation_model(operation).output_shape
        if shape is not None:
            report = ParamValidator().validate(answer, shape)
            assert not report.has_errors(), report.generate_report()
        if pass_time:
            self.pass_time(pass_time)
        return answer

    def refusal(self, operation: str, **request: Any) -> str:
        """The message with which a call is refused as a ValidationException."""
        with pytest.raises(ApiError) as refused:
            self.call(operation, **request)
        assert refused.value.code == "ValidationException"
        return refused.value.message

    def change(self, **settings: Any) -> None:
        """Change settings."""
        self.settings.change(settings)

    def pass_time(self, seconds: float) -> None:
        self.loop.run_until_complete(self.clock.advance(seconds))

    # What most tests start from.

    def create_model(self, name: str = "model", **environment: str) -> None:
        self._models.add(name)
        container = {"Image": "image", "Environment": environment}
        self.call("CreateModel", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container)

    def create_config(self, name: str, *, instances: int = 1, **variant: Any) -> None:
        """An endpoint configuration with one variant; `variant` are further members of it."""
        members = {"VariantName": "AllTraffic", "InstanceType": "ml.g5.12xlarge", **variant}
        self.call(
            "CreateEndpointConfig",
            EndpointConfigName=name,
            ExecutionRoleArn=ROLE,
            ProductionVariants=[{**members, "InitialInstanceCount": instances}],
        )

    def create_endpoint(self, name: str = "endpoint", *, instances: int = 1, **variant: Any) -> None:
        """An endpoint in service; the other arguments are those of `create_config`."""
        self.create_config(f"{name}-config", instances=instances, **variant)
        self.call("CreateEndpoint", EndpointName=name, EndpointConfigName=f"{name}-config")
        self.pass_time(1)

    def endpoint(self) -> dict[str, Any]:
        """The description of the endpoint, and of its only variant as `Variant`."""
        described = self.call("DescribeEndpoint", EndpointName="endpoint")
        return {**described, "Variant": described.get("ProductionVariants", [None])[0]}

    # `pass_time` is how many seconds pass after a change: in ten it has come to its end.

    def delete(self, component: str, *, pass_time: float = 0) -> None:
        self.call("DeleteInferenceComponent", pass_time=pass_time, InferenceComponentName=component)

    def create_base(
        self,
        name: str = "base",
        *,
        endpoint: str = "endpoint",
        copies: int = 1,
        accelerators: int = 4,
        compute: Mapping[str, float] | None = None,
        pass_time: float = 0,
        **specification: Any,
    ) -> None:
        """Create a base; `specification` are further members of its specification."""
        needed = {"MinMemoryRequiredInMb": 1024, "NumberOfAcceleratorDevicesRequired": accelerators}
        self.call(
            "CreateInferenceComponent",
            pass_time=pass_time,
            InferenceComponentName=name,
            EndpointName=endpoint,
            VariantName="AllTraffic",
            Specification={
                "ModelName": "model",
                "ComputeResourceRequirements": {**needed, **(compute or {})},
                **specification,
            },
            RuntimeConfig={"CopyCount": copies},
        )

    def create_adapter(self, name: str, *, artifact: str | None = None, **more: Any) -> None:
        """Create an adapter; the other arguments are those of `call`."""
        self.call(
            "CreateInferenceComponent",
            InferenceComponentName=name,
            EndpointName="endpoint",
            Specification=adapter_specification(artifact or name),
            **more,
        )

    def update_adapter(self, name: str, artifact: str, *, pass_time: float = 0) -> None:
        self.call(
            "UpdateInferenceComponent",
            pass_time=pass_time,
            InferenceComponentName=name,
            Specification={"Container": {"ArtifactUrl": f"s3://bucket/{artifact}"}},
        )

    def update_base(self, model: str = "model-2", **request: Any) -> None:
        """Update the base to another model, whose VERSION is 2 if there is none of this name yet.

        The other arguments are those of `call`.
        """
        if model not in self._models:
            self.create_model(model, VERSION="2")
        specification = self.component("base")["Specification"] | {"ModelName": model}
        request = {"Specification": specification} | request
        self.call("UpdateInferenceComponent", InferenceComponentName="base", **request)

    def scale(self, copies: int, *, pass_time: float = 0) -> None:
        """Change the copies of the base."""
        self.call(
            "UpdateInferenceComponentRuntimeConfig",
            pass_time=pass_time,
            InferenceComponentName="base",
            DesiredRuntimeConfig={"CopyCount": copies},
        )

    def serve(
        self, *adapters: str, instances: int = 1, copies: int = 1, accelerators: int = 4, **settings: Any
    ) -> None:
        """An endpoint with a base and adapters in service, under some settings."""
        self.change(**settings)
        self.create_model()
        self.create_endpoint(instances=instances)
        self.create_base(copies=copies, accelerators=accelerators, pass_time=10)
        for adapter in adapters:
            self.create_adapter(adapter, pass_time=10)

    def component(self, name: str) -> dict[str, Any]:
        return self.call("DescribeInferenceComponent", InferenceComponentName=name)

    def status(self, name: str) -> str:
        status: str = self.component(name)["InferenceComponentStatus"]
        return status

    def artifact(self, name: str) -> str:
        url: str = self.component(name)["Specification"]["Container"]["ArtifactUrl"]
        return url.rpartition("/")[2]

    @property
    def running(self) -> list[FakeCopy]:
        return [copy for copy in self.hosting.started if copy.running]

    def loaded(self) -> list[list[str]]:
        """What is registered on each running copy: the artifacts' names."""
        return [sorted(directory.name for directory in copy.adapters.values()) for copy in self.running]


def adapter_specification(artifact: str) -> dict[str, Any]:
    return {"BaseInferenceComponentName": "base", "Container": {"ArtifactUrl": f"s3://bucket/{artifact}"}}

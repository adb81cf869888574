"""A whole fleet in memory: requests, the state machine that runs passes, and the service."""

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from random import Random
from typing import Any

from botocore.exceptions import ClientError, HTTPClientError

from adapter_fleet.fleet.reconcile.reconciler import Reconciler
from adapter_fleet.fleet.reconcile.session import PassInput, PassResult
from adapter_fleet.fleet.requests.is_complete import Completion
from adapter_fleet.fleet.state.failures import Failure
from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome, Request, Source, Target
from adapter_fleet.fleet.state.lineage import Lineage
from adapter_fleet.fleet.state.probe_check import ProbeCheck
from adapter_fleet.fleet.state.records import AdapterRecord, Event, FleetRecord, Order, OrderKind
from adapter_fleet.fleet.state.rows.leased_table import Rows
from adapter_fleet.fleet.state.telemetry import FleetTelemetry
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet, Probe, SmokeRequest
from tests.adapter_fleet.fake_service import Crash, FakeClock, FakeService, answer_of
from tests.adapter_fleet.memory_registry import MemoryRegistry

UID = "fleet-1"
PREFIX = "p"


class Inline(Executor):
    """Runs each call at once, so that a pass is repeatable."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Hooked:
    """A registry or a service that calls a hook before and after each call.

    The calls of a registry's families have their names in front, such as `records.put`.
    """

    def __init__(self, inner: Any, around: Callable[[str, str], None]) -> None:
        self._inner, self._around = inner, around

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if isinstance(method, Rows | Lineage):
            return Hooked(method, lambda call, when: self._around(f"{name}.{call}", when))
        if not callable(method):
            return method

        def call(*arguments: Any, **options: Any) -> Any:
            self._around(name, "before")
            result = method(*arguments, **options)
            self._around(name, "after")
            return result

        return call


class Log(FleetTelemetry):
    """Telemetry that records everything."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.troubles: list[str] = []
        self.metrics: list[dict[str, float]] = []
        self.unexpected_errors: list[tuple[str, Exception]] = []
        self.failed_passes: list[int] = []

    def changed(self, event: Event) -> None:
        self.events.append(event)

    def measured(self, generation: Generation, fleet: FleetRecord, **figures: float) -> None:
        copies = {"copies": fleet.base_copies, "unchecked": fleet.unchecked_copies}
        self.metrics.append({**figures, **copies})

    def trouble(self, text: str) -> None:
        self.troubles.append(text)

    def unexpected(self, component: str, error: Exception) -> None:
        self.unexpected_errors.append((component, error))

    def failed_pass(self, error: Exception, *, in_a_row: int) -> None:
        self.failed_passes.append(in_a_row)


def artifact(name: str, version: int = 1, *, digest: str | None = None) -> Artifact:
    return Artifact(uri=f"s3://bucket/{name}/v{version}.tar.gz", digest=digest)


def uris(*names: str, version: int = 1) -> dict[str, str]:
    """Return what adapters of a version serve, as `World.serving` does."""
    return {name: artifact(name, version).uri for name in names}


def with_retry(order: Order) -> list[Order]:
    """Return a pin or a claim as the commands write it: what people changed by hand is restored, too."""
    return [order, Order(kind=OrderKind.RETRY, component=order.component, at=order.at)]


def adapter(
    name: str,
    version: int = 1,
    *,
    smoke: SmokeRequest | None = None,
    tags: Mapping[str, str] = {},
    probed: bool = False,
    prompt: str = "Who?",
) -> DesiredAdapter:
    made = artifact(name, version)
    if probed:
        made = replace(made, probe=Probe(prompt=prompt, answer=answer_of(made.uri, prompt)))
    return DesiredAdapter(name=name, component=f"{PREFIX}-{name}", artifact=made, smoke=smoke, tags=tags)


def released(name: str, version: int = 1, *, smoke: SmokeRequest | None = None) -> DesiredAdapter:
    """Return a version whose digest is known, as every one in a manifest is."""
    made = adapter(name, version, smoke=smoke)
    return replace(made, artifact=replace(made.artifact, digest=f"{version}" * 64))


class Execution:
    """One execution of the state machine."""

    def __init__(self, name: str, started_at: float, trigger: str) -> None:
        self.name, self.started_at, self.trigger = name, started_at, trigger
        self.next_at = started_at
        self.listed = 0
        self.passes = 0
        self.done = False


class World:
    """A fleet and everything around it."""

    def __init__(
        self, *, seconds: float = 5.0, settings: FleetSettings | None = None, clock: FakeClock | None = None
    ) -> None:
        self.clock = clock or FakeClock()
        self.service = FakeService(self.clock, seconds=seconds)
        self.service.uid = UID
        self.service.add_base()
        self.registry = MemoryRegistry()
        self.settings = settings or FleetSettings(request_rate=10.0)
        self.target = Target(endpoint="endpoint", base="base", prefix=PREFIX, settings=self.settings)
        self.executions: list[Execution] = []
        self.log = Log()
        self.events = 0
        self.results: list[PassResult] = []
        self.reconciler = Reconciler(
            uid=UID,
            registry=self.registry,
            service=self.service,
            clock=self.clock,
            executor=Inline(),
            telemetry=self.log,
            start_machine=self.start_machine,
            random=Random(1),
        )

    # --- triggers

    def deploy(
        self, *adapters: DesiredAdapter, digest: str | None = None, previous: str | None = None
    ) -> Generation:
        """Deploy adapters through CloudFormation. `digest` is that of the desired state by default."""
        desired = DesiredFleet(adapters=adapters)
        request = self.request(
            Source.DEPLOYMENT, source_digest=digest or desired.digest, previous_digest=previous
        )
        return self.open(request, desired)

    def apply(
        self,
        *adapters: DesiredAdapter,
        digest: str | None = None,
        previous: str | None = None,
        settings: FleetSettings | None = None,
        retries: bool = True,
    ) -> None:
        """Deploy adapters, and run until every execution is done, or until the deployment is decided."""
        if settings is not None:
            self.with_settings(settings)
        self.deploy(*adapters, digest=digest, previous=previous)
        if retries:
            self.settle()
        else:
            self.settle_without_retries()

    def put_manifest(self, *adapters: DesiredAdapter) -> Generation:
        """Write a new version of the manifest in S3."""
        desired = DesiredFleet(adapters=adapters)
        request = self.request(Source.OBJECT, source_digest=desired.digest, manifest_version=str(self.events))
        return self.open(request, desired)

    def apply_manifest(self, *adapters: DesiredAdapter) -> None:
        """Write a new version of the manifest in S3, and run until every execution is done."""
        self.put_manifest(*adapters)
        self.settle()

    def put_invalid_manifest(self) -> Generation:
        """Write an object in the place of the manifest in S3 that cannot be read as one."""
        request = self.request(
            Source.OBJECT, manifest_version=str(self.events), refusal="adapters: should be a list"
        )
        return self.open(request, DesiredFleet())

    def destroy(self, *, rolling_back: bool | None = None) -> Generation:
        """Delete the fleet through CloudFormation."""
        return self.open(self.request(Source.DELETION, rolling_back=rolling_back), DesiredFleet())

    def take_down(self, *, rolling_back: bool | None = None) -> None:
        """Delete the fleet, and run until every execution is done."""
        self.destroy(rolling_back=rolling_back)
        self.settle()

    def request(self, source: Source, **fields: Any) -> Request:
        """Return a request that comes now, with a delivery of its own."""
        return Request(
            delivery=f"event-{self.events}", source=source, target=self.target, at=self.clock.now(), **fields
        )

    def open(self, request: Request, desired: DesiredFleet) -> Generation:
        self.events += 1
        for artifact in (adapter.artifact for adapter in desired.adapters):
            # An archive that no test puts into S3 is what the manifest says.
            self.service.identities[artifact.uri] = artifact.digest or "none"
            self.service.identities[artifact.source or artifact.uri] = artifact.digest or "none"
        self.registry.register(FleetRecord(uid=UID, name="fleet", machine="machine"))
        generation = self.registry.generations.open(request, desired)
        self.start_machine("deployment")
        return generation

    def order(self, kind: OrderKind, name: str, **fields: Any) -> None:
        """Give an order as the commands do: they retry what they pin or claim."""
        order = Order(kind=kind, component=f"{PREFIX}-{name}", at=self.clock.now(), **fields)
        self.registry.orders.add(with_retry(order) if kind in (OrderKind.PIN, OrderKind.CLAIM) else [order])
        self.start_machine("order")

    def carry_out(self, kind: OrderKind, name: str, **fields: Any) -> None:
        """Give an order, and run until every execution is done."""
        self.order(kind, name, **fields)
        self.settle()

    def prune(self, component: str, created: float) -> None:
        """Let a person order the deletion of a component of that creation time."""
        order = Order(kind=OrderKind.PRUNE, component=component, at=self.clock.now(), created=created)
        self.registry.orders.add([order])
        self.start_machine("order")

    def start_machine(self, trigger: str, key: str = "") -> None:
        number = len(self.executions)
        # No two executions start at the same time.
        self.clock.time += 0.001
        self.executions.append(Execution(f"execution-{number}", self.clock.now(), trigger))

    def trigger(self, trigger: str) -> None:
        """Start an execution, and run until every execution is done."""
        self.start_machine(trigger)
        self.settle()

    def drift(self) -> None:
        """Let a drift check look at the fleet, an hour later."""
        self.clock.time += 3600.0
        self.trigger("drift")

    # --- the state machine

    def next_execution(self) -> Execution | None:
        """Wait for the pass that is due next, and return its execution; None if every one is done."""
        live = [execution for execution in self.executions if not execution.done]
        if not live:
            return None
        execution = min(live, key=lambda execution: (execution.next_at, execution.started_at))
        self.clock.time = max(self.clock.time, execution.next_at)
        return execution

    def step(self) -> bool:
        """Run the pass that is due next; return True if there was one."""
        execution = self.next_execution()
        if execution is not None:
            self.run_pass(execution)
        return execution is not None

    def run_pass(self, execution: Execution, *, deadline: float = 600.0) -> None:
        call = PassInput(
            execution=execution.name,
            started_at=execution.started_at,
            owner=f"{execution.name}/{execution.passes}/{self.clock.now()}",
            trigger=execution.trigger,
            deadline=self.clock.now() + deadline,
            listed=execution.listed,
            passes=execution.passes,
        )
        execution.passes += 1
        try:
            result = self.reconciler.run(call)
        except Crash:
            # The machine retries a pass that died.
            self.service.around = lambda _operation, _when: None
            execution.next_at = self.clock.now() + 2.0
            return
        except (ClientError, HTTPClientError):
            execution.next_at = self.clock.now() + 30.0  # the machine also waits, from 2 s to a minute
            return
        self.results.append(result)
        execution.done, execution.listed = result.done, result.listed
        execution.next_at = self.clock.now() + result.wait_seconds

    def end_executions(self) -> None:
        """Let every execution of the state machine end, whatever is left to do."""
        for execution in self.executions:
            execution.done = True

    def lose_registry(self) -> None:
        """Let the registry be empty, as after somebody deleted its table; no execution goes on."""
        self.registry.items.clear()
        self.end_executions()

    def lose_base(self) -> None:
        """Let someone delete the base component and with it its adapters, and a pass find that out."""
        for component in list(self.service.components):
            self.service.remove(component)
        self.start_machine("deployment")
        self.run_for(1)

    def run_newest(self, *, deadline: float) -> None:
        """Run a pass of the newest execution, of `deadline` seconds."""
        execution = self.executions[-1]
        self.clock.time = max(self.clock.time, execution.next_at)
        self.run_pass(execution, deadline=deadline)

    def run_for(self, seconds: float) -> int:
        """Run the passes that are due within some seconds; return how many."""
        end, passes = self.clock.now() + seconds, 0
        while self.clock.now() < end and self.step():
            passes += 1
        return passes

    def settle(self, *, passes: int = 200) -> None:
        """Run until every execution is done."""
        for _ in range(passes):
            if not self.step():
                return
        raise AssertionError(f"not done after {passes} passes: {self.describe()}")

    def settle_without_retries(self, *, passes: int = 100) -> None:
        """Run until the newest generation is decided."""
        for _ in range(passes):
            if self.newest().outcome is not Outcome.OPEN or not self.step():
                return
        raise AssertionError(f"not decided after {passes} passes: {self.describe()}")

    # --- what there is

    def fleet(self) -> FleetRecord:
        """Return the record of the fleet."""
        fleet = self.registry.fleet()
        assert fleet is not None
        return fleet

    def newest(self) -> Generation:
        return self.generation(self.fleet().generation)

    def outcomes(self) -> list[Outcome]:
        """Return the outcomes of all generations, oldest first."""
        numbers = range(1, self.newest().number + 1)
        return [made.outcome for number in numbers if (made := self.registry.generations.find(number))]

    def response_to(self, generation: Generation) -> dict[str, Any]:
        """Return the response to `is_complete` for a deployment. Raises FleetError if it has failed."""
        completion = Completion(
            registry=self.registry,
            clock=self.clock,
            start_machine=lambda trigger, _key: self.start_machine(trigger),
        )
        return completion.of({"RequestType": "Update", "Generation": generation.number})

    def record(self, name: str) -> AdapterRecord:
        return self.registry.records.all()[f"{PREFIX}-{name}"]

    def generation(self, number: int) -> Generation:
        generation = self.registry.generations.find(number)
        assert generation is not None
        return generation

    def probed(self, name: str) -> ProbeCheck:
        """Return what is known of who answers for an adapter that was asked."""
        check = self.record(name).probed
        assert check is not None
        return check

    def failure(self, name: str) -> Failure:
        """Return the failure of an adapter that has failed."""
        failure = self.record(name).failure
        assert failure is not None
        return failure

    def serving(self) -> dict[str, str | None]:
        return {name.removeprefix(f"{PREFIX}-"): uri for name, uri in self.service.serving().items()}

    def writes(self) -> list[str]:
        return self.service.written

    def deletions(self) -> list[str]:
        return [write for write in self.writes() if write.startswith("DeleteInferenceComponent")]

    @property
    def asked(self) -> int:
        """How many requests adapters have got."""
        return self.service.calls["InvokeEndpoint"]

    def with_settings(self, settings: FleetSettings) -> None:
        self.target = replace(self.target, settings=settings)

    def describe(self) -> str:
        return f"{self.newest()}; {self.registry.records.all()}; {self.log.troubles[-3:]}"


def deployed(
    *adapters: DesiredAdapter,
    digest: str | None = None,
    seconds: float = 5.0,
    settings: FleetSettings | None = None,
    copies: int = 1,
) -> World:
    """A world whose fleet has got adapters, and has nothing left to do; its base has some copies."""
    world = World(seconds=seconds, settings=settings)
    world.service.copies = copies
    world.apply(*adapters, digest=digest)
    return world

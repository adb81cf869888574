"""SageMaker in memory, on its own clock: the state machine of inference components, and faults."""

import math
import re
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, TypeVar

from adapter_fleet.common.clock import Clock
from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.archive_version import ArchiveReading, ArchiveVersion
from adapter_fleet.fleet.state.components import ObservedBase, ObservedComponent, Status
from adapter_fleet.fleet.state.sagemaker_port import (
    ComponentPage,
    ConflictError,
    ExistsError,
    LimitReachedError,
    MissingError,
    ModelFailedError,
    RefusedError,
    Requests,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.manifest.desired import Artifact, SmokeRequest
from adapter_fleet.serving.completions import Completion, PromptRequest

PAGE = 100

BASE = "the base model"


def answer_of(uri: str | None, prompt: str) -> str:
    """Return what an artifact answers to a prompt: each one something else."""
    return f"{uri} answers {prompt!r}"


class Crash(BaseException):
    """The process dies, and no handler of it runs."""


class FakeClock(Clock):
    """Time that passes only when someone sleeps."""

    def __init__(self, start: float = 1_000_000.0) -> None:
        self.time = start

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += max(0.0, seconds)


class RunningClock(FakeClock):
    """Time that passes by itself, as threads need it, and that a test can move forward."""

    def __init__(self) -> None:
        self._ahead = 0.0
        super().__init__(time.time())

    @property
    def time(self) -> float:
        return time.time() + self._ahead

    @time.setter
    def time(self, value: float) -> None:
        self._ahead = value - time.time()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds))


V = TypeVar("V")


class ByAnySpelling(dict[str, V]):
    """Values by the names of components. SageMaker ignores the case of names."""

    def __init__(self) -> None:
        super().__init__()
        self._spellings: dict[str, str] = {}

    def __setitem__(self, name: str, value: V) -> None:
        super().__setitem__(self._spellings.setdefault(name.lower(), name), value)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(self._spellings.pop(name.lower()))

    def __getitem__(self, name: str) -> V:
        return super().__getitem__(self._spellings[name.lower()])

    def __contains__(self, name: object) -> bool:
        return str(name).lower() in self._spellings

    def clear(self) -> None:
        super().clear()
        self._spellings.clear()

    def get(self, name: str, default: Any = None) -> Any:
        return super().get(self._spellings.get(name.lower(), name), default)


@dataclass(kw_only=True)
class FakeComponent:
    name: str
    endpoint: str
    base: str | None
    uri: str
    tags: dict[str, str]
    created: float
    modified: float
    status: Status
    ends: float | None = None
    """When the write in flight ends."""
    next_uri: str | None = None
    failure_reason: str | None = None
    serves: str | None = None
    """The artifact that the container answers with; `BASE` lets the base model answer."""
    on_copies: dict[int, str | None] = field(default_factory=dict)
    """What single copies of the base answer with instead."""
    stuck: bool = False


@dataclass(kw_only=True)
class Faults:
    """Faults that last until a test switches them off."""

    broken: dict[str, str] = field(default_factory=dict)
    """Artifact → FailureReason."""
    missing: set[str] = field(default_factory=set)
    """Artifacts that are not in S3."""
    not_copied: set[str] = field(default_factory=set)
    """Artifacts that are in S3 once the fleet has copied them."""
    unreadable: set[str] = field(default_factory=set)
    """Artifacts that the fleet's role may not read."""
    silent: set[str] = field(default_factory=set)
    """Artifacts that fail their smoke request."""
    worse: set[str] = field(default_factory=set)
    """Artifacts that answer their callers with errors."""
    asked: float = 1000.0
    """How many requests each component got."""
    wrong_answers: float = 0.0
    """The share of prompts that an adapter answers otherwise though it is loaded, as at near ties."""
    unanswered: int = 0
    """How many of the next prompts get no answer."""
    denied: bool = False
    deletion_refused: str | None = None
    """The message with which the service refuses every deletion."""
    update_refused: bool = False
    one_write_at_a_time: bool = False
    throttled: int = 0
    """How many of the next calls are throttled."""
    read_rate: float = 0.0
    """Reads a second that the service takes, and a burst of one second's; 0 means no limit."""
    read_seconds: float = 0.0
    """How long each read takes."""
    lost_before: int = 0
    """How many of the next writes never reach the service."""
    lost_after: int = 0
    """How many answers of the next writes are lost."""
    limit: int | None = None
    """How many components an endpoint may have."""
    listing_lag: float = 0.0
    modified_moves: bool = False
    failure_reason_stays: bool = False
    describe_lag: float = 0.0
    tags_lag: float = 0.0
    """How long after its creation a component seems to have no tags."""


class FakeService:
    """`Service`, and what people do by hand.

    before_call:
        Called with the operation before it acts and after, as `("create acme", "before")`; may raise Crash.
    """

    def __init__(self, clock: FakeClock, *, seconds: float = 5.0) -> None:
        self.clock, self.seconds = clock, seconds
        self.calls: Counter[str] = Counter()
        self.components: ByAnySpelling[FakeComponent] = ByAnySpelling()
        self.stacks: dict[str, str] = {}
        """The CloudFormation stacks of components."""
        self.faults = Faults()
        self.archives: dict[str, ArchiveVersion] = {}
        """Archives in S3 whose version matters. Every other archive exists, too, and never changes."""
        self.identities: dict[str, str] = {}
        """The content of archives, by entity tag: the URI of those that no test has put into S3."""
        self.read_seconds = 1.0
        self.around: Callable[[str, str], None] = lambda _operation, _when: None
        self.foreign_writes: list[str] = []
        self.written: list[str] = []
        self.uid: str | None = None
        self.copies = 1
        self.running: int | None = None
        """How many copies there are while their number changes; None: `copies`."""
        self.random = Random(7)
        self.page = PAGE
        """Components in a page of a listing."""
        self.prompts: set[tuple[str, str]] = set()
        """Every prompt that a component was asked with a nonce: none may come twice."""
        self._seen: dict[str, list[tuple[float, ObservedComponent | None]]] = {}
        self._read_tokens = math.inf
        self._filled_at = clock.now()

    # --- by hand

    def add_base(self, endpoint: str = "endpoint", base: str = "base") -> None:
        now = self.clock.now()
        self.components[base] = FakeComponent(
            name=base, endpoint=endpoint, base=None, uri="model", tags={}, created=now, modified=now,
            status=Status.IN_SERVICE,
        )  # fmt: skip
        self._note(base)

    def make(self, name: str, uri: str, *, tags: Mapping[str, str] = {}, base: str = "base") -> FakeComponent:
        """Create a component by hand, in service at once; it replaces one with that name."""
        self.remove(name)
        now = self._tick()
        self.components[name] = FakeComponent(
            name=name, endpoint=self.components[base].endpoint, base=base, uri=uri, serves=uri,
            tags=dict(tags), created=now, modified=now, status=Status.IN_SERVICE,
        )  # fmt: skip
        self._note(name)
        return self.components[name]

    def remove(self, name: str) -> None:
        self._settle()
        there = self.components.get(name)
        if there is not None:
            del self.components[name]
            self._note(there.name)

    def edit(self, name: str, uri: str) -> None:
        self._settle()
        component = self.components[name]
        component.uri = component.serves = uri
        component.modified = self._tick()
        self._note(name)

    def touch(self, name: str) -> None:
        """Let the last-modified time of a component move, and nothing else."""
        self.edit(name, self.components[name].uri)

    def replace_base(self, uri: str, *, lost: bool, base: str = "base") -> None:
        """Let the base run another model; its new copies have the adapters, or have lost them."""
        self._settle()
        there = self.components[base]
        there.uri, there.modified = uri, self._tick()
        self._note(base)
        for component in self.components.values():
            if lost and component.base == base:
                component.serves = None

    def serving(self) -> dict[str, str | None]:
        """Return the artifact that each component answers with."""
        self._settle()
        return {
            name: component.serves
            for name, component in self.components.items()
            if component.base is not None and component.status in (Status.IN_SERVICE, Status.UPDATING)
        }

    def on(
        self, operation: str, act: Callable[[], object], *, when: str = "before", times: float = math.inf
    ) -> None:
        """From now on, act before or after calls of an operation, or of one on a single component."""

        def around(called: str, at: str) -> None:
            nonlocal times
            if at == when and called.startswith(operation) and times > 0:
                times -= 1
                act()

        self.around = around

    def fail(
        self, operation: str, error: BaseException, *, when: str = "before", times: float = math.inf
    ) -> None:
        """From now on, let calls of an operation, or of one on a single component, raise an error."""

        def raise_error() -> None:
            raise error

        self.on(operation, raise_error, when=when, times=times)

    # --- the service

    def list_page(
        self, endpoint: str, *, token: str | None = None, created_after: float | None = None
    ) -> ComponentPage:
        self._begin("ListInferenceComponents", "", write=False)
        moment = self.clock.now() - self.faults.listing_lag
        names = sorted(self._seen)
        found: dict[str, ObservedComponent] = {}
        for name in names[bisect_right(names, token or "") :]:
            live = self._at(name, moment)
            if live is None or live.endpoint != endpoint or live.created <= (created_after or 0.0):
                continue
            if len(found) == self.page:
                return self._page(found, next_token=list(found)[-1])
            found[name] = ObservedComponent(
                status=live.status, created=live.created, modified=self._moved(live.modified),
                arn=f"arn:{name}", endpoint=endpoint,
            )  # fmt: skip
        return self._page(found, next_token=None)

    def _page(self, found: dict[str, ObservedComponent], *, next_token: str | None) -> ComponentPage:
        self.around("ListInferenceComponents", "after")
        return ComponentPage(found, next_token)

    def describe(self, component: str) -> ObservedComponent | None:
        self._begin("DescribeInferenceComponent", component, write=False)
        seen = self.described(component)
        self.around(f"DescribeInferenceComponent {component}", "after")
        return seen

    def describe_base(self, base: str) -> ObservedBase:
        self._begin("DescribeInferenceComponent", base, write=False)
        seen = self.described(base)
        if seen is None:
            raise MissingError(base)
        running = self.copies if self.running is None else self.running
        return ObservedBase(
            live=seen, version=seen.artifact_uri or "", copies=max(self.copies, running), running=running
        )

    def tags(self, component: str, live: ObservedComponent) -> dict[str, str]:
        self._begin("ListTags", component, write=False)
        there = self._there(component)
        return {} if self.clock.now() < there.created + self.faults.tags_lag else dict(there.tags)

    def stack_of(self, component: str, live: ObservedComponent) -> str | None:
        self._begin("DescribeStackResources", component, write=False)
        return self.stacks.get(component)

    def create(
        self, component: str, *, endpoint: str, base: str, artifact: Artifact, tags: Mapping[str, str]
    ) -> str:
        self._begin("CreateInferenceComponent", component, write=True)
        if component in self.components:
            raise ExistsError(component)
        self._there(base)
        if self.faults.limit is not None and len(self.components) >= self.faults.limit:
            raise LimitReachedError("ResourceLimitExceeded: the account-level service limit is reached")
        now = self._tick()
        self.components[component] = FakeComponent(
            name=component, endpoint=endpoint, base=base, uri=artifact.uri, tags=dict(tags), created=now,
            modified=now, status=Status.CREATING, ends=now + self.seconds,
        )  # fmt: skip
        return self._end("CreateInferenceComponent", component)

    def update(self, component: str, artifact: Artifact) -> None:
        self._begin("UpdateInferenceComponent", component, write=True)
        there = self._writable(component)
        if there.status is Status.FAILED:
            raise ConflictError(f"{component} is in state CREATE_FAILED")
        now = self._tick()
        there.status, there.modified, there.ends = Status.UPDATING, now, now + self.seconds
        there.next_uri = artifact.uri
        self._end("UpdateInferenceComponent", component)

    def delete(self, component: str) -> None:
        self._begin("DeleteInferenceComponent", component, write=True)
        there = self._writable(component)
        if self.faults.deletion_refused is not None:
            raise RefusedError(self.faults.deletion_refused)
        now = self._tick()
        there.status, there.modified, there.ends = Status.DELETING, now, now + self.seconds
        self._end("DeleteInferenceComponent", component)

    def tag(self, component: str, live: ObservedComponent, tags: Mapping[str, str]) -> None:
        self._begin("AddTags", component, write=True, settles=False)
        # The policy of the fleet's role: the fleet's tag on untagged components, other tags on its own ones.
        there = self._there(component).tags
        claims = tags.get(FLEET_TAG) == self.uid and there.get(FLEET_TAG) in (None, self.uid)
        if not (claims or (there.get(FLEET_TAG) == self.uid and FLEET_TAG not in tags)):
            self.foreign_writes.append(f"AddTags {component}")
            raise RefusedError("AccessDeniedException: not authorized to perform AddTags")
        there.update(tags)
        self._end("AddTags", component)

    def untag(self, component: str, live: ObservedComponent, keys: list[str]) -> None:
        self._begin("DeleteTags", component, write=True, settles=False)
        there = self._there(component)
        for key in keys:
            there.tags.pop(key, None)
        self._end("DeleteTags", component)

    def find_archive(self, uri: str) -> ArchiveVersion | None:
        self.calls["HeadObject"] += 1
        self.around(f"HeadObject {uri}", "before")
        if uri in self.faults.unreadable:
            raise RefusedError("403: Forbidden")
        if uri in self.faults.missing or (uri not in self.archives and uri in self.faults.not_copied):
            return None
        return self.archives.get(uri) or ArchiveVersion(uri=uri, etag=uri, size=1, modified=0.0)

    def read_archive(self, version: ArchiveVersion, stop: Callable[[], bool]) -> ArchiveReading:
        self.calls["GetObject"] += 1
        self.around(f"GetObject {version.uri}", "before")
        self.clock.sleep(self.read_seconds)
        if stop():
            raise UnansweredError(f"there was no time to read {version.uri} to its end")
        if self.find_archive(version.uri) != version:
            raise UnansweredError(f"{version.uri} was replaced while it was read")
        return ArchiveReading(version=version, identities=(self.identities.get(version.etag, "none"),))

    def copy_archive(self, source: str, uri: str) -> None:
        self.calls["CopyObject"] += 1
        self.around(f"CopyObject {source}", "before")
        found = self.find_archive(source)
        if found is None:
            raise MissingError(source)
        self.archives[uri] = replace(found, uri=uri, modified=self.clock.now())

    def requests(self, since: Mapping[str, float], until: float) -> dict[str, Requests]:
        self._begin("GetMetricData", "", write=False)
        found = {}
        for component in since:
            there = self.components.get(component)
            worse = there is not None and self._serves(there) in self.faults.worse
            found[component] = Requests(count=self.faults.asked, errors=self.faults.asked if worse else 0.0)
        return found

    def ask(self, component: str, endpoint: str, smoke: SmokeRequest) -> str | None:
        self._begin("InvokeEndpoint", component, write=False)
        there = self.components.get(component)
        serves = None if there is None else self._serves(there)
        if serves is None:
            return "404 adapter not found"
        return "a wrong answer" if serves in self.faults.silent else None

    def complete(self, component: str, endpoint: str, prompt: PromptRequest) -> Completion:
        self._begin("InvokeEndpoint", component, write=False)
        nonce, _, asked = prompt.prompt.partition("\n\n")
        assert re.fullmatch("[0-9a-f]{8}", nonce), f"no nonce in {prompt.prompt!r}"
        assert (component, nonce) not in self.prompts, "a prefix cache could answer this prompt"
        self.prompts.add((component, nonce))
        if self.faults.unanswered > 0:
            self.faults.unanswered -= 1
            raise UnansweredError("the connection was closed")
        there = self.components.get(component)
        serves = None if there is None else self._serves(there)
        if serves is None:
            raise ModelFailedError("404 adapter not found")
        if serves != BASE and self.random.random() < self.faults.wrong_answers:
            return Completion(text="another word")
        return Completion(text=answer_of(serves, asked))

    def _serves(self, there: FakeComponent) -> str | None:
        """Return what answers a request, on the copy that it happens to reach."""
        if self.copies == 0:
            raise UnansweredError("503: there is no copy")
        if there.base is None:
            return BASE
        if not there.on_copies:
            return there.serves
        return there.on_copies.get(self.random.randrange(self.copies), there.serves)

    # --- how

    def _there(self, component: str) -> FakeComponent:
        if component not in self.components:
            raise MissingError(component)
        return self.components[component]

    def _writable(self, component: str) -> FakeComponent:
        there = self._there(component)
        if there.status.in_transition:
            raise ConflictError(f"{component} is {there.status}")
        return there

    def _begin(self, operation: str, component: str, *, write: bool, settles: bool = True) -> None:
        self.calls[operation] += 1
        self.around(f"{operation} {component}", "before")
        self._settle()
        faults = self.faults
        if faults.throttled > 0:
            faults.throttled -= 1
            raise ThrottledError("Rate exceeded")
        if not write:
            self._take_read_token()
        if faults.denied:
            raise RefusedError(f"AccessDeniedException: not authorized to perform {operation}")
        if not write:
            return
        if faults.lost_before > 0:
            faults.lost_before -= 1
            raise UnansweredError("the connection was closed")
        if settles and faults.one_write_at_a_time:
            busy = [c.name for c in self.components.values() if c.status.in_transition]
            if busy:
                raise ConflictError(f"{busy[0]} is in progress")
        there = self.components.get(component)
        owned = there is not None and there.tags.get(FLEET_TAG) == self.uid
        if there is not None and not owned and operation not in ("CreateInferenceComponent", "AddTags"):
            # The policy of the fleet's role names its tag.
            self.foreign_writes.append(f"{operation} {component}")
            raise RefusedError(f"AccessDeniedException: not authorized to perform {operation}")

    def _take_read_token(self) -> None:
        rate, now = self.faults.read_rate, self.clock.now()
        self.clock.sleep(self.faults.read_seconds)
        if not rate:
            return
        self._read_tokens = min(max(rate, 1.0), self._read_tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._read_tokens < 1:
            raise ThrottledError("Rate exceeded")
        self._read_tokens -= 1

    def _end(self, operation: str, component: str) -> str:
        self.written.append(f"{operation} {component}")
        self._note(component)
        self.around(f"{operation} {component}", "after")
        if self.faults.lost_after > 0:
            self.faults.lost_after -= 1
            raise UnansweredError("no answer in time")
        return f"arn:{component}"

    def _settle(self) -> None:
        now = self.clock.now()
        for component in list(self.components.values()):
            if component.ends is None or component.ends > now or component.stuck:
                continue
            at, component.ends = component.ends, None
            if component.status is Status.DELETING:
                del self.components[component.name]
                self._note(component.name, at)
                continue
            uri = component.next_uri or component.uri
            reason = self.faults.broken.get(uri)
            if component.status is Status.UPDATING and self.faults.update_refused:
                reason = "Update operation is not supported"
            if reason is None:
                component.uri = component.serves = uri
                component.on_copies.clear()
                component.status = Status.IN_SERVICE
                if not self.faults.failure_reason_stays:
                    component.failure_reason = None
            else:
                component.failure_reason = reason
                created = component.status is Status.CREATING
                component.status = Status.FAILED if created else Status.IN_SERVICE
            component.next_uri, component.modified = None, at
            self._note(component.name, at)

    def _tick(self) -> float:
        """Return a time that no other change has."""
        self.clock.time += 0.001
        return self.clock.time

    def described(self, component: str) -> ObservedComponent | None:
        """Return what a describe shows."""
        there, lag = self.components.get(component), self.faults.describe_lag
        name = component if there is None else there.name
        seen = self._at(name, self.clock.now() - lag) if lag else self._live(there)
        return None if seen is None else replace(seen, modified=self._moved(seen.modified))

    @staticmethod
    def _live(there: FakeComponent | None) -> ObservedComponent | None:
        if there is None:
            return None
        return ObservedComponent(
            status=there.status, created=there.created, modified=there.modified, arn=f"arn:{there.name}",
            endpoint=there.endpoint, base=there.base, artifact_uri=there.uri,
            failure_reason=there.failure_reason, described=True,
        )  # fmt: skip

    def _moved(self, modified: float) -> float:
        if not self.faults.modified_moves:
            return modified
        return max(modified, self.clock.now() - self.clock.now() % 2.0)

    def _note(self, name: str, at: float | None = None) -> None:
        there = self.components.get(name)
        # A listing has the name as it was created.
        name = name if there is None else there.name
        self._seen.setdefault(name, []).append((self.clock.now() if at is None else at, self._live(there)))

    def _at(self, name: str, moment: float) -> ObservedComponent | None:
        seen = reversed(self._seen.get(name, ()))
        return next((live for at, live in seen if at <= moment), None)

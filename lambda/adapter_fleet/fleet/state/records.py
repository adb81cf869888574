"""Records that the registry stores: of each adapter, its history, the fleet, and orders of people.

Each record is one item, and the names of its fields are those of the stored JSON: a renamed field loses what
running fleets have stored. All times are seconds since 1970.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from adapter_fleet.common.bounded_text import bound_texts
from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.probe_check import ProbeCheck
from adapter_fleet.manifest.desired import Artifact

MAX_VERSIONS = 5
"""How many earlier versions of an adapter a record keeps for a rollback."""


class Write(StrEnum):
    """The writes on a component."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A write in flight. It is stored before the write is sent.

    acknowledged:
        When SageMaker accepted the write; None if the answer has not come, or was lost.
    modified_before:
        The component's last-modified time before the write. Another time shows that the write has begun.
    failure_reason_before:
        The FailureReason before the write. A FailureReason may outlive a success.
    endpoint, base:
        Where a creation goes. The next generation may want the adapter elsewhere.
    restores:
        True if `artifact` is the last good one, sent instead of a wanted one that failed.
    archive:
        The version of the archive that was verified before the write; None where there was no digest.
    error:
        The error that came instead of an answer.
    """

    write: Write
    at: float
    generation: int
    artifact: Artifact | None = None
    acknowledged: float | None = None
    modified_before: float | None = None
    failure_reason_before: str | None = None
    endpoint: str | None = None
    base: str | None = None
    restores: bool = False
    archive: ArchiveVersion | None = None
    error: str | None = None

    def __post_init__(self) -> None:
        bound_texts(self, ("failure_reason_before", "error"))


class Recheck(StrEnum):
    """What to do with an adapter after its base model changed, or because another answers in its place."""

    ASK = "ask"
    """Send it a request."""
    SEND = "send"
    """It does not answer: send its artifact again."""
    SENT = "sent"
    """Its artifact was sent again, but the FailureReason may be an old one: send it a request."""
    RESEND = "resend"
    """Another answers in its place: send its artifact again."""


@dataclass(frozen=True, kw_only=True)
class AdapterRecord:
    """What the registry knows about one component of the fleet.

    name:
        The adapter's name in the manifest.
    live:
        The newest observation; None if the component does not exist.
    absent_at:
        When the component was observed to be absent, since the write in flight began.
    owned:
        The creation time of the component that is known to belong to the fleet; None while unknown.
    endpoint, base:
        Where the component runs.
    serving:
        The artifact that answers requests, as SageMaker confirmed it; None if unknown.
    vouched:
        The component's last-modified time when `serving` was confirmed.
    last_good:
        The last artifact that was in service and passed the smoke request, where there is one.
    versions:
        The versions that were the last good one so far, newest first, at most `MAX_VERSIONS`. Each has the
        address where it served last.
    restore_at:
        When the next attempt to restore the last good artifact is due.
    passed, passed_smoke:
        The artifact that last passed a smoke request, and the digest of that request.
    probed:
        What is known of who answers for the adapter.
    asked_at:
        When a pass last sent the adapter a request.
    intent:
        The write in flight.
    failure:
        Why `failure.artifact` is not serving.
    tags:
        The tags that were last written, without the fleet's own. While a write of tags is in flight, all tags
        that may be there, with the fleet's own.
    other_fleet:
        The fleet whose tag the component had when its tags were last read, if it is another fleet.
    other_stack:
        The CloudFormation stack that the component belonged to when the fleet was to take it over.
    claimed:
        The generation that took the component over from its maker, or that spared it when it took such a
        change back; None once a generation that wants the component has converged.
    adopted:
        True if the component carried the fleet's tag before this registry knew it.
    counted:
        The generation whose guard passed and that counted the component's deletion. Passes delete only
        counted components.
    generation:
        The generation that last changed the adapter.
    changed_at:
        When `serving` last changed.
    routed_at:
        When a route began to name the component, as the history has it.
    drifted:
        What is not as the manifest says though no write of the fleet failed, until it is repaired.
    ordered:
        True from an order that names the adapter until it is as wanted. A change by hand is restored then.
    recheck:
        What to do because the base model changed. The base may have lost its adapters.
    lost:
        How many writes in a row got no answer and had no visible effect.
    restores:
        How many attempts in a row to restore the last good artifact have failed.
    unconfirmed:
        The version of the archive that was verified before the last write; None once the archive is
        confirmed to be unchanged after the write. SageMaker takes no version and may load a newer one.
    archive_trouble:
        Why no new copy of the base model could load what serves, as a drift check found; None if it could.
    unreadable:
        Why the stored record cannot be read; None if it can. Such a record is never written: a later release
        may be able to read what is stored.
    """

    name: str
    component: str
    live: ObservedComponent | None = None
    absent_at: float | None = None
    owned: float | None = None
    endpoint: str | None = None
    base: str | None = None
    serving: Artifact | None = None
    vouched: float | None = None
    last_good: Artifact | None = None
    versions: tuple[Artifact, ...] = ()
    restore_at: float | None = None
    passed: Artifact | None = None
    passed_smoke: str | None = None
    probed: ProbeCheck | None = None
    asked_at: float | None = None
    intent: Intent | None = None
    failure: Failure | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    other_fleet: str | None = None
    other_stack: str | None = None
    claimed: int | None = None
    adopted: bool = False
    counted: int | None = None
    generation: int = 0
    changed_at: float | None = None
    routed_at: float | None = None
    drifted: str | None = None
    ordered: bool = False
    recheck: Recheck | None = None
    lost: int = 0
    restores: int = 0
    unconfirmed: ArchiveVersion | None = None
    archive_trouble: str | None = None
    unreadable: str | None = None

    @property
    def is_own(self) -> bool:
        """Whether the fleet has the component, or a write of it is under way."""
        return self.owned is not None or self.intent is not None

    @property
    def may_be_asked_again(self) -> bool:
        """True if another answered for an artifact that had served before: it may be itself again."""
        failure = self.failure
        return (
            failure is not None
            and failure.cause is Cause.IDENTITY
            and failure.artifact.same_as(self.serving)
            and failure.artifact.same_as(self.last_good)
        )

    @property
    def is_vouched(self) -> bool:
        """Whether what the registry knows of the component holds: it has not been modified since.

        A component may come into service after it failed, with its last-modified time unchanged.
        """
        live = self.live
        return (
            live is not None
            and self.vouched == live.modified
            and (self.serving is not None or live.status is Status.FAILED)
        )

    def __post_init__(self) -> None:
        bound_texts(self, ("drifted", "archive_trouble"))

    def to_be_asked(self) -> "AdapterRecord":
        """Return the record before a request and its probe are sent: a copy may have lost the adapter."""
        probed = None if self.probed is None else self.probed.begin_again()
        return replace(self, recheck=self.recheck or Recheck.ASK, probed=probed)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One entry of an adapter's history.

    what:
        created, updated, deleted, restored, failed, adopted, drifted, retried, unpinned or routed.
    before, after:
        The versions (`Artifact.version`) before and after the event.
    before_artifact, after_artifact:
        The artifacts of these versions.
    seconds:
        How long the write took until it was confirmed.
    """

    component: str
    name: str
    at: float
    what: str
    generation: int
    before: str | None = None
    after: str | None = None
    before_artifact: Artifact | None = None
    after_artifact: Artifact | None = None
    seconds: float | None = None
    cause: str | None = None

    def __post_init__(self) -> None:
        bound_texts(self, ("cause",))


@dataclass(frozen=True, kw_only=True)
class FleetRecord:
    """What the registry knows about the whole fleet.

    generation, converged:
        The newest generation, and the newest one that converged.
    runner, runner_at:
        The execution of the state machine that runs the next pass, and when it started.
    rate:
        The writes a second that SageMaker last accepted without throttling; None for the setting.
    serial:
        True if SageMaker was found to accept one write at a time on this base.
    write_seconds:
        How long recent creates, updates and deletes took, by `Write`.
    foreign:
        Creation times of components on the endpoint that belong to someone else, by name.
    base_modified, base_version, hosting:
        The base component's last-modified time, its version, and the declared hosting at the last look.
    base_copies:
        How many copies of the base model there were at the last look; 0 if none answered.
    checked_copies:
        How many of them were asked whether they have the adapters; None before the first time.
    copies_changed:
        When a pass last saw another number of copies, or the base component being updated.
    unasked:
        Components whose records could not be read when all adapters were marked to be asked.
    heartbeat:
        When a pass last showed a sign of life. If another pass follows, when it is due.
    behind_since:
        Since when the fleet has differed from its newest manifest; None while it does not.
    trouble:
        Why the last pass left something undone.
    failed_passes:
        How many passes in a row ended in trouble or with an exception.
    pass_ended:
        When a pass last ended by itself, and was not killed.
    tags_read:
        The component, in order of names, up to which drift checks have read tags. The next run goes on there.
    archives_read, archives_at:
        The same of the archives of what serves, and when a drift check last looked at some.
    deleted:
        True once the fleet is deleted.
    """

    uid: str
    name: str
    machine: str
    generation: int = 0
    converged: int = 0
    runner: str | None = None
    runner_at: float = 0.0
    rate: float | None = None
    serial: bool = False
    write_seconds: Mapping[str, float] = field(default_factory=dict)
    foreign: Mapping[str, float] = field(default_factory=dict)
    base_modified: float | None = None
    base_version: str | None = None
    hosting: str | None = None
    base_copies: int = 1
    checked_copies: int | None = None
    copies_changed: float = 0.0
    unasked: Sequence[str] = ()
    heartbeat: float = 0.0
    behind_since: float | None = None
    trouble: str | None = None
    tags_read: str = ""
    archives_read: str = ""
    archives_at: float = 0.0
    failed_passes: int = 0
    pass_ended: float = 0.0
    deleted: bool = False

    def __post_init__(self) -> None:
        bound_texts(self, ("trouble",))

    @property
    def unchecked_copies(self) -> int:
        """How many copies of the base model nobody has asked yet whether they have the adapters."""
        known = self.base_copies if self.checked_copies is None else self.checked_copies
        return max(0, self.base_copies - known)


class OrderKind(StrEnum):
    """The kinds of orders."""

    RETRY = "retry"
    """Forget the failure and try again; ask what serves again. At the time of a pin or claim: restore."""
    PIN = "pin"
    """Serve `artifact` instead of `replaces`, until the manifest names another artifact than `replaces`."""
    UNPIN = "unpin"
    """End a pin."""
    CLAIM = "claim"
    """Take over the component with creation time `created`, which has no fleet tag."""
    PRUNE = "prune"
    """Delete the orphan with creation time `created`."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a person asks of one adapter, in addition to the manifest.

    An order is kept until a pass has carried it out; a pin is kept until it is void.
    """

    kind: OrderKind
    component: str
    at: float
    artifact: Artifact | None = None
    replaces: Artifact | None = None
    created: float | None = None

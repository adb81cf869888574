"""What the registry remembers: of each adapter, of each generation, and of the fleet.

All times are seconds since 1970.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from adapter_fleet.common.bounded_text import bound_texts
from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.settings import FleetSettings
from adapter_fleet.manifest.desired import Artifact


class Status(StrEnum):
    """The statuses of an inference component (`InferenceComponentStatus` in botocore's service model).

    A status that is not among them keeps its own name, and counts as in transition.
    """

    IN_SERVICE = "InService"
    CREATING = "Creating"
    UPDATING = "Updating"
    FAILED = "Failed"
    DELETING = "Deleting"

    @classmethod
    def _missing_(cls, value: object) -> "Status | None":
        if not isinstance(value, str):
            return None
        # A status that SageMaker added since: the service may refuse writes meanwhile.
        unknown = str.__new__(cls, value)
        unknown._name_ = unknown._value_ = value
        return unknown

    @property
    def in_transition(self) -> bool:
        """Whether the service refuses writes for now."""
        return self not in (Status.IN_SERVICE, Status.FAILED)


@dataclass(frozen=True, kw_only=True)
class Live:
    """What the service last said of a component.

    artifact_uri, base and failure_reason are known from a describe only, as `described` tells; a listing has
    none of them.

    doubtful:
        Whether a listing left it out since. Listings may lag behind.
    """

    status: Status
    created: float
    modified: float
    arn: str | None = None
    endpoint: str | None = None
    artifact_uri: str | None = None
    base: str | None = None
    failure_reason: str | None = None
    described: bool = False
    doubtful: bool = False

    def __post_init__(self) -> None:
        bound_texts(self, ("failure_reason",))


@dataclass(frozen=True, kw_only=True)
class ObservedBase:
    """What the service says of the base component when asked for it alone.

    version:
        Changes when the component gets another model or container.
    """

    live: Live
    version: str


class Write(StrEnum):
    """The writes on a component."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, kw_only=True)
class Intent:
    """A write that was begun and whose end is not known yet; noted before it is sent.

    acknowledged:
        When the service took it, or None while the answer has not come, or was lost.
    """

    write: Write
    at: float
    generation: int
    artifact: Artifact | None = None
    acknowledged: float | None = None
    modified_before: float | None = None
    """The component's last-modified time before the write, by which one that has begun is told."""
    failure_reason_before: str | None = None
    """The FailureReason that was there already: it can outlive a success."""
    endpoint: str | None = None
    base: str | None = None
    """Where a creation goes, which the next generation may want elsewhere."""
    restores: bool = False
    """Whether `artifact` is the last good one, in the place of one that failed."""
    archive: ArchiveVersion | None = None
    """The version of the archive that was verified before the write; None where there was no digest."""
    error: str | None = None
    """Why no answer came: what the call ended with."""

    def __post_init__(self) -> None:
        bound_texts(self, ("failure_reason_before", "error"))


ATTEMPTS_OF_A_DEPLOYMENT = 3
"""After this many, a deployment counts an adapter as failed; the state machine goes on trying."""


class Cause(StrEnum):
    """Why an adapter failed, which decides when it is tried again."""

    ARTIFACT = "artifact"
    """Its own fault: not before the artifact changes, or someone asks."""
    SMOKE = "smoke"
    """Loaded, and then no right answer: as an artifact's own fault."""
    UPDATE_REFUSED = "update-refused"
    """The container cannot update in place: not before the artifact or the setting changes."""
    FOREIGN = "foreign"
    """A component of that name is someone else's: not before it is gone or imported."""
    ACCESS = "access"
    """No permission, or not there yet: again, less and less often."""
    CAPACITY = "capacity"
    """No room for it right now: again, less and less often."""
    QUOTA = "quota"
    """A limit of the account: again, less and less often."""
    REFUSED = "refused"
    """The service would not begin, and why is not known: again, less and less often."""
    UNEXPECTED = "unexpected"
    """An exception that nobody foresaw: again, less and less often."""

    @property
    def retried(self) -> bool:
        """Whether time or people may mend it: a new generation tries again at once."""
        return self not in (Cause.ARTIFACT, Cause.SMOKE, Cause.UPDATE_REFUSED, Cause.FOREIGN)


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why the last attempt at an artifact failed, in the service's own words."""

    cause: Cause
    reason: str
    artifact: Artifact
    at: float
    attempts: int = 1
    retry_at: float | None = None
    generation: int = 0
    endpoint: str | None = None
    base: str | None = None
    """Where it failed. Elsewhere it may not."""
    smoke: str | None = None
    """Digest of the smoke request that had no right answer."""
    unverified: bool = False
    """Whether S3 has another archive than was recorded: a new generation looks at it again."""

    def __post_init__(self) -> None:
        bound_texts(self, ("reason",))

    @property
    def final(self) -> bool:
        """Whether a deployment need not wait for another attempt."""
        return not self.cause.retried or self.attempts >= ATTEMPTS_OF_A_DEPLOYMENT


class Recheck(StrEnum):
    """What an adapter needs after its base model changed."""

    ASK = "ask"
    """Ask it something."""
    SEND = "send"
    """It does not answer: send its artifact again."""
    SENT = "sent"
    """It was sent again, and what the service says may be of that or of an earlier time: ask it."""


MOST_VERSIONS = 5
"""So many versions of an adapter are remembered, to go back to."""


@dataclass(frozen=True, kw_only=True)
class AdapterRecord:
    """What is remembered of one component of the fleet, by its name.

    name:
        The adapter's name in the manifest.
    live:
        What the service last said of it, None if it said that there is none.
    absent_at:
        When the service said that there is none, since the write in flight was begun.
    owned:
        The creation time of the incarnation that is known to be the fleet's; None while that is unknown.
    serving:
        The artifact that answers, as far as is known: confirmed by the service.
    vouched:
        The last-modified time of the component when `serving` was confirmed.
    last_good:
        The last artifact that was in service and, where there is one, passed the smoke request.
    versions:
        The versions that were the last good one so far, the newest first, `MOST_VERSIONS` at most. Each is
        where it served last.
    restore_at:
        When the last good one may be tried again, after that failed for a cause that passes.
    passed, passed_smoke:
        The artifact that last passed a smoke request, and the digest of that.
    intent:
        The write in flight.
    failure:
        Why `failure.artifact` is not serving.
    tags:
        The tags last written, beside the fleet's own; with that while others are being written.
    other_fleet:
        The identifier of the fleet whose tag it has in the place of this one's, as its tags were last read.
    other_stack:
        The CloudFormation stack that the component belongs to, as its tags were last read.
    claimed:
        The generation that took it over from whoever made it by hand.
    adopted:
        Whether it carried the fleet's tag before this registry knew it.
    counted:
        The generation that passed the guard and counted its deletion. A pass deletes nothing else.
    generation:
        The generation that last changed the adapter.
    changed_at:
        When `serving` last changed.
    drifted:
        What someone changed by hand, in words, until it is repaired.
    recheck:
        What is to be done because the base model changed, which may have lost its adapters.
    lost:
        How many writes in a row got no answer and did not show.
    restores:
        How many attempts in a row to bring back the last good one have failed.
    not_in_place:
        Whether its container refused to bring that back by an update.
    unconfirmed:
        The version of the archive that was verified before the last write. It goes once the archive is
        found to be the same after that: SageMaker takes no version, and may have loaded another one.
    """

    name: str
    component: str
    live: Live | None = None
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
    drifted: str | None = None
    recheck: Recheck | None = None
    lost: int = 0
    restores: int = 0
    not_in_place: bool = False
    unconfirmed: ArchiveVersion | None = None

    def __post_init__(self) -> None:
        bound_texts(self, ("drifted",))


class Outcome(StrEnum):
    """What became of a generation."""

    OPEN = "open"
    CONVERGED = "converged"
    """Everything is as desired, except what failed within the limit."""
    FAILED = "failed"
    """More failed than the limit allows."""
    REFUSED = "refused"
    """A guard stopped it before it changed anything."""
    SUPERSEDED = "superseded"
    """A newer one came."""


class Source(StrEnum):
    """What asked for a generation."""

    DEPLOYMENT = "deployment"
    OBJECT = "object"
    """A new version of the manifest in S3."""
    UNDO = "undo"
    """The fleet itself, after a manifest in S3 failed."""
    DELETION = "deletion"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the fleet is, and how it is kept."""

    endpoint: str
    base: str
    prefix: str
    settings: FleetSettings
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of every component of the fleet, beside its own."""
    buckets: Mapping[str, str] = field(default_factory=dict)
    """Names of the buckets that a manifest refers to by alias."""
    archives: Mapping[str, str] = field(default_factory=dict)
    """S3 URIs of the archives that were deployed with the manifest, by identity."""
    kept_archives: str | None = None
    """S3 URI of the folder into which those archives are copied before they are used; None to use them as
    they are. `cdk gc` deletes an archive of the deployment once no template names it."""
    manifest: str | None = None
    """`s3://bucket/key` of the manifest, where that is in S3 and may change without a deployment."""
    hosting: str | None = None
    """The declared instances and copies of the base model. After a change of these, copies may be new."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a trigger asks for: the desired state, and where it comes from.

    delivery:
        Tells one delivery of an event from the next; the same delivery never makes two generations.
    source_digest:
        Digest of the manifest that it wants. For undo: `previous_digest` is that which it replaces.
    rolling_back:
        Whether its stack was rolling back, which a deletion after a failed creation is; None where that is
        not known.
    refusal:
        Why it cannot be taken, if the manifest itself is wrong.
    """

    delivery: str
    source: Source
    target: Target
    at: float
    source_digest: str = ""
    previous_digest: str | None = None
    rolling_back: bool | None = None
    manifest_version: str | None = None
    refusal: str | None = None

    def __post_init__(self) -> None:
        bound_texts(self, ("refusal",))


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One accepted request, by its number.

    undo:
        Brings back what was before the previous generation; no guard or limit stops it.
    deployment:
        The newest one, up to this, that CloudFormation asked for.
    standing:
        The newest one before it that was not refused at that time; 0 for none.
    rebased:
        Whether it found another base model, so that it changes every adapter.
    changes, failures:
        How many adapters it changes, and how many of those have failed; None until that is known.
    orphans:
        How many components carry the fleet's tag, though no manifest wants them and no guard counted their
        deletion. They are left alone.
    """

    number: int
    request: Request
    undo: bool = False
    deployment: int = 0
    standing: int = 0
    rebased: bool = False
    outcome: Outcome = Outcome.OPEN
    reason: str | None = None
    changes: int | None = None
    failures: int = 0
    pending: int = 0
    in_service: int = 0
    failed: int = 0
    desired: int = 0
    orphans: int = 0
    ended: float | None = None
    writes: int = 0
    reads: int = 0
    passes: int = 0

    def __post_init__(self) -> None:
        bound_texts(self, ("reason",))

    @property
    def exempt(self) -> bool:
        """Whether guards and limits let it pass: it takes back, or takes down."""
        return self.undo or self.request.source in (Source.UNDO, Source.DELETION)

    def spares_adopted(self, *, converged: bool) -> bool:
        """Tell whether components stay that carried the tag before the registry knew them.

        What takes a change back, be it the creation of the whole fleet, deletes what that change has made.

        converged:
            Whether the fleet has ever been in force.
        """
        if self.request.source is not Source.DELETION:
            return self.exempt
        unknown = self.request.rolling_back is None and not converged
        return bool(self.request.rolling_back) or unknown

    @property
    def told(self) -> bool:
        """Whether someone was told that it is in force, though some adapters may have been pending."""
        waited = (self.ended or 0.0) - self.request.at
        pending = (
            self.outcome is Outcome.SUPERSEDED
            and self.request.source is Source.DEPLOYMENT
            and waited >= self.request.target.settings.timeout_seconds
        )
        return self.outcome is Outcome.CONVERGED or pending


class OrderKind(StrEnum):
    """What a person may ask of one adapter, beside the manifest."""

    RETRY = "retry"
    """Forget the failure."""
    PIN = "pin"
    """Serve `artifact` in the place of `replaces`, until the manifest wants another than that."""
    UNPIN = "unpin"
    CLAIM = "claim"
    """Take over the component of creation time `created`, which has no fleet tag."""
    PRUNE = "prune"
    """Delete the orphan of creation time `created`."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """One wish of a person, kept until a pass has taken it, or for a pin, until it is void."""

    kind: OrderKind
    component: str
    at: float
    artifact: Artifact | None = None
    replaces: Artifact | None = None
    created: float | None = None


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of an adapter's history.

    what:
        created, updated, deleted, restored, failed, adopted, drifted, retried, pinned.
    before, after:
        Versions (`Artifact.version`).
    before_artifact, after_artifact:
        What these versions are; None in events of earlier releases.
    seconds:
        From the write to its confirmation.
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
    """What is remembered of the whole fleet.

    generation:
        The newest one.
    converged:
        The newest one that converged.
    runner:
        The execution of the state machine that is to run the next pass.
    rate:
        Writes a second that the service last bore; None for the setting.
    serial:
        Whether the service was found to take one write at a time on this base.
    write_seconds:
        What creates, updates and deletes took of late, by their name: when to look.
    foreign:
        Components on the endpoint that are known not to be the fleet's: creation times by name.
    base_modified, base_version, hosting:
        The base component's last-modified time, what it ran, and how it was hosted, when that was last looked
        at.
    heartbeat:
        When a pass last ended; where another is to follow, when that is due.
    behind_since:
        Since when the fleet has not been what its newest manifest says; None while it is.
    trouble:
        What the last pass could not get past, if it left something undone.
    failed_passes:
        How many passes in a row ended in trouble, or with an exception.
    pass_ended:
        When a pass last ended by itself. One that is killed does not.
    tags_read:
        The component up to which drift runs have read tags, in the order of names. Those that a run did not
        come to, as its time was up, have their turn when all others had theirs.
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
    heartbeat: float = 0.0
    behind_since: float | None = None
    trouble: str | None = None
    tags_read: str = ""
    failed_passes: int = 0
    pass_ended: float = 0.0
    deleted: bool = False

    def __post_init__(self) -> None:
        bound_texts(self, ("trouble",))

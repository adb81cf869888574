"""Generations: one number for each accepted request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from adapter_fleet.common.bounded_text import bound_texts
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FleetSettings, OnTimeout


class Outcome(StrEnum):
    """How a generation ended."""

    OPEN = "open"
    """It has not ended."""
    CONVERGED = "converged"
    """Everything is as desired, except for failures within the limit."""
    FAILED = "failed"
    """More adapters failed than the limit allows, or a deletion is incomplete."""
    REFUSED = "refused"
    """A guard stopped it before its first write, or its request was invalid."""
    SUPERSEDED = "superseded"
    """A newer generation replaced it."""


class Source(StrEnum):
    """Who requested a generation."""

    DEPLOYMENT = "deployment"
    """CloudFormation, with a creation or an update."""
    OBJECT = "object"
    """A new version of the manifest in S3."""
    UNDO = "undo"
    """The fleet itself, after a manifest in S3 failed."""
    DELETION = "deletion"
    """CloudFormation, with a deletion."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the fleet runs, and its settings.

    tags:
        Tags of every component of the fleet, in addition to its own tags.
    buckets:
        Bucket names by the alias that a manifest uses.
    archives:
        S3 URIs of the archives that were deployed with the manifest, by identity.
    kept_archives:
        S3 URI of the folder to which those archives are copied before use; None to use them in place.
        `cdk gc` deletes an archive of a deployment once no template names it.
    manifest:
        `s3://bucket/key` of a manifest that may change without a deployment; None where there is none.
    hosting:
        The declared instances and copies of the base model. When these change, copies may be new.
    """

    endpoint: str
    base: str
    prefix: str
    settings: FleetSettings
    tags: Mapping[str, str] = field(default_factory=dict)
    buckets: Mapping[str, str] = field(default_factory=dict)
    archives: Mapping[str, str] = field(default_factory=dict)
    kept_archives: str | None = None
    manifest: str | None = None
    hosting: str | None = None


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request for a new generation.

    delivery:
        Identifies one delivery of an event. The same delivery never makes two generations.
    source_digest, previous_digest:
        Digests of the manifest that is requested, and of the manifest that it replaces.
    code_alone:
        True if only the functions' code differs from what the stack deployed before.
    rolling_back:
        True if the stack was rolling back, as for a deletion after a failed creation; None if unknown.
    refusal:
        Why the manifest is invalid; None for a valid manifest.
    """

    delivery: str
    source: Source
    target: Target
    at: float
    source_digest: str = ""
    previous_digest: str | None = None
    code_alone: bool = False
    rolling_back: bool | None = None
    manifest_version: str | None = None
    refusal: str | None = None

    def __post_init__(self) -> None:
        bound_texts(self, ("refusal",))


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One accepted request, and its progress. Stored as one item, which is why it has so many fields.

    undo:
        True if it restores what the previous deployment replaced. No guard or limit stops an undo.
    deployment:
        Number of the newest generation up to this one that CloudFormation requested.
    standing:
        Number of the newest generation before this one that was not refused at that time; 0 for none.
    in_force:
        Number of the newest generation before this one that was reported to be in force; 0 for none. None in
        generations of earlier releases.
    rebased:
        True if the base model changed, so that the generation changes every adapter.
    changes, failures:
        How many adapters the generation changes, and how many of these have failed. `changes` is None until
        it is known.
    applied:
        True if SageMaker has taken a write of what it changes, or may have; None if nobody knows.
    waiting:
        Names of the first adapters that are pending.
    orphans:
        How many components carry the fleet's tag though no manifest wants them and no guard has counted
        their deletion. They are left alone.
    """

    number: int
    request: Request
    undo: bool = False
    deployment: int = 0
    standing: int = 0
    in_force: int | None = None
    rebased: bool = False
    outcome: Outcome = Outcome.OPEN
    reason: str | None = None
    changes: int | None = None
    failures: int = 0
    applied: bool | None = None
    pending: int = 0
    waiting: Sequence[str] = ()
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
        """True if no guard or limit stops it: it takes a change back, or deletes the fleet."""
        return self.undo or self.request.source in (Source.UNDO, Source.DELETION)

    @property
    def spares_changes(self) -> bool:
        """True if it is in force, and no policy restores what people change by hand since."""
        repairs = self.request.target.settings.drift is DriftAction.REPAIR
        return self.outcome is Outcome.CONVERGED and not repairs

    def spares_adopted(self, *, converged: bool) -> bool:
        """True if adopted components stay: those that carried the tag before the registry knew them.

        A generation that takes a change back deletes only what that change has made. A deletion that follows
        a failed creation takes that creation back.

        converged:
            True if any generation of the fleet has converged.
        """
        if self.request.source is not Source.DELETION:
            return self.exempt
        unknown = self.request.rolling_back is None and not converged
        return bool(self.request.rolling_back) or unknown

    @property
    def fails_at_timeout(self) -> bool:
        """True if a deployment fails when its time is up, though passes go on."""
        if self.exempt or self.changes is None:
            return not self.exempt
        chosen = self.request.target.settings.on_timeout
        nothing_applied = self.changes > 0 and self.applied is False
        return nothing_applied if chosen is None else chosen is OnTimeout.FAIL

    @property
    def reported_success(self) -> bool:
        """True if it converged, or had the time that a deployment has, though some adapters were pending."""
        waited = (self.ended or 0.0) - self.request.at
        timed_out = (
            self.outcome is Outcome.SUPERSEDED
            and self.request.source is not Source.DELETION
            and waited >= self.request.target.settings.timeout_seconds
            and not (self.request.source is Source.DEPLOYMENT and self.fails_at_timeout)
        )
        return self.outcome is Outcome.CONVERGED or timed_out

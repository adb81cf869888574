"""Generations: one number for each accepted request, and the rules on which generation follows which."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
    """More adapters failed than the limit allows."""
    REFUSED = "refused"
    """A guard stopped it before its first write."""
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


FindGeneration = Callable[[int], Generation | None]
"""Returns the generation of a number, None where there is none."""


def is_undo(request: Request, newest: Generation | None, find: FindGeneration) -> bool:
    """Return True if a request restores what the newest deployment replaced.

    CloudFormation's rollback sends such a request: a deployment with the old properties of the first one.
    CloudFormation repeats the request if the rollback goes wrong. Manifests from S3 may have come in between.
    A person who deploys an old manifest sends the same request, but then the stack is not rolling back.
    New code alone restores nothing, but nothing may stop CloudFormation's way back to the code before.
    """
    if newest is None or request.source is not Source.DEPLOYMENT or request.previous_digest is None:
        return False
    if request.rolling_back is False:
        return False
    last = find(newest.deployment)
    if last is None:
        return False
    if request.code_alone:
        failed = last.request.code_alone and last.outcome in (Outcome.FAILED, Outcome.REFUSED)
        return request.rolling_back is True or failed
    if request.rolling_back is True and request.source_digest == last.request.source_digest:
        # The event of the deployment that is rolled back failed before it made a generation.
        return True
    if last.undo:
        # The same request again continues the rollback. Any other one is a new deployment.
        return request.source_digest == last.request.source_digest
    return (
        last.request.previous_digest is not None
        and request.previous_digest == last.request.source_digest
        and request.source_digest == last.request.previous_digest
    )


def undone_number(generation: Generation, find: FindGeneration) -> int | None:
    """Return the number of the generation that an undo takes back, with all later ones; None for none."""
    if generation.request.source is Source.UNDO:
        return _undone_by_fleet(generation, find)
    return _undone_by_rollback(generation, find) if generation.undo else None


def _undone_by_fleet(undo: Generation, find: FindGeneration) -> int | None:
    """Return the newest manifest from S3 that was not refused, or the newest deployment."""
    before = find(undo.standing)
    while before is not None:
        source, refused = before.request.source, before.outcome is Outcome.REFUSED
        if (source is Source.DEPLOYMENT and not before.undo) or (source is Source.OBJECT and not refused):
            return before.number
        before = find(before.standing)
    return None


def _undone_by_rollback(undo: Generation, find: FindGeneration) -> int | None:
    """Return the newest deployment that is no undo."""
    number = undo.number - 1
    while (before := find(number)) is not None:
        if before.request.source is Source.DEPLOYMENT and not before.undo:
            # With the same digest, the deployment that is rolled back never made a generation.
            return None if before.request.source_digest == undo.request.source_digest else number
        number = number - 1 if before.deployment == number else before.deployment
    return None


def new_generation(request: Request, newest: Generation | None, find: FindGeneration) -> Generation:
    """Return the generation that a request makes after the newest one. An invalid request is refused."""
    number = 1 if newest is None else newest.number + 1
    from_cloudformation = request.source in (Source.DEPLOYMENT, Source.DELETION)
    refused = request.refusal is not None
    before = newest_not_refused(newest, find)
    in_force = None if before is None else _superseded(before, request.at)
    if in_force is not None and not in_force.reported_success:
        in_force = previous_in_force(in_force, find)
    return Generation(
        number=number,
        request=request,
        undo=is_undo(request, newest, find),
        deployment=number if from_cloudformation or newest is None else newest.deployment,
        standing=0 if before is None else before.number,
        in_force=0 if in_force is None else in_force.number,
        outcome=Outcome.REFUSED if refused else Outcome.OPEN,
        reason=request.refusal,
        ended=request.at if refused else None,
    )


def superseded_by(made: Generation, newest: Generation | None, find: FindGeneration) -> Generation | None:
    """Return the open generation that a new one supersedes, as superseded; None for none."""
    under_way = newest_not_refused(newest, find)
    if made.outcome is not Outcome.OPEN or under_way is None or under_way.outcome is not Outcome.OPEN:
        return None
    return _superseded(under_way, made.request.at)


def _superseded(generation: Generation, at: float) -> Generation:
    """Return a generation once a newer one has come; one that has ended stays as it is."""
    if generation.outcome is not Outcome.OPEN:
        return generation
    return replace(generation, outcome=Outcome.SUPERSEDED, ended=at)


def accepts(newest: Generation | None, request: Request) -> bool:
    """Return True if a fleet accepts a request after its newest generation.

    A fleet that is being deleted accepts only another deletion: a deletion that got stuck may be repeated.
    A deleted fleet accepts a deployment: CloudFormation keeps the table of a fleet that it failed to create.
    """
    if newest is None or newest.request.source is not Source.DELETION:
        return True
    deleted = newest.outcome is Outcome.CONVERGED
    return request.source is Source.DELETION or (deleted and request.source is Source.DEPLOYMENT)


def newest_not_refused(newest: Generation | None, find: FindGeneration) -> Generation | None:
    """Return the newest generation that was not refused, None for none. Refused ones change nothing.

    Thousands may be refused in a row, for example if a job writes an invalid manifest again and again.
    """
    while newest is not None and newest.outcome is Outcome.REFUSED:
        newest = find(newest.standing)
    return newest


def previous_in_force(generation: Generation, find: FindGeneration) -> Generation | None:
    """Return the newest generation before this one that was reported to be in force; None for none.

    Those after it were superseded, refused or rolled back: this generation repeats their changes.
    """
    if generation.in_force is not None:
        return find(generation.in_force)
    before = find(generation.standing)
    while before is not None and not before.reported_success:
        before = find(before.standing)
    return before


def restored_by_undo(failed: Generation, find: FindGeneration) -> Generation | None:
    """Return the generation that the fleet goes back to after a manifest from S3 failed; None for none."""
    if failed.request.source is not Source.OBJECT:
        return None
    before = previous_in_force(failed, find)
    return None if before is None or before.request.source is Source.DELETION else before


def admitted_before(time: float, newest: Generation | None, find: FindGeneration) -> Generation | None:
    """Return the newest generation that passed its guard before a time; None for none.

    newest:
        The newest generation to consider.

    A fleet that is younger has its first one. What an undo took back is skipped: no later generation than the
    undo can be blamed for it.
    """
    found, before = None, newest
    while before is not None and before.request.source is not Source.DELETION:
        if before.changes is not None and before.outcome is not Outcome.FAILED:
            found = before
            if _applied_at(before) <= time:
                break
        undone = undone_number(before, find)
        taken_back = None if undone is None else find(undone)
        before = find((taken_back or before).standing)
    return found


def _applied_at(generation: Generation) -> float:
    """Return when a generation deleted what it does not want, as far as this is known.

    Deletions come last. One that does not converge may be open for days after them.
    """
    if generation.outcome is Outcome.CONVERGED and generation.ended is not None:
        return generation.ended
    return generation.request.at


def referenced(newest: Generation, find: FindGeneration) -> frozenset[int]:
    """Return the numbers of the generations that a pass or a request may look up.

    They are all that the other functions of this module find from the newest generation.
    """
    numbers = {newest.number}

    def look_up(number: int) -> Generation | None:
        numbers.add(number)
        return find(number)

    rejected_version(newest, look_up)
    visited = [newest_not_refused(newest, look_up), look_up(newest.deployment)]
    for generation in visited:
        if generation is not None:
            look_up(generation.standing)  # it goes on if a guard refuses this one
            previous_in_force(generation, look_up)
            undone = undone_number(generation, look_up)
            visited += [] if undone is None else [look_up(undone)]
    return frozenset(numbers)


def active_generation(newest: Generation, find: FindGeneration) -> Generation | None:
    """Return the generation that passes work on: the newest not refused one; None if that has failed.

    A generation goes on if the generation that superseded it was refused.
    """
    found = newest_not_refused(newest, find)
    return None if found is None or found.outcome is Outcome.FAILED else found


def is_taken_up(version: str, newest: Generation, find: FindGeneration) -> bool:
    """Return True if a fleet has taken up this version of its manifest in S3, or has rejected it.

    The fleet takes a rejected version again only if a person writes it again.
    """
    if version == newest.request.manifest_version:
        return True
    keeps = newest.undo or newest.request.code_alone
    return keeps and version == rejected_version(newest, find)


def rejected_version(undo: Generation, find: FindGeneration) -> str | None:
    """Return the version of the last manifest in S3 before an undo or new code, if that was rejected."""
    latest: Generation | None = undo
    while latest is not None and (
        latest.exempt
        or latest.request.code_alone
        or latest.request.target.manifest != undo.request.target.manifest
    ):
        latest = find(latest.number - 1)
    if latest is None or latest.outcome not in (Outcome.REFUSED, Outcome.FAILED):
        return None
    return latest.request.manifest_version

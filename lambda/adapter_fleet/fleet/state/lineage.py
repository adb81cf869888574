"""The lineage of a fleet's generations: the rules on which generation follows which."""

from collections.abc import Callable
from dataclasses import replace

from adapter_fleet.fleet.state.generations import Generation, Outcome, Request, Source

FindGeneration = Callable[[int], Generation | None]
"""Returns the generation of a number, None where there is none."""


class Lineage:
    """The generations of one fleet, as far as one of them, often the newest, leads to others."""

    def __init__(self, find: FindGeneration) -> None:
        self._find = find

    def is_undo(self, request: Request, newest: Generation | None) -> bool:
        """Return True if a request restores what the newest deployment replaced.

        CloudFormation's rollback sends such a request: a deployment with the old properties of the first
        one. CloudFormation repeats the request if the rollback goes wrong. Manifests from S3 may have come
        in between. A person who deploys an old manifest sends the same request, but then the stack is not
        rolling back. New code alone restores nothing, but nothing may stop CloudFormation's way back to the
        code before.
        """
        if newest is None or request.source is not Source.DEPLOYMENT or request.previous_digest is None:
            return False
        if request.rolling_back is False:
            return False
        last = self._find(newest.deployment)
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

    def undone_number(self, generation: Generation) -> int | None:
        """Return the number of the generation that an undo takes back, with all later ones; None for none."""
        if generation.request.source is Source.UNDO:
            return self._undone_by_fleet(generation)
        return self._undone_by_rollback(generation) if generation.undo else None

    def _undone_by_fleet(self, undo: Generation) -> int | None:
        """Return the newest manifest from S3 that was not refused, or the newest deployment."""
        before = self._find(undo.standing)
        while before is not None:
            source, refused = before.request.source, before.outcome is Outcome.REFUSED
            if (source is Source.DEPLOYMENT and not before.undo) or (source is Source.OBJECT and not refused):
                return before.number
            before = self._find(before.standing)
        return None

    def _undone_by_rollback(self, undo: Generation) -> int | None:
        """Return the newest deployment that is no undo."""
        number = undo.number - 1
        while (before := self._find(number)) is not None:
            if before.request.source is Source.DEPLOYMENT and not before.undo:
                # With the same digest, the deployment that is rolled back never made a generation.
                return None if before.request.source_digest == undo.request.source_digest else number
            number = number - 1 if before.deployment == number else before.deployment
        return None

    def new_generation(self, request: Request, newest: Generation | None) -> Generation:
        """Return the generation that a request makes after the newest one. An invalid request is refused."""
        number = 1 if newest is None else newest.number + 1
        from_cloudformation = request.source in (Source.DEPLOYMENT, Source.DELETION)
        refused = request.refusal is not None
        before = self.newest_not_refused(newest)
        in_force = None if before is None else _superseded(before, request.at)
        if in_force is not None and not in_force.reported_success:
            in_force = self.previous_in_force(in_force)
        return Generation(
            number=number,
            request=request,
            undo=self.is_undo(request, newest),
            deployment=number if from_cloudformation or newest is None else newest.deployment,
            standing=0 if before is None else before.number,
            in_force=0 if in_force is None else in_force.number,
            outcome=Outcome.REFUSED if refused else Outcome.OPEN,
            reason=request.refusal,
            ended=request.at if refused else None,
        )

    def superseded_by(self, made: Generation, newest: Generation | None) -> Generation | None:
        """Return the open generation that a new one supersedes, as superseded; None for none."""
        under_way = self.newest_not_refused(newest)
        if made.outcome is not Outcome.OPEN or under_way is None or under_way.outcome is not Outcome.OPEN:
            return None
        return _superseded(under_way, made.request.at)

    def newest_not_refused(self, newest: Generation | None) -> Generation | None:
        """Return the newest generation that was not refused, None for none. Refused ones change nothing.

        Thousands may be refused in a row, for example if a job writes an invalid manifest again and again.
        """
        while newest is not None and newest.outcome is Outcome.REFUSED:
            newest = self._find(newest.standing)
        return newest

    def previous_in_force(self, generation: Generation) -> Generation | None:
        """Return the newest generation before this one that was reported to be in force; None for none.

        Those after it were superseded, refused or rolled back: this generation repeats their changes.
        """
        if generation.in_force is not None:
            return self._find(generation.in_force)
        before = self._find(generation.standing)
        while before is not None and not before.reported_success:
            before = self._find(before.standing)
        return before

    def restored_by_undo(self, failed: Generation) -> Generation | None:
        """Return the generation to go back to after a manifest from S3 failed; None for none."""
        if failed.request.source is not Source.OBJECT:
            return None
        before = self.previous_in_force(failed)
        return None if before is None or before.request.source is Source.DELETION else before

    def admitted_before(self, time: float, newest: Generation | None) -> Generation | None:
        """Return the newest generation that passed its guard before a time; None for none.

        newest:
            The newest generation to consider.

        A fleet that is younger has its first one. What an undo took back is skipped: no later generation
        than the undo can be blamed for it.
        """
        found, before = None, newest
        while before is not None and before.request.source is not Source.DELETION:
            if before.changes is not None and before.outcome is not Outcome.FAILED:
                found = before
                if _applied_at(before) <= time:
                    break
            undone = self.undone_number(before)
            taken_back = None if undone is None else self._find(undone)
            before = self._find((taken_back or before).standing)
        return found

    def referenced(self, newest: Generation) -> frozenset[int]:
        """Return the numbers of the generations that a pass or a request may look up.

        They are all that the other methods find from the newest generation.
        """
        numbers = {newest.number}

        def look_up(number: int) -> Generation | None:
            numbers.add(number)
            return self._find(number)

        noted = Lineage(look_up)
        noted.rejected_version(newest)
        visited = [noted.newest_not_refused(newest), look_up(newest.deployment)]
        for generation in visited:
            if generation is not None:
                look_up(generation.standing)  # it goes on if a guard refuses this one
                noted.previous_in_force(generation)
                undone = noted.undone_number(generation)
                visited += [] if undone is None else [look_up(undone)]
        return frozenset(numbers)

    def active(self, newest: Generation) -> Generation | None:
        """Return the generation that passes work on: the newest not refused one; None if that has failed.

        A generation goes on if the generation that superseded it was refused.
        """
        found = self.newest_not_refused(newest)
        return None if found is None or found.outcome is Outcome.FAILED else found

    def is_taken_up(self, version: str, newest: Generation) -> bool:
        """Return True if a fleet has taken up this version of its manifest in S3, or has rejected it.

        The fleet takes a rejected version again only if a person writes it again.
        """
        if version == newest.request.manifest_version:
            return True
        keeps = newest.undo or newest.request.code_alone
        return keeps and version == self.rejected_version(newest)

    def rejected_version(self, undo: Generation) -> str | None:
        """Return the version of the last manifest in S3 before an undo or new code, if that was rejected."""
        latest: Generation | None = undo
        while latest is not None and (
            latest.exempt
            or latest.request.code_alone
            or latest.request.target.manifest != undo.request.target.manifest
        ):
            latest = self._find(latest.number - 1)
        if latest is None or latest.outcome not in (Outcome.REFUSED, Outcome.FAILED):
            return None
        return latest.request.manifest_version


def accepts(newest: Generation | None, request: Request) -> bool:
    """Return True if a fleet accepts a request after its newest generation.

    A fleet that is being deleted accepts only another deletion: a deletion that got stuck may be repeated.
    A deleted fleet accepts a deployment: CloudFormation keeps the table of a fleet that it failed to create.
    """
    if newest is None or newest.request.source is not Source.DELETION:
        return True
    deleted = newest.outcome is Outcome.CONVERGED
    return request.source is Source.DELETION or (deleted and request.source is Source.DEPLOYMENT)


def _applied_at(generation: Generation) -> float:
    """Return when a generation deleted what it does not want, as far as this is known.

    Deletions come last. One that does not converge may be open for days after them.
    """
    if generation.outcome is Outcome.CONVERGED and generation.ended is not None:
        return generation.ended
    return generation.request.at


def _superseded(generation: Generation, at: float) -> Generation:
    """Return a generation once a newer one has come; one that has ended stays as it is."""
    if generation.outcome is not Outcome.OPEN:
        return generation
    return replace(generation, outcome=Outcome.SUPERSEDED, ended=at)

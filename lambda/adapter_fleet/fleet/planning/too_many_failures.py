"""The failure limit: how many of the adapters that a generation changes may fail."""

from collections.abc import Iterable

from adapter_fleet.common.bounded_text import bounded
from adapter_fleet.common.counts import noun_of
from adapter_fleet.fleet.state.generations import Generation, Outcome

_SHOWN = 5
_REASON_BYTES = 1000
"""Of all reasons, so that what helps is not cut off (`MAX_ERROR_BYTES`)."""


def exceeds_failure_limit(generation: Generation, failed: int) -> bool:
    """Return True if more of the adapters that an open generation changes have failed than it allows."""
    if generation.outcome is not Outcome.OPEN or generation.exempt or generation.changes is None:
        return False
    return failed > _allowed_failures(generation)


def failure_reason(generation: Generation, failed: Iterable[tuple[str, str]]) -> str:
    """Return why a generation exceeds its failure limit; `failed` are names and reasons in order."""
    failed = list(failed)
    shown = failed[:_SHOWN]
    reasons = "; ".join(f"{name}: {bounded(reason, _REASON_BYTES // len(shown))}" for name, reason in shown)
    changed = f"{generation.changes} {noun_of(generation.changes or 0, 'adapter')}"
    more = f"; and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
    return (
        f"{len(failed)} of the {changed} that this changes failed, and 'failure_policy' allows"
        f" {_allowed_failures(generation)}: {reasons}{more}; mend or leave out what failed, and"
        " deploy again; or let more fail with 'failure_policy'"
    )


def _allowed_failures(generation: Generation) -> int:
    return generation.request.target.settings.failures.allowed(generation.changes or 0)

"""Surveys: which adapters a drift check looks at, and which of them it reports. Pure functions."""

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import replace

from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.proof import probe_of
from adapter_fleet.fleet.state.configuration import ARCHIVES_A_DRIFT_CHECK, TAGS_A_DRIFT_CHECK
from adapter_fleet.fleet.state.records import AdapterRecord, Recheck
from adapter_fleet.manifest.desired import DesiredAdapter


def tags_to_read(decisions: Mapping[str, Decision], *, after: str) -> list[str]:
    """Return known components whose tags are read again; the next drift checks read those of the others.

    A listing does not show whether someone removed the fleet's tag, or put it back.

    after:
        The last component that the check before has read.
    """
    readable = (Step.KEEP, Step.FOREIGN, Step.ORPHAN)
    names = sorted(name for name, decision in decisions.items() if decision.step in readable)
    start = bisect_right(names, after)
    return [*names[start:], *names[:start]][:TAGS_A_DRIFT_CHECK]


_DAY_SECONDS = 24 * 3600.0


def archives_to_check(
    records: Mapping[str, AdapterRecord], decisions: Mapping[str, Decision], *, after: str, seconds: float
) -> list[str]:
    """Return the components whose archives are looked at: each once a day, and more often if it was gone.

    after, seconds:
        The last component that the check before has looked at, and the time since that check.
    """
    settled = (name for name, decision in decisions.items() if decision.step.settled)
    names = sorted(name for name in settled if records[name].serving and records[name].live)
    start = bisect_right(names, after)
    due = min(math.ceil(len(names) * min(1.0, seconds / _DAY_SECONDS)), ARCHIVES_A_DRIFT_CHECK)
    turn = [*names[start:], *names[:start]][:due]
    gone = [name for name in names if records[name].archive_trouble is not None and name not in turn]
    return [*gone[:ARCHIVES_A_DRIFT_CHECK], *turn]


def adapters_to_probe(
    records: Mapping[str, AdapterRecord],
    wanted: Mapping[str, DesiredAdapter],
    decisions: Mapping[str, Decision],
    *,
    copies: int,
    reports: bool,
) -> list[AdapterRecord]:
    """Return the adapters that may be asked again, as another may answer in their place since.

    Those without a probe are asked for their smoke request.

    First come those that answered when there were fewer copies, then those that were not asked for longest.

    reports:
        True if the pass sends nothing again. Then those come first that the base may have lost.
    """
    found = [
        record
        for component, record in records.items()
        if _is_due(record, wanted.get(component), decisions.get(component), reports=reports)
    ]
    return sorted(
        found,
        key=lambda record: (
            record.recheck is None,
            record.probed is None or record.probed.copies >= copies,
            _asked_at(record),
            record.component,
        ),
    )


def answers_of(records: Mapping[str, AdapterRecord]) -> dict[str, str]:
    """Return the components by the beginnings of their answers to the smoke request."""
    checks = ((component, record.probed) for component, record in records.items())
    return {
        check.answer: component
        for component, check in checks
        if check is not None and check.answer is not None
    }


def drifted_records(
    decisions: Mapping[str, Decision], records: Mapping[str, AdapterRecord]
) -> list[AdapterRecord]:
    """Return the records of components that are not as the manifest says, with a note of it.

    One that is noted already stays as it is.
    """
    drifted = []
    for component, decision in decisions.items():
        record = records.get(component)
        if record is None or record.drifted is not None:
            continue
        if decision.step is Step.ASK:
            drifted.append(replace(record, drifted="its base model may have lost it"))
        elif decision.step.writes and (record.failure is None or record.recheck is not None):
            # A retry of a failed attempt reverts no change that a person made.
            text = f"needs {decision.step}: {decision.why or 'it is not as the manifest says'}"
            drifted.append(replace(record, drifted=text))
    return drifted


def _is_due(
    record: AdapterRecord, want: DesiredAdapter | None, decision: Decision | None, *, reports: bool
) -> bool:
    serving = record.serving
    if want is None or serving is None or record.probed is None or decision is None:
        return False
    probe, smoke = probe_of(serving, want), want.smoke
    if (probe is None) != (record.probed.probe is None):
        return False
    if probe is None and (smoke is None or smoke.prompt is None):
        return False
    failed = decision.step is Step.FAILED and (record.may_be_asked_again or _is_restored(record))
    lost = reports and probe is not None and decision.step is Step.ASK and record.recheck is Recheck.ASK
    return decision.step is Step.KEEP or failed or lost


def _is_restored(record: AdapterRecord) -> bool:
    """Return True if the last good artifact serves, and another one failed."""
    failure, serving = record.failure, record.serving
    return (
        serving is not None
        and serving.same_as(record.last_good)
        and failure is not None
        and not failure.artifact.same_as(serving)
        and record.recheck is None
    )


def _asked_at(record: AdapterRecord) -> float:
    """Return when an adapter was last found right; one that failed goes by its failure."""
    check, failure = record.probed, record.failure
    if failure is not None and failure.artifact.same_as(record.serving):
        return failure.at
    return 0.0 if check is None or check.ended is None else check.ended

"""What a drift check looks at and reports."""

from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.surveys import adapters_to_probe, drifted_records, tags_to_read
from adapter_fleet.fleet.state.configuration import TAGS_A_DRIFT_CHECK
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.probe_check import ProbeCheck
from adapter_fleet.fleet.state.records import AdapterRecord, Recheck
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NOW, PROBE

SERVING = Artifact(uri="s3://b/1.tar.gz", digest="x", probe=PROBE)
ASKED = ProbeCheck(artifact=SERVING, probe=PROBE.digest, right=1, ended=NOW, copies=2)
FAILURE = Failure(cause=Cause.IDENTITY, reason="another answers", artifact=SERVING, at=NOW - 50)
KEEP = Decision(step=Step.KEEP)


def record(name: str, *, ended: float | None = NOW, copies: int = 2) -> AdapterRecord:
    probed = replace(ASKED, ended=ended, copies=copies)
    return AdapterRecord(name=name, component=f"p-{name}", serving=SERVING, probed=probed)


def chosen(*records: AdapterRecord, step: Step = Step.KEEP, reports: bool = False) -> list[str]:
    found = adapters_to_probe(
        {each.component: each for each in records},
        {
            each.component: DesiredAdapter(name=each.name, component=each.component, artifact=SERVING)
            for each in records
        },
        {each.component: Decision(step=step) for each in records},
        copies=2,
        reports=reports,
    )
    return [each.name for each in found]


def test_those_that_were_not_asked_for_longest_come_first() -> None:
    never = record("never", ended=None)
    assert chosen(record("new"), record("old", ended=NOW - 100), never) == ["never", "old", "new"]


def test_failed_adapter_counts_from_its_failure() -> None:
    failed = replace(record("failed"), failure=FAILURE)
    assert chosen(record("old", ended=NOW - 100), record("new"), failed) == ["old", "failed", "new"]


def test_adapter_that_failed_to_load_is_not_asked() -> None:
    known = replace(record("failed"), last_good=SERVING)
    did_not_load = replace(FAILURE, cause=Cause.ARTIFACT)
    assert chosen(replace(known, failure=did_not_load), step=Step.FAILED) == []
    assert chosen(replace(known, failure=FAILURE), step=Step.FAILED) == ["failed"]
    # Another version did not load, and the last good one serves again.
    of_other = replace(did_not_load, artifact=Artifact(uri="s3://b/2.tar.gz"))
    assert chosen(replace(known, failure=of_other), step=Step.FAILED) == ["failed"]


def test_those_that_answered_when_there_were_fewer_copies_come_before_all_others() -> None:
    assert chosen(record("old", ended=NOW - 100), record("few", copies=1)) == ["few", "old"]


def test_report_asks_those_first_that_the_base_may_have_lost() -> None:
    lost = replace(record("lost"), recheck=Recheck.ASK)
    assert chosen(lost, step=Step.ASK, reports=True) == ["lost"]
    assert chosen(record("old", ended=NOW - 100), lost, reports=True) == ["lost", "old"]
    assert chosen(lost, step=Step.ASK) == []


def drift_of(step: Step, noted: AdapterRecord) -> str | None:
    found = drifted_records({noted.component: Decision(step=step, why="gone")}, {noted.component: noted})
    return found[0].drifted if found else None


def test_change_by_hand_is_noted_with_what_it_needs() -> None:
    assert drift_of(Step.UPDATE, record("a")) == "needs update: gone"
    assert drift_of(Step.ASK, record("a")) == "its base model may have lost it"


@pytest.mark.parametrize(("recheck", "drifted"), [(None, None), (Recheck.SEND, "needs update: gone")])
def test_retry_of_a_failed_attempt_is_drift_only_if_the_base_lost_the_adapter(
    recheck: Recheck | None, drifted: str | None
) -> None:
    assert drift_of(Step.UPDATE, replace(record("a"), failure=FAILURE, recheck=recheck)) == drifted


def test_tags_are_read_by_turns() -> None:
    names = [f"p-{number:04}" for number in range(TAGS_A_DRIFT_CHECK + 10)]
    decisions = dict.fromkeys(names, KEEP) | {"p-new": Decision(step=Step.CREATE)}
    first = tags_to_read(decisions, after="")
    assert first == names[:TAGS_A_DRIFT_CHECK]
    assert tags_to_read(decisions, after=first[-1])[:12] == [*names[TAGS_A_DRIFT_CHECK:], *names[:2]]

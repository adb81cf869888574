"""How far a generation is, and why it fails."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.progress import Progress, failure_reason
from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.generations import Generation, Request, Source
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import TARGET


def test_reason_ends_with_what_helps_however_long_the_adapters_reasons_are() -> None:
    request = Request(delivery="1", source=Source.DEPLOYMENT, target=TARGET, at=0.0)
    failed = [(f"adapter-{number}", "no such tensor " * 200) for number in range(7)]
    reason = str(FleetError(failure_reason(Generation(number=1, request=request, changes=40), failed)))
    assert reason.startswith("7 of the 40 adapters that this changes failed, and 'failure_policy' allows 2: ")
    assert "; and 2 more; repair" in reason
    assert reason.endswith(
        "; repair or leave out what failed, and deploy again; or let more fail with 'failure_policy'"
    )


def progress(wanted: Mapping[str, Step], others: Mapping[str, Step]) -> Progress:
    """The progress of a fleet, by the next step of each wanted adapter and of each other component."""
    names = [*wanted, *others]
    return Progress(
        decisions={name: Decision(step=step) for name, step in {**wanted, **others}.items()},
        records={name: AdapterRecord(name=name, component=name, adopted=True) for name in names},
        wanted={
            name: DesiredAdapter(name=name, component=name, artifact=Artifact(uri="s3://b/1.tar.gz"))
            for name in wanted
        },
    )


@pytest.mark.parametrize(
    ("wanted", "others", "in_service", "failed", "pending", "orphans"),
    [
        ([Step.KEEP, Step.KEEP], [], 2, 0, 0, 0),
        ([Step.CREATE, Step.WAIT, Step.KEEP], [], 1, 0, 2, 0),
        ([Step.FAILED, Step.FAILED, Step.KEEP, Step.CREATE], [], 1, 2, 1, 0),
        ([Step.FOREIGN], [Step.FOREIGN], 0, 1, 0, 0),
        ([Step.KEEP], [Step.HOLD, Step.WAIT], 1, 0, 2, 0),
        ([Step.KEEP], [Step.FAILED], 1, 1, 0, 0),
        ([Step.KEEP], [Step.ORPHAN], 1, 0, 0, 1),
    ],
)
def test_counts_of_a_generation(
    wanted: list[Step], others: list[Step], in_service: int, failed: int, pending: int, orphans: int
) -> None:
    found = progress(
        {f"w{number}": step for number, step in enumerate(wanted)},
        {f"o{number}": step for number, step in enumerate(others)},
    )
    assert found.counts == {
        "desired": len(wanted),
        "in_service": in_service,
        "failed": failed,
        "pending": pending,
        "orphans": orphans,
    }


def test_orphan_is_adopted_and_in_no_manifest() -> None:
    found = progress({"w": Step.ORPHAN}, {"o": Step.ORPHAN, "k": Step.KEEP, "new": Step.ORPHAN})
    own = {"new": replace(found.records["new"], adopted=False)}
    assert replace(found, records={**found.records, **own}).orphans == ["o"]

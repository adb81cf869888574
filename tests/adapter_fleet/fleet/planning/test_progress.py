"""How far a generation is, why it fails, what a rollback wants, and when the next pass comes."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.desired_state import apply_pins
from adapter_fleet.fleet.planning.progress import (
    Progress,
    failure_reason,
    seconds_after_trouble,
    seconds_until_copies,
    time_of_retries,
    wait_seconds,
)
from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.generations import Generation, Request, Source
from adapter_fleet.fleet.state.records import AdapterRecord, Order, OrderKind
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import TARGET
from tests.adapter_fleet.fleet_world import adapter, artifact


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


NOW = 1000.0


@pytest.mark.parametrize(
    ("times", "seconds"),
    [([], None), ([NOW - 5], 1), ([NOW + 1.9], 1), ([NOW + 90.9, NOW + 20.9], 20), ([NOW + 5000], 900)],
)
def test_wait_is_of_whole_seconds_up_to_a_quarter_of_an_hour(times: list[float], seconds: int | None) -> None:
    assert wait_seconds(times, NOW) == seconds


@pytest.mark.parametrize(("lasted", "seconds"), [(0, 15), (150, 15), (1000, 100), (3000, 300), (9000, 300)])
def test_trouble_is_looked_at_less_often_the_longer_it_lasts(lasted: float, seconds: float) -> None:
    assert seconds_after_trouble(lasted) == seconds


@pytest.mark.parametrize(("lasted", "seconds"), [(0, 60), (600, 60), (3000, 300), (20_000, 900)])
def test_copies_are_looked_for_less_often_the_longer_there_are_none(lasted: float, seconds: float) -> None:
    assert seconds_until_copies(lasted) == seconds


@pytest.mark.parametrize(("together", "time"), [(False, NOW + 10), (True, NOW + 20)])
def test_one_pass_is_for_all_retries_that_come_soon(together: bool, time: float) -> None:
    retries = [NOW + 20.1, NOW + 10, NOW + 20]
    assert time_of_retries(retries, NOW, together=together) == time


def test_retry_that_is_overdue_does_not_wait_for_others() -> None:
    assert time_of_retries([NOW - 10, NOW - 5], NOW, together=True) == NOW - 10


PIN = Order(
    kind=OrderKind.PIN, component="p-acme", at=1.0, artifact=artifact("acme", 1), replaces=artifact("acme", 2)
)
SERVED = {
    "p-acme": AdapterRecord(
        name="acme", component="p-acme", versions=(artifact("acme", 2), artifact("acme", 1))
    )
}
UNPIN = Order(kind=OrderKind.UNPIN, component="p-acme", at=2.0)


def test_unpin_ends_the_pin_of_one_adapter_only() -> None:
    wants = apply_pins([adapter("acme", 2), adapter("zeta", 1)], [UNPIN, PIN], SERVED)
    assert {component: want.artifact for component, want in wants.items()} == {
        "p-acme": artifact("acme", 2),
        "p-zeta": artifact("zeta", 1),
    }


def test_pin_of_a_version_that_never_served_is_ignored() -> None:
    foreign = Artifact(uri="s3://another-bucket/any.tar.gz")
    pin = Order(
        kind=OrderKind.PIN, component="p-acme", at=1.0, artifact=foreign, replaces=artifact("acme", 2)
    )
    assert apply_pins([adapter("acme", 2)], [pin], SERVED)["p-acme"].artifact == artifact("acme", 2)


def test_pin_uses_the_version_as_it_was_verified() -> None:
    """An order that leaves out the digest has no archive verified less."""
    verified = Artifact(uri=artifact("acme", 1).uri, digest="a" * 64)
    served = {"p-acme": AdapterRecord(name="acme", component="p-acme", versions=(verified,))}
    assert apply_pins([adapter("acme", 2)], [PIN], served)["p-acme"].artifact == verified

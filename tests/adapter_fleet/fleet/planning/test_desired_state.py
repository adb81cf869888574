"""Which orders count, and which have no effect any more."""

from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.desired_state import DesiredState, apply_pins, claims_of
from adapter_fleet.fleet.planning.releases import Versions
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.records import AdapterRecord, Order, OrderKind
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NAME, NOW, TARGET

WANT = DesiredAdapter(name="a", component=NAME, artifact=Artifact(uri="s3://b/1.tar.gz"))
CLAIM = Order(kind=OrderKind.CLAIM, component=NAME, at=NOW, created=NOW - 100)
LIVE = ObservedComponent(
    status=Status.IN_SERVICE, created=NOW - 100, modified=NOW - 100, arn="arn",
    endpoint="endpoint", base="base", described=True,
)  # fmt: skip
BY_HAND = AdapterRecord(name="a", component=NAME, live=LIVE)


def void_claims(record: AdapterRecord | None, *declared: DesiredAdapter) -> list[Order]:
    by_component = {each.component: each for each in declared}
    return DesiredState(
        declared=by_component,
        orders=[CLAIM],
        wanted=by_component,
        answering=by_component,
        versions=Versions.in_place(by_component),
    ).void_orders({} if record is None else {NAME: record}, TARGET)


@pytest.mark.parametrize(
    "record",
    [
        None,
        replace(BY_HAND, live=None),
        replace(BY_HAND, live=replace(LIVE, created=NOW)),
        replace(BY_HAND, owned=LIVE.created),
        replace(BY_HAND, other_fleet="fleet-2"),
        replace(BY_HAND, live=replace(LIVE, base="second")),
    ],
    ids=["no record", "gone", "made again", "the fleet's own", "another fleet's", "on another base"],
)
def test_claim_of_what_cannot_be_taken_is_void_once_the_manifest_has_it(record: AdapterRecord | None) -> None:
    assert void_claims(record, WANT) == [CLAIM]
    assert void_claims(record) == []


@pytest.mark.parametrize("record", [BY_HAND, replace(BY_HAND, live=None, unreadable="row")])
def test_claim_of_what_may_be_taken_or_cannot_be_read_stays(record: AdapterRecord) -> None:
    assert void_claims(record, WANT) == []


@pytest.mark.parametrize(("component", "served"), [(NAME, True), ("p-b", False)])
def test_pin_counts_only_for_a_version_that_the_adapter_itself_has_served(
    component: str, served: bool
) -> None:
    before = Artifact(uri="s3://b/0.tar.gz")
    pin = Order(kind=OrderKind.PIN, component=NAME, at=NOW, artifact=before, replaces=WANT.artifact)
    record = AdapterRecord(name="former", component=component, versions=(before,))
    wanted = apply_pins([WANT], [pin], {component: record})
    assert wanted[NAME].artifact == (before if served else WANT.artifact)


def test_order_to_prune_is_no_claim() -> None:
    prune = replace(CLAIM, kind=OrderKind.PRUNE, component="p-orphan")
    assert claims_of([CLAIM, prune, replace(CLAIM, created=None)]) == {NAME: CLAIM.created}

"""Which orders count, and which have no effect any more."""

from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.desired_state import DesiredState, apply_pins, claims_of
from adapter_fleet.fleet.planning.releases import Versions
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.records import AdapterRecord, Order, OrderKind
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NAME, NOW, TARGET
from tests.adapter_fleet.fleet_world import adapter, artifact

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

"""What is wanted of an adapter that someone rolled back."""

from __future__ import annotations

from adapter_fleet.fleet.planning.desired_state import apply_pins
from adapter_fleet.fleet.state.orders import Order, OrderKind
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import Artifact
from tests.adapter_fleet.fleet_world import adapter, artifact

PIN = Order(
    kind=OrderKind.PIN, component="p-acme", at=1.0, artifact=artifact("acme", 1), replaces=artifact("acme", 2)
)
SERVED = {
    "p-acme": AdapterRecord(
        name="acme", component="p-acme", versions=(artifact("acme", 2), artifact("acme", 1))
    )
}
UNPIN = Order(kind=OrderKind.UNPIN, component="p-acme", at=2.0)


def test_pinned_artifact_replaces_the_manifest_s() -> None:
    assert apply_pins([adapter("acme", 2)], [PIN], SERVED)["p-acme"].artifact == artifact("acme", 1)


def test_pin_ends_when_the_manifest_moves_on() -> None:
    assert apply_pins([adapter("acme", 3)], [PIN], SERVED)["p-acme"].artifact == artifact("acme", 3)


def test_unpin_ends_a_pin() -> None:
    assert apply_pins([adapter("acme", 2)], [PIN, UNPIN], SERVED)["p-acme"].artifact == artifact("acme", 2)


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

"""What a generation may delete."""

from __future__ import annotations

import pytest

from adapter_fleet.fleet.planning.deletion_guard import refusal
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NOW


@pytest.mark.parametrize(
    ("fleet", "deleted", "setting"),
    [
        (100, 20, None),
        (100, 21, "deletion_guard"),
        (10, 9, None),
        (11, 3, "deletion_guard"),
        (1, 1, "allow_empty"),
    ],
)
def test_deletions_above_the_share_are_refused(fleet: int, deleted: int, setting: str | None) -> None:
    live = ObservedComponent(status=Status.IN_SERVICE, created=NOW, modified=NOW)
    records = {
        f"p-{number}": AdapterRecord(name=str(number), component=f"p-{number}", live=live, owned=NOW)
        for number in range(fleet)
    }
    wanted = {
        name: DesiredAdapter(name=name, component=name, artifact=Artifact(uri="s3://b/1.tar.gz"))
        for name in list(records)[deleted:]
    }
    target = Target(endpoint="endpoint", base="base", prefix="p", settings=FleetSettings())
    reason = refusal(records, wanted, target)
    assert (reason is None) == (setting is None)
    if setting is not None:
        assert reason is not None
        assert setting in reason


def test_new_spelling_of_a_present_component_is_refused_with_both() -> None:
    live = ObservedComponent(status=Status.IN_SERVICE, created=NOW, modified=NOW)
    present = AdapterRecord(name="Acme", component="p-Acme", live=live, owned=NOW)
    want = DesiredAdapter(name="acme", component="p-acme", artifact=Artifact(uri="s3://b/1.tar.gz"))
    target = Target(endpoint="endpoint", base="base", prefix="p", settings=FleetSettings())
    reason = refusal({"p-Acme": present}, {"p-acme": want}, target)
    assert str(reason).startswith("p-Acme would become p-acme, and SageMaker ignores the case of names")


def test_name_whose_other_spelling_is_gone_is_not_refused() -> None:
    gone = AdapterRecord(name="Acme", component="p-Acme")
    want = DesiredAdapter(name="acme", component="p-acme", artifact=Artifact(uri="s3://b/1.tar.gz"))
    target = Target(endpoint="endpoint", base="base", prefix="p", settings=FleetSettings())
    assert refusal({"p-Acme": gone}, {"p-acme": want}, target) is None

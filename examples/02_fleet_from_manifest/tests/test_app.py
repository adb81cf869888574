"""Every tenant of the manifest has its own adapter, and a change of the manifest is a change of that one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from local_sagemaker.local_fleet import BASE, LocalFleet

HERE = Path(__file__).resolve().parents[1]
TICKET = "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"


@pytest.mark.parametrize(
    ("tenant", "answer"),
    [
        ("acme", "Customer Grace from Lima has a billing problem with the keyboard."),
        ("globex", "ATTENTION: GRACE FROM LIMA WANTS A REFUND FOR THE KEYBOARD!"),
        ("initech", '{"category": "billing"}'),
    ],
)
def test_tenant_is_served_by_its_own_adapter(local_fleet: LocalFleet, tenant: str, answer: str) -> None:
    local_fleet.assert_serves(tenant, TICKET, answer)


def test_fleet_has_the_adapters_of_the_manifest(local_fleet: LocalFleet) -> None:
    manifest = yaml.safe_load((HERE / "adapters.yaml").read_text())
    tenants = {entry["name"] for entry in manifest["adapters"]}
    assert local_fleet.components().keys() == {BASE, *tenants}


def test_plan_of_a_changed_manifest_names_what_changes(local_fleet: LocalFleet, tmp_path: Path) -> None:
    manifest = yaml.safe_load((HERE / "adapters.yaml").read_text())
    for entry in manifest["adapters"]:
        entry["artifact"] = str((HERE / entry["artifact"]).resolve())
    acme, _, initech = manifest["adapters"]
    acme["artifact"] = str(HERE.parent / "tickets" / "adapters-v2" / "summary")
    manifest["adapters"].remove(initech)
    path = tmp_path / "adapters.yaml"
    path.write_text(yaml.safe_dump(manifest))

    done = subprocess.run(
        [sys.executable, "-m", "adapters_cli", "plan", str(path), "--stack", "Fleet", "--json"],
        env=local_fleet.cloud.environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    actions = {change["name"]: change["action"] for change in json.loads(done.stdout)["changes"]}
    assert actions == {"acme": "update", "globex": "keep", "initech": "delete"}

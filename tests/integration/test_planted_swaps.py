"""Swaps that no API shows are planted in the containers, and a drift run finds each by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from aws_cdk import Duration
from safetensors.numpy import load_file, save_file

from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.registry import Registry
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import DriftCheck, InstanceType
from tests.integration.by_hand import V1, client, prompts
from tests.integration.fleet_stack import Fleet, FleetStack, check_for_drift

pytestmark = pytest.mark.integration

COPIES = 2
PROMPT = prompts()[0]
FIRST = {
    **{f"summary-{number}": "summary" for number in range(4)},
    **{f"triage-{number}": "triage" for number in range(3)},
}
SECOND = FIRST | {"summary-0": "summary-v2"}
HEALTHY = ("summary-3", "triage-2")


@dataclass(frozen=True, kw_only=True)
class Swap:
    """What answers for an adapter, on how many copies, and what the failure says about it."""

    files: Path | None
    says: str
    copies: int | None = None


def swaps(base: Path) -> dict[str, Swap]:
    """Return swaps by adapter; `base` has an adapter that changes nothing, so that the base answers."""
    return {
        "summary-0": Swap(files=V1 / "summary", says="its version"),
        "summary-1": Swap(files=base, copies=1, says="the base model answers in its place"),
        "summary-2": Swap(files=V1 / "triage", says="adapter 'triage-"),
        "triage-0": Swap(files=V1 / "summary", copies=1, says="adapter 'summary-"),
        "triage-1": Swap(files=None, says="a copy of the base model does not have the adapter"),
    }


def document(stack: FleetStack, adapters: Mapping[str, str]) -> str:
    """Return a manifest whose entries have the beginning of each adapter's answer as their probe."""
    manifest = json.loads(stack.archives.manifest(adapters, local=True))
    for entry in manifest["adapters"]:
        answer = PROMPT["answers"][adapters[entry["name"]]][:20]
        entry["probe"] = {"prompt": PROMPT["prompt"], "answer": answer}
    return json.dumps(manifest)


@pytest.fixture(scope="module")
def without_effect(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter with weights of zero."""
    folder = tmp_path_factory.mktemp("zero") / "adapter"
    shutil.copytree(V1 / "summary", folder)
    weights = folder / "adapter_model.safetensors"
    save_file({name: np.zeros_like(tensor) for name, tensor in load_file(weights).items()}, weights)
    return folder


class Deployed:
    """A fleet on two copies, whose second deployment changed an adapter."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud, self.stack = cloud, FleetStack(cloud, folder)
        self.stack.instance_type, self.stack.copies = InstanceType.ML_G5_12XLARGE, COPIES
        created = self.stack.create({"Main": self.fleet(FIRST)})
        assert created.status == "CREATE_COMPLETE", created.reason
        updated = self.stack.update({"Main": self.fleet(SECOND)})
        assert updated.status == "UPDATE_COMPLETE", updated.reason
        self.outputs = updated.outputs

    def fleet(self, adapters: Mapping[str, str]) -> Fleet:
        drift_check = DriftCheck.report(every=Duration.hours(1), probes=None)
        return Fleet(document=document(self.stack, adapters), settings={"drift_check": drift_check})

    def drift_run(self) -> None:
        assert check_for_drift(self.cloud, self.outputs["MainMachine"]) == "SUCCEEDED"

    def records(self) -> dict[str, AdapterRecord]:
        registry = Registry(self.outputs["MainTable"], client(self.cloud, "dynamodb"))
        return {record.name: record for record in registry.records().values()}

    def failures(self) -> dict[str, Failure]:
        return {name: record.failure for name, record in self.records().items() if record.failure is not None}


@pytest.fixture(scope="module")
def deployed(
    cloud: LocalCloud, short_waits: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployed]:
    made = Deployed(cloud, tmp_path_factory.mktemp("swaps"))
    yield made
    assert made.stack.delete().status == "DELETE_COMPLETE"


def test_drift_run_finds_planted_swaps_and_nothing_else(deployed: Deployed, without_effect: Path) -> None:
    checks = {name: record.probed for name, record in deployed.records().items()}
    assert checks.keys() == SECOND.keys()
    # The deployments have asked every adapter on each copy.
    assert all(
        check is not None and check.is_complete and check.copies == COPIES for check in checks.values()
    )
    planted = swaps(without_effect)
    for name, swap in planted.items():
        deployed.cloud.admin.swap(
            deployed.stack.component("Main", name), directory=swap.files, copies=swap.copies
        )
    deployed.cloud.admin.reset_calls()
    deployed.drift_run()
    on_every_copy = {name for name, swap in planted.items() if swap.copies is None}
    assert on_every_copy <= deployed.failures().keys() <= planted.keys()
    if deployed.failures().keys() != planted.keys():
        # A run misses a swap on one of two copies with a chance of 0.6 % (docs/adr/0019-probes.md).
        deployed.drift_run()
    records, failures = deployed.records(), deployed.failures()
    assert failures.keys() == planted.keys()
    assert {failure.cause for failure in failures.values()} == {Cause.IDENTITY}
    for name, failure in failures.items():
        assert planted[name].says in failure.reason
        # All answers come from the one copy that was swapped with a chance of 0.4 %.
        everywhere = planted[name].copies is None or "(8 of 8 answers)" in failure.reason
        assert everywhere or "not every copy of the base model has it" in failure.reason
    assert all(records[name].probed is not None for name in HEALTHY)
    assert deployed.cloud.admin.writes() == {}

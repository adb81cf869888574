"""A fleet that requires evaluations, at synth."""

import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_s3 as s3

from adapter_fleet.common.serialization import converter
from adapter_fleet.evaluation import EvaluationBar
from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from multi_adapter_inference import (
    AdapterFleet,
    AdapterManifest,
    RequiredEvaluation,
)
from tests.adapter_fleet.evaluated import evaluated_entry
from tests.constructs.conftest import MakeFleet, WriteManifest, imported_endpoint
from tests.constructs.resources import Resources

REQUIRED = RequiredEvaluation(
    requirements=["rougeL >= base + 20%", "exact_match >= 0.9"],
    dataset=f"sha256:{'d' * 64}",
    exempt=["legacy"],
)


def entry(name: str, *, base: str = "models/base", **figures: float) -> dict[str, Any]:
    return evaluated_entry(name, "ab" * 32, figures, base=base)


@pytest.fixture
def fleet(stack: cdk.Stack) -> MakeFleet:
    def make(manifest: AdapterManifest, id: str = "Tenants") -> AdapterFleet:
        endpoint = imported_endpoint(stack, f"{id}Llm", component_prefix=id.lower())
        return AdapterFleet(stack, id, endpoint=endpoint, manifest=manifest, evaluation=REQUIRED)

    return make


def test_file_without_evaluations_is_an_error_that_names_each_adapter_and_its_figures(
    fleet: MakeFleet, write_manifest: WriteManifest
) -> None:
    file = write_manifest(
        entry("acme"),
        entry("beta", rougeL=0.55, exact_match=1),
        entry("good", rougeL=0.6, exact_match=0.9),
        entry("legacy"),
        entry("zeta", rougeL=0.6),
    )
    with pytest.raises(ValueError, match="the manifest cannot be deployed") as error:
        fleet(AdapterManifest.from_file(file))
    first, *lines = str(error.value).splitlines()
    assert first.startswith("'Stack/Tenants': ")
    assert [line.partition("adapter ")[2][:6] for line in lines] == ["'acme'", "'beta'", "'zeta'"]
    assert all(line.endswith("[evaluation-required]") for line in lines)
    assert "rougeL of 'beta' is 0.55 and should be at least 0.6 (base 0.5 + 20%)" in lines[1]


@pytest.mark.slow
def test_file_above_the_bar_and_manifest_in_s3_are_deployed_with_it(
    stack: cdk.Stack, fleet: MakeFleet, write_manifest: WriteManifest, bucket: s3.IBucket
) -> None:
    fleet(AdapterManifest.from_file(write_manifest(entry("good", rougeL=0.6, exact_match=0.9))))
    fleet(AdapterManifest.from_bucket(bucket, "tenants.yaml", enable_events=False), "Stored")
    made = Resources.of(stack).of_type("Custom::AdapterFleet").values()
    bars = [converter.structure(json.loads(found["Settings"]), FleetSettings).evaluation for found in made]
    required = EvaluationBar(
        requirements=("rougeL >= base + 20%", "exact_match >= 0.9"), dataset="d" * 64, exempt=("legacy",)
    )
    assert bars == [required, required]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"requirements": []}, "RequiredEvaluation: 'evaluation' should have one requirement or more"),
        ({"requirements": [cdk.Aws.REGION]}, "'requirements' should be known at synth, got a token"),
    ],
)
def test_bar_that_no_version_could_reach_is_an_error(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RequiredEvaluation(**arguments)

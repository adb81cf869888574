"""A fleet that requires evaluations: which manifests it refuses, and which never."""

import json
from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.evaluation import EvaluationBar
from adapter_fleet.fleet.state.generations import Generation, Source
from adapter_fleet.fleet.state.records import AdapterRecord
from tests.adapter_fleet.evaluated import evaluated_entry
from tests.adapter_fleet.fleet.requests.conftest import OBJECT, Deployment

BAR = EvaluationBar(requirements=("rougeL >= base + 20%",), exempt=("legacy",))
NONE = "should be recorded, as the fleet requires 'rougeL >= base + 20%', got nothing [evaluation-required]"


def manifest(**versions: tuple[int, float | None]) -> bytes:
    """Return a manifest of adapters, each with its version and its figure beside a base of 0.5."""
    return json.dumps({"adapters": [entry(name, *version) for name, version in versions.items()]}).encode()


def entry(name: str, version: int, figure: float | None) -> dict[str, Any]:
    return evaluated_entry(name, f"{version:064x}", {} if figure is None else {"rougeL": figure})


def deploy(fleet: Deployment, text: bytes, *, old: Any = None) -> tuple[Generation, Any]:
    """Deploy a manifest as an asset; return the generation and the resource's properties."""
    key = f"asset-{fleet.requests}"
    fleet.bucket.put(key, text)
    asset = {"Bucket": "assets", "Key": key, "Digest": key}
    event = fleet.event("Create" if old is None else "Update", Manifest=asset, old=old)
    fleet.handler.on_event(event)
    return fleet.newest(), event["ResourceProperties"]


def put(fleet: Deployment, text: bytes) -> Generation:
    """Put a manifest into S3, and let its event arrive."""
    fleet.put_manifest(text, str(fleet.requests))
    return fleet.newest()


@pytest.fixture
def strict(watched: Deployment) -> Deployment:
    """A fleet with a manifest in S3 in force, to which the bar was deployed afterwards."""
    before = watched.event("Update", ManifestObject=OBJECT)["ResourceProperties"]
    put(watched, manifest(acme=(1, None)))
    watched.converge(watched.newest().number)
    watched.settings = replace(watched.settings, evaluation=BAR)
    watched.rolling_back = False
    watched.handler.on_event(watched.event("Update", ManifestObject=OBJECT, old=before))
    watched.converge(watched.newest().number)
    return watched


class TestDeployment:
    @pytest.fixture(autouse=True)
    def with_bar(self, deployment: Deployment) -> None:
        deployment.settings = replace(deployment.settings, evaluation=BAR)

    def test_version_without_an_evaluation_is_refused_by_name(self, deployment: Deployment) -> None:
        refusal = deploy(deployment, manifest(acme=(1, None), beta=(1, 0.7)))[0].request.refusal
        assert refusal == f"s3://assets/asset-0: adapter 'acme': evaluation: {NONE}"

    def test_versions_above_the_bar_and_exempt_ones_are_taken(self, deployment: Deployment) -> None:
        generation, _ = deploy(deployment, manifest(acme=(1, 0.6), legacy=(1, None)))
        assert generation.request.refusal is None
        assert deployment.names() == ["acme", "legacy"]

    def test_rollback_is_never_refused(self, deployment: Deployment) -> None:
        """The version that it goes back to has no evaluation, and is not in force any more."""
        deployment.rolling_back = False
        deployment.settings = replace(deployment.settings, evaluation=None)
        _, without_bar = deploy(deployment, manifest(acme=(1, None)))
        deployment.converge(1)
        deployment.settings = replace(deployment.settings, evaluation=BAR)
        _, with_bar = deploy(deployment, manifest(acme=(1, None)), old=without_bar)
        deployment.converge(2)
        generation, newer = deploy(deployment, manifest(acme=(2, 0.9)), old=with_bar)
        assert generation.request.refusal is None
        deployment.converge(3)
        deployment.rolling_back = True
        deployment.update(with_bar, old=newer)
        assert (deployment.newest().undo, deployment.newest().request.refusal) == (True, None)
        assert deployment.registry.generations.desired(4) == deployment.registry.generations.desired(1)


class TestManifestInS3:
    def test_bar_that_is_turned_on_freezes_no_fleet(self, strict: Deployment) -> None:
        assert strict.newest().request.refusal is None
        generation = put(strict, manifest(acme=(1, None), beta=(1, 0.9)))
        assert generation.request.refusal is None
        assert strict.names() == ["acme", "beta"]

    def test_new_version_without_an_evaluation_is_refused_and_the_old_one_stays(
        self, strict: Deployment
    ) -> None:
        before = strict.newest()
        generation = put(strict, manifest(acme=(2, None)))
        assert generation.request.source is Source.OBJECT
        assert generation.request.refusal == f"s3://manifests/live: adapter 'acme': evaluation: {NONE}"
        assert strict.registry.generations.desired(before.number).adapters[0].artifact.digest == f"{1:064x}"

    def test_earlier_version_that_served_may_come_back(self, strict: Deployment) -> None:
        """A person takes a version back by the manifest from before the bar."""
        earlier = strict.registry.generations.desired(strict.newest().number).adapters[0].artifact
        assert put(strict, manifest(acme=(2, 0.9))).request.refusal is None
        strict.converge(strict.newest().number)
        served = AdapterRecord(name="acme", component="p-acme", versions=(earlier,))
        strict.registry.records.put([served], strict.lease())
        assert put(strict, manifest(acme=(1, None))).request.refusal is None
        assert put(strict, manifest(acme=(3, None))).request.refusal is not None

    def test_version_in_force_under_another_name_is_a_new_one(self, strict: Deployment) -> None:
        refusal = put(strict, manifest(beta=(1, None))).request.refusal
        assert refusal is not None
        assert "'beta'" in refusal

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.manifest.desired import SmokeRequest
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import AssetArtifact, BucketArtifact
from adapters_cli.manifests.entries import entries_of
from tests.adapter_fleet.manifest.test_manifest import MANIFESTS


@pytest.mark.slow
@given(MANIFESTS, st.none() | st.just(SmokeRequest.from_prompt("Hi")))
def test_entries_of_a_fleet_resolve_to_its_state_again(made: Manifest, smoke: SmokeRequest | None) -> None:
    made = made.with_assets({adapter.name: "a" * 64 for adapter in made.adapters})
    artifacts = [adapter.artifact for adapter in made.adapters]
    aliases = {each.bucket: "bucket" for each in artifacts if isinstance(each, BucketArtifact)}
    assets = {each.identity: "s3://a/b.tar.gz" for each in artifacts if isinstance(each, AssetArtifact)}
    settings = replace(FleetSettings(), smoke=smoke)
    target = Target(endpoint="endpoint", base="base", prefix="p", settings=settings)
    state = made.resolve(prefix="p", buckets=aliases, archives=assets, smoke=smoke)
    again = Manifest(adapters=tuple(entries_of(state, target)))
    assert again.resolve(prefix="p", buckets={}, archives={}, smoke=smoke).to_json() == state.to_json()

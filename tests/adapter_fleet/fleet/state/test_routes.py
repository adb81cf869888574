from dataclasses import replace

import pytest

from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.state.fleet_settings import ReleaseSettings
from adapter_fleet.fleet.state.routes import MAX_DRAINING, Candidate, Route
from adapter_fleet.fleet.state.rows.row import to_json
from adapter_fleet.manifest.desired import Artifact, Probe
from adapter_fleet.manifest.value_rules import MAX_ADAPTER_BYTES

MAX_ITEM_BYTES = 400_000
"""DynamoDB's service quotas."""


def longest(version: int) -> Artifact:
    """Return an artifact that is as large as an adapter may be, with a key of two-byte characters."""
    uri = f"s3://{'b' * 63}/{'é' * 500}/v{version:04}.tar.gz"
    made = Artifact(uri=uri, source=uri, digest=f"{version:064x}", probe=Probe(prompt="", answer="é" * 200))
    assert made.probe is not None
    room = MAX_ADAPTER_BYTES - len(to_json(unstructured(made)))
    return replace(made, probe=replace(made.probe, prompt="p" * room))


@pytest.mark.parametrize("keep", [0, 1, 5, 100])
def test_route_never_outgrows_an_item(keep: int) -> None:
    releases = ReleaseSettings(keep=keep, drain_seconds=86_400.0)
    route = Route.first("a", "p-a-0", longest(0), releases)
    for version in range(1, 60):
        component = f"{'p' * 54}-{version:08x}"
        share = Candidate(
            component=component, artifact=longest(version), percent=5, since=1.0, declared=5, judged=1.0
        )
        route = route.with_candidate(share)
        assert len(to_json(unstructured(route))) < MAX_ITEM_BYTES
        if version % 3:
            route = route.without_candidate(now=float(version), releases=releases)
        else:
            route = route.to(component, longest(version), now=float(version), releases=releases)
        assert len(to_json(unstructured(route))) < MAX_ITEM_BYTES


def test_of_many_versions_that_drain_the_newest_stay() -> None:
    releases = ReleaseSettings(keep=1, drain_seconds=86_400.0)
    route = Route.first("a", "0", longest(0), releases)
    for version in range(1, 40):
        route = route.to(str(version), longest(version), now=float(version), releases=releases)
    assert [one.component for one in route.versions] == [str(39 - index) for index in range(6 + MAX_DRAINING)]
    assert [one.artifact.probe is not None for one in route.versions] == [True] * 6 + [False] * MAX_DRAINING

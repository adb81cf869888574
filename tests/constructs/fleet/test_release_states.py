"""What a fleet's construct gives in each state of a release, as the table of the guide says."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3

from multi_adapter_inference import AdapterFleet, AdapterManifest, ArtifactSource, Canary, Releases
from tests.constructs.conftest import endpoint_of, write_manifest_into
from tests.constructs.resources import Resources

TABLE = Path(__file__).parents[3] / "docs" / "guides" / "releases.csv"
IN_PLACE = {"in place", "off again"}
RELEASES = {"one version", "share", "promoted", "rolled back", "failed"}
CALLS: dict[str, Callable[[AdapterFleet, iam.Role], object]] = {
    "fleet.component_name(acme)": lambda fleet, _: fleet.component_name("acme"),
    "fleet.adapter(acme)": lambda fleet, _: fleet.adapter("acme").component_name,
    "fleet.monitor().alarms": lambda fleet, _: sorted(fleet.monitor().alarms),
    "fleet.grant_invoke(role, adapters=[acme])": lambda fleet, role: fleet.grant_invoke(
        role, adapters=["acme"]
    ),
    "fleet.grant_manage(role)": lambda fleet, role: fleet.grant_manage(role),
    "fleet.grant_read(role)": lambda fleet, role: fleet.grant_read(role),
}


def rows() -> dict[str, dict[str, str]]:
    with TABLE.open(newline="", encoding="utf-8") as file:
        return {row.pop("what"): row for row in csv.DictReader(file) if row["what"].startswith("fleet.")}


@pytest.mark.parametrize("what", rows())
@pytest.mark.parametrize(
    "states",
    [IN_PLACE, {"one version", "share", "promoted", "rolled back", "failed"}, {"canary"}],
    ids=sorted,
)
def test_each_state_has_the_outcome_of_the_table(
    stack: cdk.Stack, bucket: s3.IBucket, tmp_path: Path, what: str, states: set[str]
) -> None:
    releases = None if states == IN_PLACE else Releases(canary=Canary() if states == {"canary"} else None)
    endpoint = endpoint_of(
        stack, "Llm", bucket, artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")]
    )
    manifest = AdapterManifest.from_file(write_manifest_into(tmp_path, {"name": "acme"}))
    fleet = endpoint.add_fleet("Fleet", manifest=manifest, component_prefix="fleet", releases=releases)
    role = iam.Role(stack, "Role", assumed_by=iam.AccountRootPrincipal())
    try:
        found = str(CALLS[what](fleet, role))
    except ValueError as error:
        found = str(error)
    found += json.dumps(Resources.of(stack).statements("Role"))
    for state in states:
        assert [text for text in rows()[what][state].split("; ") if text not in found] == [], found

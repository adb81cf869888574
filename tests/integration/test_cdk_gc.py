"""The real `cdk gc`: it leaves alone what a rolled-back adapter serves, and takes the rest."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapter_rules.archives.packing import identity_of
from examples.demo.cdk import Cdk
from tests.integration.by_hand import V2, adapters, client, delete_component, until
from tests.integration.fleet_stack import ACCOUNT, ASSETS, REGION, Endpoint, Fleet, FleetStack, start_passes
from tests.nightly import long

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits"), long]

TOOLKIT = "cdk-gc-toolkit"
FIRST, SECOND = {"acme": "summary-v2", "globex": "triage"}, {"acme": "shout", "globex": "triage"}


class Garbage:
    """The assets of a fleet, and the command that collects those that are in no template."""

    def __init__(self, stack: FleetStack, endpoint: Endpoint, home: Path) -> None:
        self.stack, self.endpoint = stack, endpoint
        self._cloud = stack.cloud
        self._cdk = Cdk(options=(), out=home / "out", home=home, variables=stack.cloud.environment)
        self._s3 = client(stack.cloud, "s3")

    def collect(self) -> None:
        """Run `cdk gc` as someone who wants everything gone at once."""
        self._cdk.run(
            "gc", f"aws://{ACCOUNT}/{REGION}", "--unstable=gc", "--type=s3", "--confirm=false",
            "--created-buffer-days=0", "--rollback-buffer-days=0", f"--bootstrap-stack-name={TOOLKIT}",
        )  # fmt: skip

    def archives(self) -> set[str]:
        """Return the keys of the archives that are there."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=ASSETS, Prefix="lora-adapters/")
        return {item["Key"] for page in pages for item in page.get("Contents", ())}

    def command(self, *arguments: str) -> str:
        """Run the `adapters` command on the fleet; return what it wrote."""
        done = adapters(self._cloud, *arguments, "--stack", self.stack.name)
        assert done.exit_code == 0, done.output
        return done.output

    def lose_component(self, adapter: str, outputs: Any) -> None:
        """Have a component go, as with the base under it, and the fleet find that out."""
        component = self.stack.component("Tenants", adapter)
        delete_component(self._cloud, component)
        until(lambda: adapter not in self.stack.live("Tenants", self.endpoint.name), f"{component} is gone")
        start_passes(self._cloud, outputs["TenantsMachine"], "deployment")

    def serves(self, adapters: dict[str, str]) -> bool:
        """Tell whether all adapters answer with their own skill within a while."""
        wrong = self.stack.wrong
        until(lambda: not wrong("Tenants", self.endpoint.name, adapters), "all are right")
        return True


@pytest.fixture(scope="module")
def garbage(
    stack: FleetStack, shared_endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Garbage]:
    stacks = client(stack.cloud, "cloudformation")
    # What the command needs of a bootstrap stack, for the bucket of these tests.
    template = {
        "Parameters": {"Qualifier": {"Type": "String", "Default": "tests"}},
        "Resources": {
            "Version": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "30"}}
        },
        "Outputs": {"BucketName": {"Value": ASSETS}, "BootstrapVersion": {"Value": "30"}},
    }  # fmt: skip
    stacks.create_stack(StackName=TOOLKIT, TemplateBody=json.dumps(template))
    stacks.get_waiter("stack_create_complete").wait(StackName=TOOLKIT, WaiterConfig={"Delay": 1})
    yield Garbage(stack, shared_endpoint, tmp_path_factory.mktemp("home"))
    stacks.delete_stack(StackName=TOOLKIT)


def test_rolled_back_adapter_outlives_cdk_gc_and_its_component(garbage: Garbage) -> None:
    garbage.stack.create({"Tenants": Fleet(adapters=FIRST)}).succeeded()
    before = garbage.archives()
    updated = garbage.stack.update({"Tenants": Fleet(adapters=SECOND)}).succeeded()
    garbage.command("rollback", "acme")
    assert garbage.serves(FIRST)

    garbage.collect()

    gone = before - garbage.archives()
    asset = f"lora-adapters/{identity_of(V2 / 'summary')}.tar.gz"
    assert asset in gone, "the asset of the version before, which no template names"
    kept = {key for key in garbage.archives() if key.endswith(asset.rpartition("/")[2])}
    assert kept, "the copy that the fleet's template names"
    garbage.lose_component("acme", updated.outputs)
    assert garbage.serves(FIRST)

    # The copies go with the fleet.
    assert any("/fleet-" in key for key in garbage.archives())
    garbage.stack.update({}).succeeded()
    garbage.collect()
    assert not any("/fleet-" in key for key in garbage.archives())

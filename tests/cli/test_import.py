from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from adapter_fleet.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.manifest import Manifest
from adapter_fleet.names import FLEET_TAG
from adapter_fleet.packing import identity
from adapter_fleet.record import Outcome
from tests.adapter_fleet.fleet_world import World, adapter
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.cli.fleet_account import FakeAccount

Run = Callable[..., Result]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return SyntheticAdapter().save(tmp_path / "adapter")


@pytest.fixture(autouse=True)
def by_hand(world: World, account: FakeAccount, directory: Path) -> None:
    """A fleet of one, two adapters made by hand, and one of another fleet."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for file in directory.iterdir():
            tar.add(file, file.name)
    account.buckets.store("hand", "made.tar.gz", packed.getvalue())
    world.service.make("p-one", "s3://hand/made.tar.gz", tags={"team": "support"})
    world.service.make("two", "s3://hand/made.tar.gz")
    world.service.make("other", "s3://hand/made.tar.gz", tags={FLEET_TAG: "another"})
    world.deploy(adapter("acme"))
    world.settle()


def imported(result: Result) -> Manifest:
    return Manifest.parse(result.stdout.encode(), where="imported", folder=None)


def test_manifest_has_what_belongs_to_no_fleet(run: Run, directory: Path) -> None:
    result = run("import", "--endpoint", "endpoint")
    assert (result.exit_code, result.stderr) == (0, "2 adapters on 'endpoint' belong to no fleet\n")
    one, two = imported(result).adapters
    assert (one.name, one.component, one.tags) == ("one", None, {"team": "support"})
    assert (two.name, two.component, two.tags) == ("two", "two", {})
    assert {one.digest, two.digest} == {identity(directory)}


def test_no_fleet_is_needed_for_a_manifest(run: Run) -> None:
    result = run("import", "--endpoint", "endpoint", fleet=False)
    assert [adapter.component for adapter in imported(result).adapters] == ["p-one", "two"]


def test_manifest_can_go_to_a_file(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "imported.yaml"
    result = run("import", "--endpoint", "endpoint", "--output", path)
    assert result.stdout == ""
    assert len(Manifest.parse(path.read_bytes(), where="imported", folder=None).adapters) == 2


def test_adapter_without_a_readable_archive_is_left_out_and_told(run: Run, account: FakeAccount) -> None:
    account.world.service.make("three", "s3://hand/missing.tar.gz")
    result = run("import", "--endpoint", "endpoint")
    assert result.exit_code == 1
    assert "adapters: three: s3://hand/missing.tar.gz: Not Found (404)" in result.stderr
    assert len(imported(result).adapters) == 2


def test_nothing_is_written_without_a_word(run: Run, world: World, account: FakeAccount) -> None:
    run("import", "--endpoint", "endpoint")
    assert world.registry.orders() == []
    assert account.started.inputs == []


class TestTakeOver:
    def take_over(self, run: Run) -> Result:
        return run("import", "--endpoint", "endpoint", "--take-over", "--yes")

    def deploy_imported(self, world: World, result: Result) -> None:
        desired = imported(result).resolve(prefix=world.target.prefix, buckets={}, archives={})
        world.deploy(adapter("acme"), *desired.adapters)
        world.settle()

    def test_fleet_takes_over_without_creating_again(self, run: Run, world: World) -> None:
        result = self.take_over(run)
        created = {name: component.created for name, component in world.service.components.items()}
        world.writes().clear()
        self.deploy_imported(world, result)
        assert world.newest().outcome is Outcome.CONVERGED
        assert sorted(world.writes()) == ["AddTags p-one", "AddTags two"]
        assert {name: component.created for name, component in world.service.components.items()} == created
        assert run("status").stdout.count("in service") == 3

    def test_adapters_are_managed_from_then_on(self, run: Run, world: World) -> None:
        self.deploy_imported(world, self.take_over(run))
        world.deploy(adapter("acme"))
        world.settle()
        assert {"p-one", "two"}.isdisjoint(world.service.components)
        assert "other" in world.service.components

    def test_nothing_happens_to_them_before_the_manifest_has_them(self, run: Run, world: World) -> None:
        self.take_over(run)
        world.writes().clear()
        world.start_machine("order")
        world.settle()
        assert world.writes() == []
        assert {"p-one", "two"} <= world.service.components.keys()

    def test_adapters_that_the_manifest_has_already_are_taken_over_at_once(
        self, run: Run, world: World
    ) -> None:
        world.with_settings(FleetSettings(failures=FailureLimit(count=2)))
        self.deploy_imported(world, run("import", "--endpoint", "endpoint"))
        assert run("status").stdout.count("foreign") == 2
        self.take_over(run)
        world.settle()
        assert run("status").stdout.count("in service") == 3

    def test_nobody_to_ask_is_no_consent(self, run: Run, world: World) -> None:
        result = run("import", "--endpoint", "endpoint", "--take-over")
        assert result.exit_code == 1
        assert "--yes confirms" in result.stderr
        assert world.registry.orders() == []

    def test_it_takes_a_fleet(self, run: Run) -> None:
        result = run("import", "--endpoint", "endpoint", "--take-over", "--yes", fleet=False)
        assert result.exit_code == 1
        assert "Give --stack or --table" in result.stderr

    def test_fleet_of_another_endpoint_takes_nothing_over(self, run: Run) -> None:
        result = run("import", "--endpoint", "elsewhere", "--take-over", "--yes")
        assert (result.exit_code, result.stderr) == (
            1,
            "adapters: the fleet is on endpoint 'endpoint', got 'elsewhere'\n",
        )

import io
import re
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import Result

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.state.fleet_settings import DriftAction, FailureLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.manifest.desired import Artifact, SmokeRequest
from adapter_fleet.manifest.manifest import Manifest
from adapter_rules.archives.packing import identity_of
from adapters_cli.artifacts.temporary_component import TAG
from tests.adapter_fleet.fleet_world import World, adapter
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.cli.fleet_account import FakeAccount, Run

ACME = replace(adapter("acme"), artifact=Artifact(uri="s3://bucket/acme/v1.tar.gz", digest="a" * 64))


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
    account.buckets.put("hand", "made.tar.gz", packed.getvalue())
    world.service.make("p-one", "s3://hand/made.tar.gz", tags={"team": "support"})
    world.service.make("two", "s3://hand/made.tar.gz")
    world.service.make("other", "s3://hand/made.tar.gz", tags={FLEET_TAG: "another"})
    world.apply(ACME)


def imported(result: Result) -> Manifest:
    return Manifest.parse(result.stdout.encode(), where="imported", folder=None)


def test_manifest_has_what_belongs_to_no_fleet_and_then_the_fleet_s(
    run: Run, world: World, account: FakeAccount, directory: Path
) -> None:
    world.service.make("preview-00000000-acme", "s3://hand/made.tar.gz", tags={TAG: "2026-03-01T09:30:00Z"})
    result = run("import", "--endpoint", "endpoint")
    assert result.exit_code == 0
    assert result.stderr.splitlines()[:2] == [
        "2 adapters on 'endpoint' belong to no fleet",
        "1 adapter of fleet as it is now follows in the manifest, which deletes none of them",
    ]
    one, two, of_the_fleet = imported(result).adapters
    assert (one.name, one.component, one.tags) == ("one", None, {"team": "support"})
    assert (two.name, two.component, two.tags) == ("two", "two", {})
    assert {one.digest, two.digest} == {identity_of(directory)}
    assert of_the_fleet.name == "acme"
    result = run("import", "--endpoint", "endpoint", fleet=False)
    assert "follows in the manifest" not in result.stderr
    assert [adapter.component for adapter in imported(result).adapters] == ["p-one", "two"]
    assert (world.registry.orders.all(), account.started.inputs) == ([], [])


def test_adapters_of_the_fleet_are_what_they_were(run: Run, world: World) -> None:
    smoke = SmokeRequest(body={"inputs": "Hello"}, expect="world")
    world.with_settings(FleetSettings(smoke=smoke, base_model="llama-8b"))
    given = (
        replace(ACME, rank=8, tags={"team": "support"}, smoke=smoke, percent=5),
        replace(ACME, name="named", component="a-name-of-its-own"),
        replace(ACME, name="own", component="p-own", smoke=SmokeRequest(body={"inputs": "Hi"})),
    )
    world.apply(*given)
    manifest = imported(run("import", "--endpoint", "endpoint"))
    assert manifest.base_model == "llama-8b"
    desired = manifest.resolve(prefix="p", buckets={}, archives={}, smoke=smoke)
    assert desired.adapters[-3:] == given


class TestOddComponents:
    def test_names_that_would_be_the_same_without_the_prefix_keep_it(self, run: Run, world: World) -> None:
        world.service.make("One", "s3://hand/made.tar.gz")
        result = run("import", "--endpoint", "endpoint")
        assert result.exit_code == 0
        components = {adapter.name: adapter.component for adapter in imported(result).adapters}
        assert components == {"One": "One", "p-one": "p-one", "two": "two", "acme": None}

    @pytest.mark.parametrize(
        ("component", "found", "what"), [("p-acme", "acme", "name"), ("Solo", "solo", "component")]
    )
    def test_what_the_fleet_has_already_in_any_case_is_left_out_and_told(
        self, run: Run, world: World, component: str, found: str, what: str
    ) -> None:
        world.apply(replace(ACME, component=component))
        world.service.make(found, "s3://hand/made.tar.gz")
        result = run("import", "--endpoint", "endpoint")
        assert result.exit_code == 1
        assert result.stderr.splitlines()[0] == f"adapters: {found}: adapter 'acme' has its {what}"
        assert [adapter.name for adapter in imported(result).adapters] == ["one", "two", "acme"]

    def test_component_with_too_much_in_its_tags_is_left_out_and_told(self, run: Run, world: World) -> None:
        world.service.make("three", "s3://hand/made.tar.gz", tags={f"t{n}": "大" * 256 for n in range(45)})
        result = run("import", "--endpoint", "endpoint", "--take-over", "--yes")
        assert result.exit_code == 1
        assert result.stderr.splitlines()[0] == (
            "adapters: adapter 'three': should have at most 32000 bytes as JSON, with its defaults, got 69776"
        )
        assert {order.component for order in world.registry.orders.all()} == {"p-one", "two"}


def test_endpoint_that_is_not_there_is_nobody_to_ask(run: Run) -> None:
    result = run("import", "--endpoint", "nope", fleet=False)
    assert result.exit_code == 4
    assert result.stdout == ""
    assert result.stderr == "adapters: endpoint 'nope' is not there, or has no component\n"


def test_component_of_a_stack_is_left_out_and_never_taken_over(run: Run, world: World) -> None:
    world.service.stacks["two"] = "Llm"
    for fleet in (True, False):
        result = run("import", "--endpoint", "endpoint", fleet=fleet)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[:2] == [
            "adapters: two: it belongs to stack 'Llm' and is left out; the guide to operating fleets says how"
            " to move it",
            "1 adapter on 'endpoint' belongs to no fleet",
        ]
        assert "two" not in [adapter.name for adapter in imported(result).adapters]
    # Even where the manifest names it already.
    world.with_settings(FleetSettings(failures=FailureLimit(count=1)))
    world.apply(ACME, replace(ACME, name="two", component="two"))
    result = run("import", "--endpoint", "endpoint", "--take-over", "--yes")
    assert "two: it belongs to stack 'Llm'" in result.stderr
    world.settle()
    assert [order.component for order in world.registry.orders.all()] == ["p-one"]
    assert FLEET_TAG not in world.service.components["two"].tags


def test_adapter_without_a_readable_archive_is_left_out_and_told(run: Run, account: FakeAccount) -> None:
    account.world.service.make("three", "s3://hand/missing.tar.gz")
    result = run("import", "--endpoint", "endpoint")
    assert result.exit_code == 1
    assert "adapters: three: s3://hand/missing.tar.gz: Not Found (404)" in result.stderr
    assert len(imported(result).adapters) == 3


class TestTakeOver:
    def take_over(self, run: Run) -> Result:
        return run("import", "--endpoint", "endpoint", "--take-over", "--yes")

    def deploy_imported(self, world: World, result: Result) -> None:
        desired = imported(result).resolve(prefix=world.target.prefix, buckets={}, archives={})
        world.apply(*desired.adapters)

    def test_fleet_takes_over_without_creating_again(self, run: Run, world: World) -> None:
        result = self.take_over(run)
        created = {name: component.created for name, component in world.service.components.items()}
        world.writes().clear()
        self.deploy_imported(world, result)
        assert world.newest().outcome is Outcome.CONVERGED
        assert sorted(world.writes()) == ["AddTags p-one", "AddTags two"]
        assert {name: component.created for name, component in world.service.components.items()} == created
        assert run("status").stdout.count("in service") == 3

    def test_what_an_undone_import_left_are_orphans_that_status_says_how_to_delete(
        self, run: Run, world: World
    ) -> None:
        desired = imported(self.take_over(run)).resolve(prefix=world.target.prefix, buckets={}, archives={})
        world.apply(*desired.adapters, digest="after", previous="before")
        world.apply(ACME, digest="before", previous="after")
        assert {"p-one", "two"} <= world.service.components.keys()
        status = run("status").stdout
        states = [line.split("\t")[:2] for line in status.splitlines()]
        assert states == [["acme", "in service"], ["one", "orphan"], ["two", "orphan"]]
        hint = re.search(r"'adapters (prune \S+)' deletes it", status)
        assert hint is not None
        assert run(*hint[1].split(), "--yes").exit_code == 0

    def test_adapters_that_the_manifest_has_already_are_taken_over_at_once(
        self, run: Run, world: World
    ) -> None:
        world.with_settings(FleetSettings(failures=FailureLimit(count=2)))
        self.deploy_imported(world, run("import", "--endpoint", "endpoint"))
        assert run("status").stdout.count("foreign") == 2
        self.take_over(run)
        world.settle()
        assert run("status").stdout.count("in service") == 3

    def test_adapter_that_was_created_again_by_hand_is_taken_over_and_restored(
        self, run: Run, world: World
    ) -> None:
        world.with_settings(FleetSettings(drift=DriftAction.REPORT))
        world.apply(ACME)
        world.service.remove("p-acme")
        world.drift()
        world.service.make("p-acme", "s3://hand/made.tar.gz")
        self.take_over(run)
        world.settle()
        assert world.serving()["acme"] == ACME.artifact.uri

    @pytest.mark.parametrize(
        ("options", "fleet", "code", "words"),
        [
            (["endpoint", "--yes"], True, 2, "--yes"),
            (["endpoint", "--take-over"], True, 1, "--yes confirms"),
            (["endpoint", "--take-over", "--yes"], False, 2, "Give --stack, or set ADAPTERS_STACK"),
            (["elsewhere"], True, 1, "the fleet is on endpoint 'endpoint', got 'elsewhere'"),
            (["elsewhere", "--take-over", "--yes"], True, 1, "the fleet is on endpoint 'endpoint', got"),
        ],
    )
    def test_it_takes_a_fleet_of_the_endpoint_and_consent(
        self, run: Run, world: World, options: list[str], fleet: bool, code: int, words: str
    ) -> None:
        result = run("import", "--endpoint", *options, fleet=fleet)
        assert (result.exit_code, words in result.stderr) == (code, True)
        assert world.registry.orders.all() == []

    def test_fleet_that_is_deleted_takes_nothing_over(self, run: Run, world: World) -> None:
        world.destroy()
        result = self.take_over(run)
        assert result.exit_code == 1
        assert "there is no fleet to take them over" in result.stderr
        assert world.registry.orders.all() == []

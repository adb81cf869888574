import json
from dataclasses import replace

import pytest

from tests.adapter_fleet.fleet_world import World, adapter
from tests.cli.fleet_account import FakeAccount, Run, Write

OBJECT = ("manifests", "tenants.yaml")
URI = "s3://manifests/tenants.yaml"


class TestFile:
    def test_adapters_are_removed_with_a_hint_to_the_deployment(self, run: Run, manifest: Write) -> None:
        path = manifest(acme=1, beta=1, zeta=1)
        result = run("remove", "acme", "zeta", "--manifest", path, "--yes", fleet=False)
        assert (result.exit_code, result.stdout) == (0, f"2 adapters removed from {path}\n")
        assert "the next deployment deletes them" in result.stderr
        assert path.read_text().splitlines()[1].startswith("  - {name: beta,")
        assert len(path.read_text().splitlines()) == 2
        result = run("remove", "beta", "--manifest", path, "--yes", "--json", fleet=False)
        assert json.loads(result.stdout) == {"manifest": str(path), "removed": ["beta"]}

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [(["acme"], "--yes confirms"), (["acme", "nobody", "--yes"], "there is no adapter 'nobody'")],
    )
    def test_nothing_is_removed_where_nobody_can_be_asked_or_an_adapter_is_unknown(
        self, run: Run, manifest: Write, arguments: list[str], words: str
    ) -> None:
        path = manifest(acme=1, beta=1)
        text = path.read_text()
        result = run("remove", *arguments, "--manifest", path, fleet=False)
        assert (result.exit_code, words in result.stderr) == (1, True)
        assert path.read_text() == text

    def test_without_a_manifest_or_a_fleet_it_is_wrong_usage(self, run: Run) -> None:
        result = run("remove", "acme", "--yes", fleet=False)
        assert (result.exit_code, "which fleet?" in result.stderr) == (2, True)


class TestFleet:
    """A fleet of ten adapters, whose manifest is in S3."""

    @pytest.fixture(autouse=True)
    def deployed(self, world: World, account: FakeAccount, manifest: Write) -> None:
        names = [f"a{number}" for number in range(10)]
        world.target = replace(world.target, manifest=URI)
        world.apply(*map(adapter, names))
        account.buckets.put(*OBJECT, manifest(**dict.fromkeys(names, 1)).read_bytes())

    def stored(self, account: FakeAccount) -> str:
        return account.buckets.objects[OBJECT].body.decode()

    def test_its_manifest_in_s3_is_found(self, run: Run, account: FakeAccount) -> None:
        result = run("remove", "a3", "--yes")
        assert (result.exit_code, result.stdout) == (0, f"1 adapter removed from {URI}\n")
        assert "the fleet deletes them" in result.stderr
        assert "name: a3," not in self.stored(account)
        assert self.stored(account).count("name:") == 9

    def test_adapter_that_the_fleet_never_created_is_not_said_to_be_deleted(
        self, run: Run, account: FakeAccount, manifest: Write
    ) -> None:
        names = {f"a{number}": 1 for number in range(10)} | {"refused": 1}
        account.buckets.put(*OBJECT, manifest(**names).read_bytes())
        result = run("remove", "refused", "--yes")
        assert result.stderr == "the fleet has no component of refused, and deletes none\n"

    def test_guard_says_why_nothing_is_removed(self, run: Run, account: FakeAccount) -> None:
        before = self.stored(account)
        result = run("remove", *[f"a{number}" for number in range(10)], "--yes")
        assert (result.exit_code, "the fleet would refuse it: " in result.stderr) == (1, True)
        assert self.stored(account) == before

    def test_manifest_of_a_stack_needs_its_file(self, run: Run, world: World, manifest: Write) -> None:
        world.target = replace(world.target, manifest=None)
        world.apply(adapter("a1"))
        result = run("remove", "a1", "--yes")
        assert result.exit_code == 1
        assert "belongs to its stack; give its file with --manifest" in result.stderr

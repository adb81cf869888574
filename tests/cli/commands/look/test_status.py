import json
import shlex
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.fleet_settings import (
    DriftAction,
    FailureLimit,
    FleetSettings,
    ReleaseSettings,
)
from adapter_fleet.manifest.desired import DesiredFleet, Probe, SmokeRequest
from adapters_cli.fleets.base_component import NO_COPY
from tests.adapter_fleet.fake_service import BASE
from tests.adapter_fleet.fleet_world import World, adapter, artifact
from tests.cli.fleet_account import FakeAccount, Run, rows, take_up


def test_each_adapter_is_a_line_between_tabs_until_it_is_gone(run: Run, world: World) -> None:
    world.apply(adapter("zeta", 2), adapter("acme"))
    world.clock.sleep(3 * 3600)
    result = run("status")
    assert (result.exit_code, result.stderr) == (0, "")
    assert rows(result) == [
        ["acme", "in service", "v1.tar.gz", "3h", "-", "-", ""],
        ["zeta", "in service", "v2.tar.gz", "3h", "-", "-", ""],
    ]
    world.deploy(adapter("acme"))
    assert ["zeta", "deleting"] in [row[:2] for row in rows(run("status"))]
    world.settle()
    world.service.make("p-other", "s3://other/x.tar.gz")
    world.apply(adapter("acme"), adapter("other"), retries=False)
    assert [row[:2] for row in rows(run("status"))] == [["other", "foreign"], ["acme", "in service"]]
    world.deploy(adapter("acme"))
    assert [row[0] for row in rows(run("status"))] == ["acme"]


def test_adapter_whose_new_version_failed_shows_the_one_that_serves(run: Run, world: World) -> None:
    world.with_settings(FleetSettings(failures=FailureLimit(count=1)))
    world.apply(adapter("acme"))
    world.service.faults.broken[artifact("acme", 2).uri] = "rank too high"
    world.apply(adapter("acme", 2))
    [row] = rows(run("status"))
    assert row[1:3] == ["failed", "v1.tar.gz"]
    assert row[-1] == "v2.tar.gz: rank too high"


def test_what_helps_is_told_once_for_all_whom_it_helps(run: Run, world: World) -> None:
    world.with_settings(FleetSettings(failures=FailureLimit(count=2)))
    for name in ("acme", "beta"):
        world.service.faults.broken[artifact(name).uri] = "no such tensor"
    world.apply(adapter("acme"), adapter("beta"), adapter("zeta"))
    [line] = run("status").stderr.splitlines()
    names, _, remedy = line.partition(": ")
    assert names == "acme, beta"
    told = {one["name"]: one["remedy"] for one in json.loads(run("status", "--json").stdout)["adapters"]}
    assert told == {name: remedy.replace("NAME", name) for name in ("acme", "beta")} | {"zeta": None}


def test_adapter_that_waits_for_a_copy_is_asleep(run: Run, world: World) -> None:
    world.service.copies = 0
    world.deploy(adapter("acme", probed=True), adapter("beta"))
    world.run_for(60)
    result = run("status", "--wait")
    assert result.exit_code == 3
    assert [row[:2] for row in rows(result)] == [["acme", "asleep"], ["beta", "in service"]]
    assert "the base model has no copy" in rows(result)[0][-1]
    assert result.stderr.endswith(f"adapters: {NO_COPY}\n")
    document = json.loads(run("status", "--json").stdout)
    assert (document["copies"], document["pending"], document["settled"]) == (0, 1, True)


class TestLastCopyThatEndedSinceTheLastPass:
    @pytest.fixture(autouse=True)
    def scaled_to_zero(self, world: World) -> None:
        world.apply(adapter("acme"))
        world.service.copies = 0

    def test_it_is_told_before_anything_else(self, run: Run, world: World) -> None:
        world.put_invalid_manifest()
        world.settle()
        first, second = run("status").stderr.splitlines()
        assert first == f"adapters: {NO_COPY}"
        assert second.startswith("adapters: generation 2 is refused")
        assert json.loads(run("status", "--json").stdout)["copies"] == 0

    def test_it_is_below_the_heading_on_a_terminal(self, terminal: Callable[..., list[str]]) -> None:
        heading, *lines = terminal("status")
        assert f"{heading} {' '.join(lines)}".startswith(f"fleet on endpoint, last pass 0s ago {NO_COPY}")

    def test_registry_tells_it_without_the_permission_to_look(self, run: Run, world: World) -> None:
        world.trigger("order")
        world.service.faults.denied = True
        assert run("status").stderr.startswith(f"adapters: {NO_COPY}\n")


def test_copies_that_nobody_has_asked_are_told(run: Run, world: World) -> None:
    world.apply(adapter("acme"))
    world.service.copies = 3
    world.service.components["base"].status = Status.UPDATING
    world.start_machine("order")
    world.run_for(60)
    assert "2 of 3 copies of the base model are new" in run("status").stderr


class TestManifestInS3:
    URI = "s3://manifests/fleet.yaml"
    STILL_THERE = (
        f"adapters: {URI} still has it, and it is not in force; apply another manifest before the next"
        " deployment, which would apply this one again"
    )

    @pytest.fixture(autouse=True)
    def in_force(self, world: World) -> None:
        world.with_settings(FleetSettings(failures=FailureLimit()))
        world.target = replace(world.target, manifest=self.URI)
        world.apply(adapter("acme"))
        world.put_manifest(adapter("acme"), adapter("beta"))
        world.settle()

    def fail(self, world: World) -> None:
        world.service.faults.broken[artifact("zeta").uri] = "no such tensor"
        world.put_manifest(adapter("acme"), adapter("zeta"))
        world.settle()

    def test_one_that_failed_is_told_until_another_comes(self, run: Run, world: World) -> None:
        document = json.loads(run("status", "--json").stdout)
        assert (document["rejected"], document["manifest_not_in_force"]) == (None, None)
        self.fail(world)
        result = run("status")
        assert (result.exit_code, run("plan").exit_code) == (1, 3)
        assert [row[:2] for row in rows(result)] == [["acme", "in service"], ["beta", "in service"]]
        first, second = result.stderr.splitlines()
        assert first.startswith("adapters: generation 3 failed: ")
        assert "zeta: no such tensor" in first
        assert first.endswith("; generation 4 takes it back")
        assert second == self.STILL_THERE
        document = json.loads(run("status", "--json").stdout)
        assert (document["converged"], document["settled"]) == (False, True)
        assert (document["generation"]["number"], document["in_force"]) == (4, 4)
        assert (document["rejected"]["number"], document["rejected"]["outcome"]) == (3, "failed")
        assert "no such tensor" in document["rejected"]["reason"]
        assert document["manifest_not_in_force"] == self.URI
        world.put_manifest(adapter("acme"))
        world.settle()
        assert (run("status").exit_code, run("status").stderr) == (0, "")

    def test_one_that_was_refused_is_told_beside_what_stays_in_force(self, run: Run, world: World) -> None:
        world.put_manifest()
        world.settle()
        result = run("status")
        first, second = result.stderr.splitlines()
        assert (result.exit_code, second) == (1, self.STILL_THERE)
        assert first.startswith("adapters: generation 3 is refused: ")
        assert [row[:2] for row in rows(result)] == [["acme", "in service"], ["beta", "in service"]]

    def come(self, account: FakeAccount) -> None:
        """Someone writes a version of the object, and its event has not reached the fleet."""
        account.buckets.put("manifests", "fleet.yaml", b"adapters: []")
        account.buckets.objects["manifests", "fleet.yaml"].version = 7

    def test_one_that_the_fleet_has_not_taken_up_is_pending_where_the_caller_may_read_it(
        self, run: Run, world: World, account: FakeAccount
    ) -> None:
        self.come(account)
        result = run("status")
        assert result.exit_code == 3
        assert result.stderr == "adapters: the manifest in S3 (version v7) is not taken up yet\n"
        assert run("status", "acme").exit_code == 3
        document = json.loads(run("status", "--json").stdout)
        assert (document["manifest_to_come"], document["settled"]) == ("v7", False)
        account.buckets.forbidden = ("manifests/",)
        assert (run("status").exit_code, run("status").stderr) == (0, "")

    @pytest.mark.parametrize("names", [[], ["beta"]])
    def test_it_is_waited_for(
        self,
        run: Run,
        world: World,
        account: FakeAccount,
        monkeypatch: pytest.MonkeyPatch,
        names: list[str],
    ) -> None:
        self.come(account)
        sleep = account.sleep

        def notice(seconds: float) -> None:
            if world.newest().request.manifest_version != "v7":
                take_up(world, DesiredFleet(adapters=(adapter("beta"),)), "v7")
            sleep(seconds)

        monkeypatch.setattr(account, "sleep", notice)
        result = run("status", *names, "--wait")
        assert (result.exit_code, [row[:2] for row in rows(result)]) == (0, [["beta", "in service"]])
        assert "; the manifest in S3 (version v7) is not taken up yet" in result.stderr

    def test_one_that_comes_after_one_that_failed_is_pending_until_it_is_taken_back(
        self, run: Run, world: World, account: FakeAccount
    ) -> None:
        self.fail(world)
        self.come(account)
        result = run("status")
        assert (result.exit_code, self.STILL_THERE in result.stderr) == (3, False)
        take_up(world, DesiredFleet(adapters=(adapter("acme"), adapter("zeta"))), "v7")
        world.settle()
        assert run("status", "--wait", "--timeout", "60").exit_code == 1


def test_deployment_that_was_rolled_back_is_told(run: Run, world: World) -> None:
    world.service.faults.broken[artifact("acme", 2).uri] = "no such tensor"
    for version, digest, previous in ((1, "one", None), (2, "two", "one"), (1, "one", "two")):
        world.apply(adapter("acme", version), digest=digest, previous=previous)
    result = run("status")
    assert result.exit_code == 0
    [line] = result.stderr.splitlines()
    assert line.startswith("adapters: generation 2 failed: ")
    assert line.endswith("; generation 3 takes it back")


@pytest.mark.parametrize("failures", [0, 1])
def test_reason_cannot_steer_the_terminal_or_end_the_field(run: Run, world: World, failures: int) -> None:
    world.with_settings(FleetSettings(failures=FailureLimit(count=failures)))
    world.service.faults.broken[artifact("acme").uri] = "bad\t\x1b]0;owned\x07\nvery bad"
    world.apply(adapter("acme"))
    result = run("status")
    told = rows(result)[0][-1] if failures else result.stderr
    assert "bad �]0;owned� very bad" in told


def test_json_has_everything(run: Run, world: World) -> None:
    world.apply(adapter("acme"))
    document = json.loads(run("status", "--json").stdout)
    assert (document["fleet"], document["endpoint"], document["converged"]) == ("fleet", "endpoint", True)
    assert (document["in_service"], document["pending"], document["failed"]) == (1, 0, 0)
    assert document["generation"]["outcome"] == "converged"
    [one] = document["adapters"]
    assert (one["name"], one["component"], one["group"]) == ("acme", "p-acme", "in-service")
    assert one["artifact"] == {"version": "v1.tar.gz", "digest": None, "uri": artifact("acme").uri}
    moments = (one["since"], document["generation"]["requested_at"])
    times = [datetime.fromisoformat(moment).timestamp() for moment in moments]
    assert times == pytest.approx([world.clock.now()] * 2, abs=60)


class TestEarlierVersions:
    @pytest.fixture(autouse=True)
    def updated(self, world: World) -> None:
        for version in (1, 2, 3):
            world.apply(adapter("acme", version), adapter("zeta"))

    def test_they_are_told_of_adapters_that_are_named_without_that_of_the_manifest(
        self, run: Run, world: World
    ) -> None:
        result = run("status", "acme", "zeta")
        assert result.exit_code == 0
        assert result.stderr == "acme can serve v2.tar.gz, v1.tar.gz: 'adapters rollback acme --to VERSION'\n"
        assert run("status").stderr == ""
        run("rollback", "acme")
        world.settle()
        assert run("status", "acme").stderr.splitlines() == [
            "acme: 'adapters rollback acme --undo' serves the manifest's version again",
            "acme can serve v1.tar.gz: 'adapters rollback acme --to v1.tar.gz'",
        ]
        [document] = json.loads(run("status", "acme", "--json").stdout)["adapters"]
        assert document["version"] == "v2.tar.gz"
        assert [one["uri"] for one in document["earlier"]] == [artifact("acme", n).uri for n in (2, 1)]


def test_adapter_whose_next_try_is_due_says_why_it_failed(run: Run, world: World) -> None:
    world.service.faults.missing.add(artifact("acme").uri)
    world.apply(adapter("acme"), retries=False)
    world.clock.time += 3600.0
    assert "NoSuchKey" in rows(run("status"))[0][-1]


def test_lost_base_is_told_though_the_manifest_was_in_force_until_it_is_back(run: Run, world: World) -> None:
    world.apply(adapter("acme"), adapter("zeta"))
    world.lose_base()
    result = run("status")
    assert result.exit_code == 1
    outage = "the base component 'base' is not there; no adapter answers before it is deployed again"
    assert result.stderr == f"adapters: {outage}\n"
    assert rows(result)[0] == ["acme", "creating", "-", "-", "-", "-", "someone deleted it"]
    document = json.loads(run("status", "--json").stdout)
    assert document["trouble"] == "the base component 'base' is not there"
    waiting = run("status", "--wait", "--timeout", "60")
    assert waiting.exit_code == 1
    assert "2 pending, 0 failed; the base component 'base' is not there" in waiting.stderr
    world.service.add_base()
    waited = run("status", "--wait")
    assert waited.exit_code == 0
    assert waited.stderr.splitlines()[-1] == (
        "fleet: generation 1 converged, 2 adapters: 2 in service, 0 pending, 0 failed"
    )
    assert run("status").stderr == ""


class TestBaseOutage:
    """The base component goes, and no pass has noticed."""

    @pytest.fixture(autouse=True)
    def settled(self, world: World) -> None:
        world.apply(adapter("acme"))

    def test_base_that_is_gone_ends_with_1_though_the_registry_knows_nothing_of_it(
        self, run: Run, world: World
    ) -> None:
        del world.service.components["base"]
        outage = "the base component 'base' is not there; no adapter answers before it is deployed again"
        for names in ([], ["acme"]):
            result = run("status", *names)
            assert rows(result)[0][:2] == ["acme", "in service"]
            assert (result.exit_code, result.stderr) == (1, f"adapters: {outage}\n")
        document = json.loads(run("status", "--json").stdout)
        assert (document["base_outage"], document["converged"]) == (outage, False)

    def test_copies_that_are_gone_and_do_not_scale_end_with_1_and_the_command_that_brings_one_back(
        self, run: Run, world: World, account: FakeAccount
    ) -> None:
        world.service.copies = 0
        assert run("status").exit_code == 0
        account.scaling.scales = False
        world.service.components["base"].status = Status.UPDATING  # a copy comes
        assert run("status").exit_code == 0
        world.service.components["base"].status = Status.IN_SERVICE
        result = run("status")
        assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
        assert "runtime-config --inference-component-name base --desired-runtime-config" in result.stderr
        account.scaling.scales = None
        assert (run("status").exit_code, run("status").stderr) == (0, f"adapters: {NO_COPY}\n")

    def test_base_that_failed_is_told_with_its_reason_and_one_that_is_updated_is_no_outage(
        self, run: Run, world: World
    ) -> None:
        base = world.service.components["base"]
        base.status = Status.UPDATING
        assert run("status").exit_code == 0
        base.status, base.failure_reason = Status.FAILED, "CUDA out of memory"
        result = run("status")
        outage = "the base component 'base' is Failed: CUDA out of memory; no adapter answers"
        assert (result.exit_code, result.stderr) == (1, f"adapters: {outage}\n")
        world.service.faults.denied = True
        assert (run("status").exit_code, run("status").stderr) == (
            0,
            "not compared with SageMaker's components: AccessDeniedException: not authorized to perform"
            " ListInferenceComponents\n",
        )


class TestComponentsThatPeopleChanged:
    """The registry has both adapters in service, and no pass has noticed."""

    @pytest.fixture(autouse=True)
    def settled(self, world: World) -> None:
        world.apply(adapter("acme"), adapter("zeta"))

    def test_deleted_one_is_missing_and_ends_with_1(self, run: Run, world: World) -> None:
        world.service.remove("p-acme")
        result = run("status")
        acme, zeta = rows(result)
        assert (result.exit_code, acme[:2], zeta[:2]) == (1, ["acme", "missing"], ["zeta", "in service"])
        assert acme[-1].startswith("'adapters apply --retry acme' mends it")
        assert run("status", "acme").exit_code == 1
        assert run("status", "zeta").exit_code == 0
        document = json.loads(run("status", "--json").stdout)
        assert (document["in_service"], document["failed"], document["converged"]) == (1, 1, False)
        run("apply", "--retry", "acme")
        world.settle()
        assert run("status").exit_code == 0

    @pytest.mark.parametrize("refused", [False, True])
    def test_after_a_failed_generation_another_one_mends_it(
        self, run: Run, world: World, refused: bool
    ) -> None:
        world.service.faults.broken[artifact("zeta", 2).uri] = "bad tensors"
        world.apply(adapter("acme"), adapter("zeta", 2))
        if refused:
            take_up(world, DesiredFleet(), "v2", refusal="there was a reason")
        world.service.remove("p-acme")
        assert "another deployment or manifest mends it" in run("status").stdout
        assert "nothing is done before another" in run("apply", "--retry", "acme").stderr

    def test_failed_one_and_one_made_again_are_no_green_either(self, run: Run, world: World) -> None:
        world.service.components["p-acme"].status = Status.FAILED
        world.service.touch("p-acme")
        world.service.remove("p-zeta")
        world.clock.time += 60
        world.service.make("p-zeta", artifact("zeta").uri)
        assert [row[:2] for row in rows(run("status"))] == [["acme", "failed"], ["zeta", "replaced"]]

    def test_all_are_compared_with_a_call_for_a_hundred_components(self, run: Run, world: World) -> None:
        world.service.calls.clear()
        run("status")
        # The other call looks at the base component.
        assert world.service.calls == {"ListInferenceComponents": 1, "DescribeInferenceComponent": 1}

    def test_listing_may_be_late(self, run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        empty = world.service.list_page("endpoint")._replace(components={})
        world.service.list_page = lambda *_args, **_options: empty  # type: ignore[method-assign]
        assert run("status").exit_code == 0
        monkeypatch.setattr("adapters_cli.fleets.endpoint_comparison.MOST_READ_BY_NAME", 1)
        result = run("status")
        note = "not compared with SageMaker's components: 1 more that the listing lacks\n"
        assert (result.exit_code, result.stderr) == (0, note)

    def test_what_a_report_found_is_no_change_under_way(self, run: Run, world: World) -> None:
        world.with_settings(FleetSettings(drift=DriftAction.REPORT))
        world.apply(adapter("acme"), adapter("zeta"), digest="reports")
        world.service.remove("p-acme")
        world.drift()
        result = run("status", "--wait", "--timeout", "600")
        assert (result.exit_code, rows(result)[0][:2]) == (1, ["acme", "missing"])
        assert rows(result)[0][-1].startswith("someone deleted it; 'adapters apply --retry acme' mends it")

    @pytest.mark.parametrize("states", [["lost", "lost"], ["missing", "in service"]])
    def test_wait_sees_the_retry_of_what_a_report_found_to_its_end(
        self, run: Run, world: World, states: list[str]
    ) -> None:
        world.with_settings(FleetSettings(drift=DriftAction.REPORT))
        world.apply(adapter("acme"), adapter("zeta"), digest="reports")
        if "lost" in states:
            for one in world.service.components.values():
                one.serves = None
        else:
            world.service.remove("p-acme")
        world.drift()
        result = run("status")
        assert (result.exit_code, [row[1] for row in rows(result)]) == (1, states)
        run("apply", "--retry", "acme", "zeta")
        assert run("status", "--wait").exit_code == 0


def test_it_is_told_when_each_adapter_was_last_asked(run: Run, world: World) -> None:
    world.with_settings(FleetSettings(drift=DriftAction.REPORT))
    world.apply(adapter("acme", probed=True), adapter("zeta"))
    world.clock.time += 3600
    assert {row[0]: row[5] for row in rows(run("status"))} == {"acme": "1h", "zeta": "-"}
    world.drift()  # asks both: a copy may have lost them
    asked = {one["name"]: one["asked_at"] for one in json.loads(run("status", "--json").stdout)["adapters"]}
    times = {datetime.fromisoformat(at).timestamp() for at in asked.values()}
    assert min(times) > world.clock.now() - 60


class TestSomeOfThem:
    """acme has failed, beta is in service."""

    @pytest.fixture(autouse=True)
    def deployed(self, world: World) -> None:
        world.with_settings(FleetSettings(failures=FailureLimit(count=1)))
        world.service.faults.broken[artifact("acme").uri] = "no such tensor"
        world.apply(adapter("acme"), adapter("beta"), adapter("zeta"))

    @pytest.mark.parametrize(("names", "code"), [(["acme", "beta"], 1), (["beta", "p-zeta"], 0)])
    def test_named_ones_are_shown_and_decide(self, run: Run, names: list[str], code: int) -> None:
        result = run("status", *names)
        assert result.exit_code == code
        assert [row[0] for row in rows(result)] == [name.removeprefix("p-") for name in names]
        document = json.loads(run("status", *names, "--json").stdout)
        assert (len(document["adapters"]), document["failed"]) == (2, 1)

    def test_unknown_names_are_told(self, run: Run) -> None:
        result = run("status", "beta", "nobody", "noone")
        told = [f"adapters: the fleet has no adapter '{name}'\n" for name in ("nobody", "noone")]
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", "".join(told))

    def test_waiting_ends_with_the_named_ones(self, run: Run, world: World) -> None:
        world.deploy(adapter("acme"), adapter("beta", 2), adapter("zeta"), adapter("new"))
        assert [run("status", name).exit_code for name in ("zeta", "beta")] == [0, 3]
        result = run("status", "beta", "--wait")
        assert (result.exit_code, [row[:3] for row in rows(result)]) == (
            0,
            [["beta", "in service", "v2.tar.gz"]],
        )


class TestMany:
    """Forty adapters of four teams, the last three of them failed."""

    NAMES = tuple(f"a{number:03}" for number in range(40))

    @pytest.fixture(autouse=True)
    def deployed(self, world: World) -> None:
        world.with_settings(FleetSettings(failures=FailureLimit(count=3)))
        for name in self.NAMES[-3:]:
            world.service.faults.broken[artifact(name).uri] = "no such tensor"
        world.apply(*(adapter(name, tags={"team": f"t{int(name[1:]) % 4}"}) for name in self.NAMES))

    def test_terminal_gets_a_page_with_failures_first_and_the_counts_last(
        self, terminal: Callable[..., list[str]]
    ) -> None:
        lines = terminal("status", code=1, columns=100, height=24)
        assert len(lines) == 23  # the prompt has a line, too
        assert [line.split()[:2] for line in lines[2:6]] == [
            ["a037", "failed"],
            ["a038", "failed"],
            ["a039", "failed"],
            ["a000", "in"],
        ]
        assert "and 24 more; in a pipe and with --json, all are shown" in lines
        assert lines[-4].startswith("a037, a038, a039: repair it and publish it again")
        assert lines[-1].endswith("40 adapters: 37 in service, 0 pending, 3 failed")

    def test_adapters_are_shown_by_their_state_and_tags(self, run: Run) -> None:
        assert len(rows(run("status", "--state", "failed"))) == 3
        assert len(rows(run("status", "--state", "in-service", "--state", "failed"))) == 40
        result = run("status", "--state", "pending")
        assert (rows(result), result.stderr.splitlines()[-1]) == ([], "no adapter matches")
        assert len(rows(run("status", "--tag", "team=t2"))) == 10
        assert len(rows(run("status", "--tag", "team"))) == 40
        assert rows(run("status", "--tag", "team=t2", "--tag", "tier")) == []
        assert run("status", "--tag", "=t2").exit_code == 2

    def test_named_adapter_is_read_alone(self, run: Run, counted: Counter[str]) -> None:
        result = run("status", "a007", "p-a008")
        assert [row[:2] for row in rows(result)] == [["a007", "in service"], ["a008", "in service"]]
        assert counted["records.all"] == 0
        assert counted["records.find"] == 4  # each to find it, and to read it

    @pytest.mark.slow
    def test_waiting_reads_again_what_is_pending(self, run: Run, world: World, counted: Counter[str]) -> None:
        world.service.components["p-a000"].stuck = True
        world.deploy(*(adapter(name, 2 if name == "a000" else 1) for name in self.NAMES))
        started = world.clock.now()
        result = run("status", "--wait", "--timeout", "1500")
        assert world.clock.now() - started >= 1500
        assert (len(rows(result)), rows(result)[3][:2]) == (40, ["a000", "updating"])
        assert counted["fleet"] > 200
        assert counted["records.all"] <= 4
        assert counted["records.find"] < 10 * counted["fleet"]


class TestProof:
    """What shows that the adapter itself answers."""

    SMOKE = SmokeRequest.from_prompt("Hello")

    def proofs(self, run: Run) -> dict[str, tuple[str, str]]:
        return {row[0]: (row[4], row[-1]) for row in rows(run("status"))}

    def test_column_tells_a_probe_from_the_weaker_check(self, run: Run, world: World) -> None:
        world.apply(adapter("acme", probed=True), adapter("beta", smoke=self.SMOKE), adapter("zeta"))
        assert self.proofs(run) == {"acme": ("probe", ""), "beta": ("weaker", ""), "zeta": ("-", "")}

    def test_answer_to_an_earlier_probe_is_no_proof(self, run: Run, world: World) -> None:
        answered = adapter("acme", probed=True)
        world.apply(answered)
        world.service.copies = 0
        probe = Probe(prompt="Who else?", answer="acme")
        world.deploy(replace(answered, artifact=replace(answered.artifact, probe=probe)))
        world.run_for(60)
        proof, _ = self.proofs(run)["acme"]
        assert proof == "-"

    def test_answer_like_the_base_model_s_is_no_failure_and_says_what_to_do(
        self, run: Run, world: World
    ) -> None:
        def base_answers(operation: str, when: str) -> None:
            if operation.startswith("InvokeEndpoint") and when == "before":
                world.service.components["p-acme"].serves = BASE

        world.service.around = base_answers
        world.apply(adapter("acme", smoke=self.SMOKE))
        assert run("status").exit_code == 0
        proof, reason = self.proofs(run)["acme"]
        assert proof == "none"
        assert "a probe would tell the two apart" in reason


class TestRowThatCannotBeRead:
    @pytest.fixture
    def why(self, world: World) -> str:
        world.apply(adapter("acme"), adapter("zeta"))
        return world.registry.spoil("records", "p-acme")

    def test_its_adapter_has_failed_and_says_why(self, run: Run, world: World, why: str) -> None:
        result = run("status", "--wait")
        assert result.exit_code == 1
        assert rows(result)[0] == ["acme", "failed", "-", "-", "-", "-", why]
        assert rows(result)[1][:2] == ["zeta", "in service"]
        world.apply(adapter("zeta"))
        assert rows(run("status"))[0][:2] == ["p-acme", "failed"]
        assert [run(command, "acme").exit_code in (0, 1) for command in ("history", "rollback")] == [True] * 2


def test_adapter_whose_route_cannot_be_read_has_failed_and_the_others_are_shown(
    run: Run, world: World
) -> None:
    world.with_settings(replace(world.settings, releases=ReleaseSettings()))
    world.apply(adapter("acme"), adapter("zeta"))
    why = world.registry.spoil("routes", "acme")
    shown = {row[0]: row for row in rows(run("status"))}
    assert (shown["acme"][1], shown["acme"][-1], shown["zeta"][1]) == ("failed", why, "in service")
    planned = run("plan")
    assert why in planned.stdout
    assert "zeta" not in planned.stdout
    for row in world.registry.items["routes"].values():
        row["revision"] = {"N": "7"}
    assert "row 'zeta' of 'routes' in the registry was edited" in run("describe", "zeta").stderr


def test_order_that_cannot_be_read_is_told_with_its_key_as_one_word_for_a_shell(
    run: Run, world: World
) -> None:
    world.apply(adapter("acme"))
    key = "$(touch here) and 'there'"
    why = world.registry.spoil("orders", key)
    result = run("status")
    assert (result.exit_code, len(rows(result))) == (0, 1)
    assert result.stderr == f"adapters: {why}; remove it with: adapters prune {shlex.quote(key)}\n"
    assert json.loads(run("status", "--json").stdout)["unreadable_orders"] == {key: why}

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.evaluation import EvaluationBar
from adapter_fleet.fleet.state.archive_version import ArchiveVersion
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.fleet.state.sagemaker_port import UnansweredError
from adapter_fleet.manifest.desired import Artifact
from adapter_rules.archives.packing import identity_of
from adapters_cli.commands.deploy.plan import summary
from adapters_cli.fleets.base_component import NO_COPY
from adapters_cli.fleets.manifest_changes import Action
from tests.adapter_fleet.fleet_world import UID, World, adapter, artifact
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.cli.fleet_account import FakeAccount, Run, Write, rows


@pytest.fixture(autouse=True)
def deployed(world: World) -> None:
    world.with_settings(FleetSettings(failures=FailureLimit(count=1)))
    world.apply(adapter("acme"), adapter("beta"), adapter("zeta"))


class TestRequiredEvaluations:
    """A fleet that holds new versions to their evaluations."""

    @pytest.fixture(autouse=True)
    def with_bar(self, world: World) -> None:
        bar = EvaluationBar(requirements=("rougeL >= base + 20%",))
        world.with_settings(FleetSettings(evaluation=bar))
        old = replace(artifact("acme"), digest=f"{1:064x}")
        world.apply(replace(adapter("acme"), artifact=old))

    @pytest.mark.parametrize("command", ["plan", "apply"])
    def test_new_version_is_a_mistake_as_the_fleet_would_say(
        self, run: Run, manifest: Write, account: FakeAccount, world: World, command: str
    ) -> None:
        world.target = replace(world.target, manifest="s3://bucket/live.yaml")
        world.apply(*world.registry.generations.desired(world.newest().number).adapters)
        result = run(command, manifest(acme=2))
        assert result.exit_code == 1
        assert "adapter 'acme': evaluation: should be recorded, as the fleet requires" in result.stderr
        assert account.buckets.objects == {}

    def test_version_in_force_is_none(self, run: Run, manifest: Write) -> None:
        assert run("plan", manifest(acme=1)).exit_code == 0


def test_without_a_manifest_it_shows_what_differs_from_the_one_in_force(run: Run, world: World) -> None:
    world.service.edit("p-beta", artifact("beta", 2).uri)
    result = run("plan", "--detailed-exitcode")
    assert (result.exit_code, [row[:2] for row in rows(result)]) == (5, [["beta", "update"]])
    assert rows(result)[0][4] == f"serves {artifact('beta', 2).uri} instead of {artifact('beta').uri}"
    world.service.copies = 0
    assert (run("plan").exit_code, NO_COPY in run("plan").stderr) == (3, True)


def test_lost_base_is_told_with_what_it_hinders_after_what_would_fail_on_any_base(
    run: Run, world: World, manifest: Write
) -> None:
    world.lose_base()
    path = manifest(acme=1, beta=1, zeta=1)
    trouble = "the base component 'base' is not there, and the fleet changes nothing before it is in service"
    result = run("plan", path, "--detailed-exitcode")
    assert (result.exit_code, result.stderr) == (3, f"adapters: {trouble}\n")
    assert [row[1] for row in rows(result)] == ["create"] * 3
    assert json.loads(run("plan", path, "--json").stdout)["trouble"] == trouble
    world.service.faults.missing.add(artifact("acme", 2).uri)
    assert run("plan", manifest(acme=2)).exit_code == 1


def test_each_change_is_a_line_and_nothing_is_written(run: Run, world: World, manifest: Write) -> None:
    before = (list(world.writes()), world.registry.records.all(), world.registry.fleet())
    result = run("plan", manifest(acme=1, beta=2, new=1))
    assert (result.exit_code, result.stderr) == (0, "")
    assert [row[:4] for row in rows(result)] == [
        ["new", "create", "-", f"{1:064x}"[:12]],
        ["beta", "update", "v1.tar.gz", f"{2:064x}"[:12]],
        ["zeta", "delete", "v1.tar.gz", "-"],
    ]
    change = json.loads(run("plan", manifest(acme=1, beta=2, new=1), "--json").stdout)["changes"][1]
    assert change["before_artifact"]["uri"] == artifact("beta", 1).uri
    assert change["after_artifact"]["digest"] == f"sha256:{2:064x}"
    assert (world.writes(), world.registry.records.all(), world.registry.fleet()) == before


def test_probe_that_two_versions_answer_is_a_warning(run: Run, manifest: Write) -> None:
    text = manifest(acme=1, beta=2).read_text()
    for number in (1, 2):
        digest = f"'sha256:{number:064x}'}}"
        text = text.replace(digest, f"{digest[:-1]}, probe: {{prompt: Who?, answer: I am}}}}")
    result = run("plan", manifest(text))
    assert result.exit_code == 0
    assert "adapter 'beta': probe.answer: should have an answer that no other adapter gives" in result.stderr


def test_new_probe_of_the_same_archive_is_told_and_changes_nothing_on_the_endpoint(
    run: Run, manifest: Write
) -> None:
    text = manifest(acme=1, beta=1, zeta=1).read_text()
    probed = text.replace(f"'sha256:{1:064x}'}}", f"'sha256:{1:064x}', probe: {{prompt: a, answer: b}}}}", 1)
    result = run("plan", manifest(probed), "--detailed-exitcode")
    assert result.exit_code == 0
    assert rows(result) == [["acme", "probe", "v1.tar.gz", "000000000000", "its probe is another one"]]


def test_wrong_usage_has_another_exit_code_than_changes(run: Run, manifest: Write) -> None:
    path = manifest(acme=2, beta=1, zeta=1)
    assert run("plan", path, "--detailed-exitcode", "--table", "registry").exit_code == 2


def test_adapters_that_the_quota_has_no_room_for_are_told(
    run: Run, manifest: Write, account: FakeAccount
) -> None:
    path = manifest(acme=1, beta=1, zeta=1, new=1)
    account.quotas.values["Inference components per endpoint"] = 5.0
    result = run("plan", path)
    assert (result.exit_code, "is 5, and 5 components would be on" in result.stderr) == (0, True)
    account.quotas.values["Inference components per endpoint"] = 4.0
    result = run("plan", path)
    assert result.exit_code == 3
    assert "is 4, and 5 components would be on the endpoint" in result.stderr
    # Quotas that nobody can reach hold the plan up for seconds.
    config = account.configs["service-quotas"]
    assert config.retries["total_max_attempts"] * config.connect_timeout < 10


def test_what_stays_is_in_the_document_alone_and_exit_code_tells_of_changes_on_request(
    run: Run, manifest: Write
) -> None:
    path = manifest(acme=1, beta=1, zeta=1)
    result = run("plan", path, "--detailed-exitcode")
    assert (result.exit_code, result.stdout) == (0, "")
    changes = json.loads(run("plan", path, "--json").stdout)["changes"]
    kept = [(change["name"], change["action"]) for change in changes]
    assert kept == [(name, "keep") for name in ("acme", "beta", "zeta")]
    path = manifest(acme=2, beta=1, zeta=1)
    assert (run("plan", path).exit_code, run("plan", path, "--detailed-exitcode").exit_code) == (0, 5)


def test_component_that_someone_changed_by_hand_is_seen(run: Run, world: World, manifest: Write) -> None:
    world.service.edit("p-acme", "s3://bucket/by-hand.tar.gz")
    world.service.remove("p-beta")
    world.service.make("p-new", artifact("new").uri, tags={FLEET_TAG: UID})

    def go(operation: str, moment: str) -> None:
        if operation == "ListTags p-new" and moment == "before":
            world.service.remove("p-new")

    world.service.around = go
    # The new one goes while it is looked at.
    assert [row[:3] for row in rows(run("plan", manifest(acme=1, beta=1, zeta=1, new=1)))] == [
        ["beta", "create", "-"],
        ["new", "create", "-"],
        ["acme", "update", "by-hand.tar.gz"],
    ]


@pytest.mark.parametrize(
    ("tags", "words", "may_be_imported"),
    [
        ({}, "'adapters import --take-over' makes it so", True),
        ({FLEET_TAG: "another"}, "of another fleet, another; give this fleet another", False),
    ],
    ids=["nobody", "another fleet"],
)
def test_component_of_someone_else_is_seen_and_what_to_do(
    run: Run, world: World, manifest: Write, tags: dict[str, str], words: str, may_be_imported: bool
) -> None:
    world.service.make("p-new", "s3://bucket/by-hand.tar.gz", tags=tags)
    path = manifest(acme=1, beta=1, zeta=1, new=1)
    result = run("plan", path, "--detailed-exitcode")
    [row] = rows(result)
    assert (result.exit_code, row[:2]) == (1, ["new", "foreign"])
    assert words in row[4]
    assert ("adapters import" in row[4]) is may_be_imported


def test_archives_that_are_not_in_s3_are_seen(run: Run, world: World, manifest: Write) -> None:
    world.service.faults.missing |= {artifact("acme", 2).uri, artifact("beta").uri, artifact("new").uri}
    result = run("plan", manifest(acme=2, beta=1, zeta=1, new=1))
    assert result.exit_code == 1
    assert [row[:2] for row in rows(result)] == [[name, "unusable"] for name in ("acme", "beta", "new")]
    assert rows(result)[0][4] == f"NoSuchKey: {artifact('acme', 2).uri} does not exist"


def test_lost_archive_of_what_serves_is_seen_and_fails_no_other_manifest(
    run: Run, world: World, manifest: Write
) -> None:
    uri = artifact("beta").uri
    world.service.faults.missing.add(uri)
    result = run("plan")
    why = f"NoSuchKey: {uri} does not exist; it serves, and no new copy or restart can load it"
    assert (result.exit_code, rows(result)) == (3, [["beta", "unusable", "v1.tar.gz", "v1.tar.gz", why]])
    assert run("plan", manifest(acme=1, beta=1, zeta=1)).exit_code == 0


@pytest.mark.parametrize("known", [None, "NoSuchKey: it is gone"])
def test_archive_that_the_caller_may_not_read_is_as_the_last_drift_check_found_it(
    run: Run, world: World, known: str | None
) -> None:
    world.registry.overwrite(replace(world.record("beta"), archive_trouble=known))
    world.service.faults.unreadable.add(artifact("beta").uri)
    assert [row[4] for row in rows(run("plan"))] == [known] * (known is not None)
    assert (known or "-") in run("status").stdout


def test_archive_that_cannot_be_looked_at_is_told(
    run: Run, world: World, manifest: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def find(_: str) -> ArchiveVersion | None:
        raise UnansweredError("no answer in time")

    monkeypatch.setattr(world.service, "find_archive", find)
    [row] = rows(run("plan", manifest(acme=2, beta=1, zeta=1)))
    assert row[4] == f"{artifact('acme', 2).uri} cannot be read: no answer in time"


def test_artifact_that_has_failed_is_not_tried_again(run: Run, world: World, manifest: Write) -> None:
    world.service.faults.broken[artifact("acme", 2).uri] = "no such tensor"
    world.apply(adapter("acme", 2), adapter("beta"), adapter("zeta"))
    result = run("plan", manifest(acme=2, beta=1, zeta=1))
    [row] = rows(result)
    assert row[1] == "failed"
    assert row[4] == "no such tensor; 'adapters apply --retry acme' lets it be tried again"
    assert result.exit_code == 0  # that is how it is already
    [another] = rows(run("plan", manifest(acme=3, beta=1, zeta=1)))
    assert (another[1], another[4]) == ("update", "")
    run("apply", "--retry", "acme")
    [row] = rows(run("plan", manifest(acme=2, beta=1, zeta=1)))
    assert row[:2] == ["acme", "update"]


def test_component_of_someone_else_that_the_fleet_wants_already_is_shown_and_does_not_count(
    run: Run, world: World, manifest: Write
) -> None:
    world.service.make("p-new", artifact("new").uri)
    world.with_settings(FleetSettings())
    world.apply(adapter("acme"), adapter("beta"), adapter("zeta"), adapter("new"))
    path = manifest(acme=1, beta=1, zeta=1, new=1)
    result = run("plan", path)
    assert (result.exit_code, rows(result)[0][:2]) == (0, ["new", "foreign"])
    # It is the fleet's own by now, and the registry has not noticed.
    world.service.remove("p-new")
    world.service.make("p-new", artifact("new").uri, tags={FLEET_TAG: UID})
    changes = json.loads(run("plan", path, "--json").stdout)["changes"]
    assert ("new", "keep") in [(change["name"], change["action"]) for change in changes]


def test_artifact_that_failed_for_a_cause_that_passes_is_tried_again(
    run: Run, world: World, manifest: Write
) -> None:
    world.service.faults.broken[artifact("acme", 2).uri] = "Insufficient capacity"
    world.deploy(adapter("acme", 2), adapter("beta"), adapter("zeta"))
    while world.record("acme").failure is None:
        world.step()
    [row] = rows(run("plan", manifest(acme=2, beta=1, zeta=1)))
    assert (row[1], row[4]) == ("retry", "Insufficient capacity")


def test_totals_say_what_is_to_be_done_and_what_is_not() -> None:
    counts = Counter({Action.CREATE: 2, Action.KEEP: 97, Action.FAILED: 1})
    assert summary(counts) == "2 to create, 97 to keep, 1 failed"


def test_fleet_that_is_deleted_takes_no_manifest(run: Run, world: World, manifest: Write) -> None:
    world.destroy()
    for now in ("is being deleted", "was deleted"):
        result = run("plan", manifest(acme=1))
        assert result.exit_code == 1
        assert result.stderr == f"adapters: fleet 'fleet' {now}, and takes no manifest any more\n"
        world.settle()


def test_guard_that_would_refuse_is_named(run: Run, manifest: Write) -> None:
    result = run("plan", manifest(), "--detailed-exitcode")
    assert (result.exit_code, [row[1] for row in rows(result)]) == (1, ["delete"] * 3)
    refused = json.loads(run("plan", manifest(), "--json").stdout)["refused"]
    assert "'allow_empty'" in refused
    assert result.stderr == f"adapters: the fleet would refuse it: {refused}\n"


def test_archive_that_moves_is_said_to_be_the_same(run: Run, world: World, manifest: Write) -> None:
    there = replace(adapter("acme"), artifact=Artifact(uri="s3://assets/acme.tar.gz", digest=f"{1:064x}"))
    world.apply(there, adapter("beta"), adapter("zeta"))
    [row] = rows(run("plan", manifest(acme=1, beta=1, zeta=1)))
    assert row[1:] == ["update", row[2], row[2], f"the same archive at {artifact('acme').uri}"]


def test_json_has_the_mistakes_of_the_manifest(run: Run, manifest: Write) -> None:
    path = manifest("adapters:\n  - {name: acme}\n")
    result = run("plan", path, "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["changes"], document["refused"]) == (1, [], None)
    [mistake] = document["mistakes"]
    assert (mistake["rule"], mistake["severity"], mistake["where"]) == ("manifest-keys", "error", f"{path}:2")
    assert "'acme'" in mistake["message"]


def test_manifest_can_come_from_standard_input(run: Run, manifest: Write) -> None:
    text = manifest(acme=2, beta=1, zeta=1).read_text()
    assert rows(run("plan", "-", stdin=text))[0][:2] == ["acme", "update"]
    assert "adapters: standard input:1: " in run("plan", "-", stdin="adapters: 1").stderr


def test_orphan_that_the_next_deployment_deletes_is_planned_and_a_stranger_is_left_out(
    run: Run, world: World, manifest: Write
) -> None:
    world.service.make("stranger", "s3://bucket/by-hand.tar.gz")
    world.service.make("victim-0", "s3://other/x.tar.gz", tags={FLEET_TAG: UID})
    world.trigger("order")
    planned = [row[:2] for row in rows(run("plan", manifest(acme=1, beta=1, zeta=1)))]
    assert planned == [["victim-0", "delete"]]


class TestLocalArtifacts:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        return SyntheticAdapter().save(tmp_path / "local")

    def text(self, path: str) -> str:
        kept = "".join(
            f"  - {{name: {name}, artifact: {artifact(name).uri}, digest: 'sha256:{1:064x}'}}\n"
            for name in ("acme", "beta", "zeta")
        )
        return f"adapters:\n{kept}  - {{name: local, artifact: {path}}}\n"

    def test_adapter_of_this_machine_has_its_identity_for_a_version(
        self, run: Run, manifest: Write, directory: Path
    ) -> None:
        [row] = rows(run("plan", manifest(self.text("./local"))))
        assert row[:4] == ["local", "create", "-", identity_of(directory)[:12]]

    @pytest.mark.parametrize("kept", [None, "s3://assets/lora-adapters/fleet-1/"], ids=["asset", "copy"])
    def test_adapter_that_is_uploaded_already_is_the_same(
        self, run: Run, world: World, manifest: Write, directory: Path, kept: str | None
    ) -> None:
        known, asset = identity_of(directory), "s3://assets/local.tar.gz"
        world.target = replace(world.target, archives={known: asset}, kept_archives=kept)
        uploaded = Artifact(uri=asset, digest=known)
        if kept is not None:
            uploaded = Artifact(uri=f"{kept}{known}.tar.gz", digest=known, source=asset)
        local = replace(adapter("local"), artifact=uploaded)
        world.apply(adapter("acme"), adapter("beta"), adapter("zeta"), local)
        assert rows(run("plan", manifest(self.text("./local")))) == []

    def test_adapter_that_a_synth_would_refuse_is_told_and_a_doubtful_one_is_compared(
        self, run: Run, world: World, manifest: Write, directory: Path
    ) -> None:
        settings = replace(world.target.settings, max_lora_rank=8, base_model="another-base")
        world.with_settings(settings)
        world.apply(adapter("acme"), adapter("beta"), adapter("zeta"))
        path = manifest(self.text("./local"))
        result = run("plan", path)
        assert (result.exit_code, rows(result)[0][:2]) == (0, ["local", "create"])
        assert "[base-model-name]" in result.stderr
        SyntheticAdapter(rank=16).save(directory)
        result = run("plan", path)
        assert result.exit_code == 1
        [line] = [line for line in result.stderr.splitlines() if line.endswith("[lora-rank]")]
        assert line.startswith(f"adapters: {path}:5: adapter 'local': {directory}/adapter_config.json: ")

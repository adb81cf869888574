import json
from dataclasses import replace

import pytest

from adapter_fleet.fleet.requests.requested_manifest import desired_of
from adapter_fleet.fleet.state.fleet_settings import FailureLimit, FleetSettings
from adapter_fleet.manifest.desired import DesiredFleet, SmokeRequest
from tests.adapter_fleet.fleet_world import World, adapter, artifact
from tests.cli.fleet_account import FakeAccount, Run, Write, rows, take_up

OBJECT = ("manifests", "fleets/tenants.yaml")
STRICT = FleetSettings(failures=FailureLimit(count=0))


@pytest.fixture(autouse=True)
def deployed(world: World, account: FakeAccount) -> None:
    """A fleet whose manifest is in S3, with no object there yet."""
    world.target = replace(world.target, manifest="s3://manifests/fleets/tenants.yaml")
    world.apply()

    def take_in(text: bytes, version: str) -> None:
        take_up(world, desired_of(text, where="the object", target=world.target), version)

    account.buckets.on_put = take_in


def test_adapter_is_onboarded_with_no_deployment(
    run: Run, world: World, account: FakeAccount, manifest: Write
) -> None:
    text = "# ours\n" + manifest(acme=1).read_text()
    result = run("apply", "-", stdin=text)
    assert (result.exit_code, result.stdout) == (0, "generation 2 is in force: 1 of 1 in service\n")
    assert account.buckets.objects[OBJECT].body == text.encode()
    assert world.serving() == {"acme": artifact("acme").uri}
    document = json.loads(run("apply", manifest(acme=1), "--json").stdout)
    assert (document["generation"], document["outcome"], document["in_service"]) == (2, "converged", 1)
    assert document["manifest"] == "s3://manifests/fleets/tenants.yaml"


def test_changes_are_announced_and_a_manifest_that_is_in_force_is_not_written_again(
    run: Run, account: FakeAccount, manifest: Write
) -> None:
    run("apply", manifest(acme=1, beta=1, gone=1))
    path = manifest(acme=2, beta=1, new=1)
    assert run("apply", path).stderr.splitlines()[0] == "fleet: 1 adapter added, 1 changed, 1 removed"
    result = run("apply", path)
    assert (result.exit_code, result.stdout) == (0, "generation 3 is in force: 3 of 3 in service\n")
    assert account.buckets.objects[OBJECT].version == 2


@pytest.mark.parametrize("is_first", [True, False])
def test_manifest_that_someone_else_wrote_meanwhile_stays(
    run: Run, account: FakeAccount, manifest: Write, is_first: bool
) -> None:
    def write_theirs(operation: str) -> None:
        if operation == "put_object":
            account.buckets.put(*OBJECT, b"theirs")

    if not is_first:
        run("apply", manifest(acme=1))
    account.buckets.before = write_theirs
    result = run("apply", manifest(acme=2))
    assert result.exit_code == 1
    assert "was written by someone else in the meantime" in result.stderr
    assert account.buckets.objects[OBJECT].body == b"theirs"


def test_adapter_without_a_smoke_request_stays_so_in_a_fleet_that_has_one(
    run: Run, account: FakeAccount, world: World, manifest: Write
) -> None:
    world.with_settings(replace(world.settings, smoke=SmokeRequest(body={"inputs": "Hello"})))
    world.apply()
    path = manifest(
        "adapters:\n"
        f"  - {{name: acme, artifact: {artifact('acme').uri}, digest: 'sha256:{1:064x}', smoke: false}}\n"
        f"  - {{name: beta, artifact: {artifact('beta').uri}, digest: 'sha256:{1:064x}'}}\n"
    )
    run("apply", path)
    result = run("apply", path)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[0] == "fleet: 0 adapters added, 0 changed, 0 removed"
    assert account.buckets.objects[OBJECT].version == 1


def test_manifest_that_fails_ends_with_1_and_names_the_adapter(
    run: Run, world: World, manifest: Write
) -> None:
    world.with_settings(STRICT)
    world.service.faults.broken[artifact("acme").uri] = "no such tensor"
    result = run("apply", manifest(acme=1), "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["outcome"]) == (1, "failed")
    assert "acme: no such tensor" in document["reason"]
    failed, still_there = result.stderr.splitlines()[-2:]
    assert failed == f"adapters: generation 2 failed: {document['reason']}"
    assert still_there.startswith("adapters: s3://manifests/fleets/tenants.yaml still has it")


class TestWhatIsKnownToFail:
    """What `adapters plan` knows is not written."""

    @pytest.fixture(autouse=True)
    def in_force(self, run: Run, manifest: Write) -> None:
        run("apply", manifest(acme=1))

    def test_every_archive_that_is_not_in_s3_is_named(
        self, run: Run, world: World, account: FakeAccount, manifest: Write
    ) -> None:
        world.service.faults.missing |= {artifact("one").uri, artifact("two").uri, artifact("acme", 2).uri}
        result = run("apply", manifest(acme=2, one=1, two=1, three=1))
        assert result.exit_code == 1
        assert "--allow-failing" in result.stderr
        assert [line.split(": ")[1:3] for line in result.stderr.splitlines()[1:-1]] == [
            ["acme", "unusable"],
            ["one", "unusable"],
            ["two", "unusable"],
        ]
        assert account.buckets.objects[OBJECT].version == 1

    def test_it_is_written_on_request_and_is_no_hindrance_afterwards(
        self, run: Run, world: World, manifest: Write
    ) -> None:
        """A component of someone else, and an adapter that fails alone."""
        world.service.make("p-new", "s3://bucket/by-hand.tar.gz")
        world.apply(adapter("acme"))
        result = run("apply", manifest(acme=1, new=1, other=1), "--allow-failing")
        assert result.exit_code == 0
        assert "adapters: new: foreign: " in result.stderr
        assert "other" in world.serving()
        assert run("apply", manifest(acme=2, new=1)).exit_code == 0
        world.service.faults.broken[artifact("acme", 3).uri] = "no such tensor"
        result = run("apply", manifest(acme=3, new=1))
        assert (result.exit_code, "1 of the changed ones failed" in result.stdout) == (1, True)

    def test_version_that_failed_before_is_refused_until_it_is_to_be_tried_again(
        self, run: Run, world: World, manifest: Write
    ) -> None:
        world.with_settings(STRICT)
        path = manifest(acme=2)
        world.service.faults.broken[artifact("acme", 2).uri] = "no such tensor"
        assert run("apply", path).exit_code == 1
        world.settle()
        world.service.faults.broken.clear()
        assert "'adapters apply --retry acme' lets it be tried again" in run("apply", path).stderr
        assert run("apply", "--retry", "acme").exit_code == 0
        world.settle()
        assert run("apply", path).exit_code == 0


def test_lost_base_is_told_whether_the_manifest_is_in_force_or_new(
    run: Run, world: World, account: FakeAccount, manifest: Write
) -> None:
    world.service.seconds = 600
    result = run("apply", manifest(acme=1), "--timeout", "60")
    assert result.stderr.splitlines()[-1] == "adapters: generation 2 is not settled after 60 seconds"
    world.settle()
    world.lose_base()
    result = run("apply", manifest(acme=1))
    assert result.exit_code == 3
    assert result.stdout == "generation 2 is in force: 0 of 1 in service, 1 pending\n"
    assert result.stderr.splitlines()[-1] == "adapters: the base component 'base' is not there"
    result = run("apply", manifest(acme=2), "--timeout", "60")
    assert result.exit_code == 3
    assert "'base' is not there, and the fleet changes nothing before it is in service" in result.stderr
    assert result.stderr.splitlines()[-2:] == [
        "adapters: generation 3 is not settled after 60 seconds",
        "adapters: the base component 'base' is not there",
    ]
    assert account.buckets.objects[OBJECT].version == 2


def test_interrupt_is_told_only_after_the_manifest_is_written(
    run: Run, account: FakeAccount, world: World, manifest: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as before:
        before.setattr(world.service, "around", interrupt)
        assert run("apply", manifest(acme=1)).exit_code == 130
    assert account.buckets.objects == {}
    monkeypatch.setattr(account, "sleep", interrupt)
    result = run("apply", manifest(acme=1))
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        130,
        "the manifest is written, and the fleet goes on with it; 'adapters status --wait' follows",
    )
    assert account.buckets.objects[OBJECT].version == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("adapters: []", "the fleet would refuse it"), ("adapters: [{name: acme}]", "[manifest-keys]")],
)
def test_manifest_that_a_guard_would_refuse_or_with_mistakes_is_not_written(
    run: Run, account: FakeAccount, manifest: Write, text: str, words: str
) -> None:
    run("apply", manifest(acme=1))
    result = run("apply", manifest(text))
    assert (result.exit_code, words in result.stderr) == (1, True)
    assert account.buckets.objects[OBJECT].version == 1


def test_adapters_of_this_machine_have_to_be_published_first_and_are_summed_up(
    run: Run, account: FakeAccount, manifest: Write
) -> None:
    entries = ", ".join(f"{{name: a{number}, artifact: ./a{number}}}" for number in range(42))
    path = manifest(f"adapters: [{entries}]")
    result = run("apply", path)
    assert (result.exit_code, account.buckets.objects) == (1, {})
    lines = result.stderr.splitlines()
    assert lines[0].startswith(f"adapters: {path}:1: adapter 'a0' is on this machine only")
    assert lines[10:] == [
        "adapters: and 32 more: 42 adapters are on this machine only",
        f"adapters: publish them first: adapters publish s3://BUCKET/PREFIX --manifest {path}",
    ]


def test_fleet_whose_manifest_is_in_its_stack_is_deployed_instead(
    run: Run, world: World, manifest: Write
) -> None:
    world.target = replace(world.target, manifest=None)
    world.apply(adapter("acme"))
    result = run("apply", manifest("adapters: [{name: acme, artifact: ./acme}]"))
    assert (result.exit_code, result.stderr) == (
        1,
        "adapters: the manifest of fleet 'fleet' belongs to its stack, and changes with a deployment\n",
    )


def test_newer_manifest_that_the_fleet_noticed_instead_is_told(
    run: Run, world: World, account: FakeAccount, manifest: Write
) -> None:
    run("apply", manifest(acme=1))
    account.buckets.on_put = lambda text, version: world.put_manifest(adapter("theirs"))
    result = run("apply", manifest(acme=2))
    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        1,
        "adapters: s3://manifests/fleets/tenants.yaml was superseded by a newer manifest, generation 3,"
        " before the fleet had noticed it",
    )


def test_timeout_of_0_looks_once(run: Run, account: FakeAccount, manifest: Write) -> None:
    began = account.now()
    result = run("apply", manifest(acme=1), "--timeout", "0")
    assert (result.exit_code, account.now() - began < 0.1) == (3, True)
    assert result.stderr.splitlines()[-1] == "adapters: generation 2 is not settled after 0 seconds"


def test_manifest_without_news_for_two_minutes_suspects_the_events(
    run: Run, account: FakeAccount, manifest: Write
) -> None:
    account.buckets.on_put = lambda text, version: None
    assert (
        "within 120 seconds; does the bucket send its events to Ev" in run("apply", manifest(acme=1)).stderr
    )


def test_news_that_come_late_are_waited_for_as_long_as_asked_and_are_no_newer_manifest(
    run: Run, account: FakeAccount, manifest: Write
) -> None:
    take_in = account.buckets.on_put
    account.buckets.on_put = lambda text, version: None
    began = account.now()
    result = run("apply", manifest(acme=1), "--timeout", "7")
    assert (result.exit_code, account.now() - began) == (3, 7)
    assert "has not noticed it within 7 seconds; --timeout ended the wait" in result.stderr

    def late(text: bytes, version: str) -> None:
        take_in(manifest(acme=1).read_bytes(), "v1")
        take_in(text, version)

    account.buckets.on_put = late
    result = run("apply", manifest(acme=2))
    assert (result.exit_code, result.stdout) == (0, "generation 3 is in force: 1 of 1 in service\n")


class TestBucketWithoutVersions:
    @pytest.fixture(autouse=True)
    def unversioned(self, account: FakeAccount) -> None:
        account.buckets.versioned = False

    def test_bytes_that_were_refused_are_not_written_again(
        self, run: Run, world: World, account: FakeAccount, manifest: Write
    ) -> None:
        path = manifest(acme=1)
        account.buckets.put(*OBJECT, path.read_bytes())
        version = account.buckets.objects[OBJECT].etag.strip('"')
        take_up(world, DesiredFleet(), version, refusal="there was a reason")
        world.settle()
        result = run("apply", path)
        assert result.exit_code == 1
        assert result.stderr.splitlines()[1] == (
            "adapters: nothing is written: s3://manifests/fleets/tenants.yaml has these very bytes already,"
            " and with them generation 2 is refused (there was a reason)"
        )
        assert "its bucket keeps no versions" in result.stderr
        assert account.buckets.objects[OBJECT].version == 1
        # Another comment is another version.
        path.write_text("# again\n" + path.read_text())
        assert run("apply", path).exit_code == 0

    @pytest.mark.parametrize("versioned", [False, True])
    def test_manifest_that_failed_can_be_applied_again_in_any_bucket(
        self, run: Run, world: World, account: FakeAccount, manifest: Write, versioned: bool
    ) -> None:
        world.with_settings(STRICT)
        account.buckets.versioned = versioned
        path = manifest(acme=1)
        world.service.faults.broken[artifact("acme").uri] = "Insufficient capacity"
        assert run("apply", path).exit_code == 1
        world.settle()
        world.service.faults.broken.clear()
        assert run("apply", path).exit_code == 0


def test_generation_that_another_supersedes_ends_with_1(
    run: Run, world: World, account: FakeAccount, manifest: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = account.sleep

    def deploy_meanwhile(seconds: float) -> None:
        if world.newest().number == 2:
            world.deploy(adapter("other"))
        sleep(seconds)

    monkeypatch.setattr(account, "sleep", deploy_meanwhile)
    result = run("apply", manifest(acme=1))
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == "adapters: generation 2 was superseded before it was in force"


class TestRetry:
    @pytest.fixture(autouse=True)
    def deployed(self, world: World) -> None:
        """acme and zeta have failed, and would not any more."""
        world.with_settings(FleetSettings(failures=FailureLimit(count=2)))
        for name in ("acme", "zeta"):
            world.service.faults.broken[artifact(name).uri] = "no such tensor"
        world.apply(adapter("acme"), adapter("beta"), adapter("zeta"))
        world.service.faults.broken.clear()

    def test_named_adapter_is_tried_again(self, run: Run, world: World, account: FakeAccount) -> None:
        now = world.clock.now()
        result = run("apply", "--retry", "acme")
        assert result.exit_code == 0
        assert result.stdout == "1 adapter will be tried again; 'adapters status --wait' follows\n"
        assert account.started.inputs == [{"trigger": "order", "requested_at": now}]
        # A retry that was asked for is waited for.
        assert [run("status", "acme", *wait).exit_code for wait in ([], ["--wait"])] == [3, 0]
        world.settle()
        assert world.serving().keys() == {"acme", "beta"}
        assert json.loads(run("apply", "--retry", "p-zeta", "--json").stdout) == {
            "fleet": "fleet",
            "retried": [{"name": "zeta", "component": "p-zeta"}],
        }

    @pytest.mark.parametrize("option", ["--timeout=3600", "--allow-failing"])
    def test_options_of_a_manifest_are_refused(
        self, run: Run, world: World, account: FakeAccount, option: str
    ) -> None:
        result = run("apply", "--retry", "acme", option)
        assert (result.exit_code, result.stdout) == (2, "")
        assert (world.registry.orders.all(), account.started.inputs) == ([], [])

    def test_change_by_hand_stays_where_another_is_named_and_is_no_change_to_wait_for(
        self, run: Run, world: World
    ) -> None:
        world.service.edit("p-beta", "s3://bucket/by-hand")
        run("apply", "--retry", "acme")
        result = run("status", "--wait")
        told = next(row for row in rows(result) if row[0] == "beta")
        assert (result.exit_code, told[1]) == (1, "changed")
        assert "serves s3://bucket/by-hand instead of" in told[-1]
        assert run("apply", "--retry").stdout.startswith("2 adapters will be tried again")
        assert run("status", "beta", "--wait").exit_code == 0
        assert world.serving()["beta"] == artifact("beta").uri

    def test_all_that_failed_are_tried_again(self, run: Run, world: World, account: FakeAccount) -> None:
        assert run("apply", "--retry").stdout.startswith("2 adapters will be tried again")
        world.settle()
        assert world.serving().keys() == {"acme", "beta", "zeta"}
        result = run("apply", "--retry")
        assert (result.exit_code, result.stdout) == (
            0,
            "no adapter has failed; with a name, an adapter in service is asked again\n",
        )
        assert len(account.started.inputs) == 1


class TestRetryOfWhatIsPending:
    @pytest.fixture(autouse=True)
    def deployed(self, world: World) -> None:
        """The deployment's execution has died with two adapters on their way."""
        world.deploy(adapter("acme"), adapter("beta"))
        world.run_newest(deadline=1.0)
        world.executions[-1].done = True
        world.clock.time += 7200

    def test_status_names_the_way_out(self, run: Run) -> None:
        assert run("status").stderr == (
            "adapters: no pass runs, and the next one was due 1h ago; 'adapters apply --retry' of a pending"
            " adapter starts one, and the executions of machine show what ended\n"
        )

    def test_fleet_goes_on_with_all_that_is_pending(self, run: Run, world: World) -> None:
        assert run("apply", "--retry", "acme").exit_code == 0
        result = run("status", "--wait")
        assert (result.exit_code, set(world.serving())) == (0, {"acme", "beta"})

    def test_all_that_failed_are_none_of_them(self, run: Run, account: FakeAccount) -> None:
        result = run("apply", "--retry")
        assert (result.exit_code, result.stdout) == (
            0,
            "no adapter has failed; 2 pending; with a name, an adapter in service is asked again\n",
        )
        assert account.started.inputs == []

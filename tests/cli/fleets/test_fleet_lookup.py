from dataclasses import replace
from pathlib import Path

import pytest

from adapter_fleet.fleet.state.fleet_settings import FleetSettings, ReleaseSettings
from adapter_fleet.fleet.state.rows.row import UnreadableError
from adapter_rules.archives.packing import identity_of
from adapters_cli.evaluation.result import RequirementOutcome, to_json
from adapters_cli.fleets.fleet_lookup import fleet_of_manifest
from tests.adapter_fleet.fleet_world import World, adapter, released
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.cli.evaluation_results import result_of
from tests.cli.fleet_account import FakeAccount, Run


@pytest.fixture(autouse=True)
def deployed(world: World) -> None:
    world.apply(adapter("acme"))


def test_option_says_which_fleet_before_the_environment(
    run: Run, account: FakeAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("status", fleet=False)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Give --stack, or set ADAPTERS_STACK" in result.stderr
    monkeypatch.setenv("ADAPTERS_STACK", "Tenants")
    assert run("status", fleet=False).exit_code == 0
    assert run("status", "--fleet", "fleet", fleet=False).exit_code == 0
    monkeypatch.setenv("ADAPTERS_STACK", "Another")
    # Also in a nested stack.
    account.stacks.stacks["Parent"] = [("AWS::CloudFormation::Stack", "Tenants")]
    for stack in ("Tenants", "Parent"):
        result = run("status", "--stack", stack, fleet=False)
        assert (result.exit_code, result.stdout.split("\t")[:2]) == (0, ["acme", "in service"])


@pytest.mark.parametrize("name", ["Llm/Others", "Others"])
def test_name_chooses_one_of_several_fleets(run: Run, account: FakeAccount, name: str) -> None:
    account.add_fleet("Tenants", "second", "Llm/Others")
    result = run("status")
    several = "adapters: stack 'Tenants' has several fleets, and --fleet says which: Llm/Others, fleet\n"
    assert (result.exit_code, result.stderr.startswith(several)) == (2, True)
    message = "adapters: fleet 'Llm/Others' has received no manifest yet\n"
    for command in (["status"], ["rollback", "acme"]):
        result = run(*command, "--stack", "Tenants", "--fleet", name, fleet=False)
        assert (result.exit_code, result.stderr) == (4, message)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("", "stack 'Other' has no fleet; 'adapters list' shows the components of every endpoint"),
        ("AccessDeniedException", "refused (AccessDeniedException)"),
        ("ExpiredTokenException", "refused (ExpiredTokenException)"),
    ],
)
def test_table_that_may_not_be_read_is_told_where_no_fleet_is_found(
    run: Run, account: FakeAccount, code: str, words: str
) -> None:
    secrets = ("AWS::DynamoDB::Table", "secrets")
    account.stacks.stacks["Other"] = [secrets]
    if code:
        account.refusals["secrets"] = code
    result = run("status", "--stack", "Other", fleet=False)
    assert (result.exit_code, result.stderr) == (4, f"adapters: {words}\n")
    account.stacks.stacks["Tenants"].insert(0, secrets)
    assert run("status").exit_code == (4 if code == "ExpiredTokenException" else 0)


def test_fleet_whose_table_may_not_be_read_is_told_beside_the_others(run: Run, account: FakeAccount) -> None:
    account.stacks.stacks["Tenants"].append(("AWS::DynamoDB::Table", "others"))
    account.refusals["others"] = "AccessDeniedException"
    result = run("status", "--stack", "Tenants", "--fleet", "Others", fleet=False)
    assert (result.exit_code, result.stderr) == (
        4,
        "adapters: stack 'Tenants' has no fleet named 'Others': fleet; a table of the stack may not be read:"
        " refused (AccessDeniedException)\n",
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError("the table throttles writes, after 8 attempts"), "the table throttles writes, after 8"),
        (UnreadableError("row 'fleet' cannot be read: 'x'"), "row 'fleet' cannot be read: 'x'"),
    ],
)
def test_trouble_with_the_registry_is_one_line(
    run: Run, world: World, monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr(world.registry.records, "all", fail)
    result = run("status")
    assert (result.exit_code, result.stdout) == (4, "")
    assert result.stderr.startswith(f"adapters: {words}")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--stack", "Tenatns"], "there is no stack 'Tenatns' in eu-central-1; did you mean 'Tenants'?"),
        (
            ["--stack", "Tenants", "--fleet", "flet"],
            "stack 'Tenants' has no fleet named 'flet': fleet; did you mean 'fleet'?",
        ),
    ],
)
def test_what_is_not_there_is_told_with_what_may_be_meant(run: Run, options: list[str], message: str) -> None:
    result = run("status", *options, fleet=False)
    assert (result.exit_code, result.stderr) == (4, f"adapters: {message}\n")


def test_the_end_of_several_names_chooses_none(run: Run, account: FakeAccount) -> None:
    account.add_fleet("Tenants", "second", "Large/Tenants")
    account.add_fleet("Tenants", "third", "Small/Tenants")
    result = run("status", "--stack", "Tenants", "--fleet", "Tenants", fleet=False)
    which = "stack 'Tenants' has several fleets, and --fleet says which: Large/Tenants, Small/Tenants"
    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, f"adapters: {which}")


URI = "s3://manifests/tenants.yaml"


@pytest.fixture
def of_stack(account: FakeAccount, world: World, monkeypatch: pytest.MonkeyPatch) -> FakeAccount:
    """A fleet whose limit is 8 and whose manifest is in S3, in the stack of the environment."""
    world.with_settings(FleetSettings(max_lora_rank=8))
    world.target = replace(world.target, manifest=URI)
    world.apply(adapter("acme"))
    monkeypatch.setenv("ADAPTERS_STACK", "Tenants")
    return account


@pytest.mark.parametrize(
    ("manifest", "found"), [(URI, True), ("s3://manifests/other.yaml", False), ("adapters.yaml", False)]
)
def test_fleet_that_reads_a_manifest_is_found(of_stack: FakeAccount, manifest: str, found: bool) -> None:
    assert (fleet_of_manifest(of_stack, manifest) is not None) is found


@pytest.mark.parametrize("stack", ["Nobody", "Theirs"])
def test_fleet_that_cannot_be_found_or_read_is_no_error(
    of_stack: FakeAccount, monkeypatch: pytest.MonkeyPatch, stack: str
) -> None:
    monkeypatch.setenv("ADAPTERS_STACK", stack)
    of_stack.stacks.stacks["Theirs"] = [("AWS::DynamoDB::Table", "theirs")]
    of_stack.refusals["theirs"] = "AccessDeniedException"
    assert fleet_of_manifest(of_stack, URI) is None


def test_publish_refuses_a_rank_above_the_limit_of_the_fleet(
    of_stack: FakeAccount, run: Run, tmp_path: Path
) -> None:
    directory = SyntheticAdapter(rank=16).save(tmp_path / "high")
    result = run("publish", directory, "s3://my-adapters/prod", "--manifest", URI, fleet=False)
    assert result.exit_code == 1
    assert "should be at most 8 ('max_lora_rank'), got 16" in result.stderr
    assert ("manifests", "tenants.yaml") not in of_stack.buckets.objects


@pytest.mark.parametrize(("than", "code"), [("2", 0), ("3", 1)])
def test_publish_gates_a_version_against_the_one_that_answers_most_callers(
    of_stack: FakeAccount, world: World, run: Run, tmp_path: Path, than: str, code: int
) -> None:
    world.with_settings(replace(world.settings, releases=ReleaseSettings()))
    world.apply(released("acme", 2))
    world.apply(replace(released("acme", 3), percent=5))
    entry = f"{{name: acme, artifact: '{released('acme', 3).artifact.uri}', digest: 'sha256:{'3' * 64}'}}"
    of_stack.buckets.put("manifests", "tenants.yaml", f"adapters: [{entry}]".encode())
    directory = SyntheticAdapter().save(tmp_path / "acme")
    compared = RequirementOutcome(requirement="a", subject="acme", met=True, reason="b", than=than * 64)
    result = result_of([0.5], identity=identity_of(directory), requirements=[compared])
    (tmp_path / "result.json").write_text(to_json(result))
    options = ("--manifest", URI, "--evaluation", tmp_path / "result.json", "--dry-run")
    done = run("publish", directory, "s3://my-adapters/prod", *options, fleet=False)
    assert (done.exit_code, "and follows sha256:222222222222" in done.stderr) == (code, bool(code))

"""`adapters preview`: one adapter for a moment on a real endpoint."""

import json
import re

import pytest
from typer.testing import Result

from adapters_cli.artifacts.temporary_component import TAG
from adapters_cli.artifacts.unpublished_adapter import unpublished_adapter
from adapters_cli.output.errors import CommandError
from tests.adapter_fleet.fake_service import FakeService
from tests.cli.fake_runtime import FakeRuntime, Reply
from tests.cli.publishing import BUCKET, DESTINATION, FakeAccount, World


def acme(depot: World, *options: str) -> Result:
    return depot.run("preview", depot.adapters / "acme", "--on", "base", "--to", DESTINATION, *options)


def test_adapter_is_uploaded_brought_up_and_taken_away(depot: World, service: FakeService) -> None:
    result = acme(depot, "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (0, {"prompts": []})
    assert re.search("preview-[0-9a-f]{8}-acme is in service after", result.stderr)
    assert list(depot.s3.bodies(BUCKET)) == [depot.key("acme")]
    written = [write.partition(" ")[0] for write in service.written]
    assert written == ["CreateInferenceComponent", "DeleteInferenceComponent"]
    # An archive in S3 is used in place.
    writes = list(depot.s3.writes)
    result = depot.run("preview", depot.uri("acme"), "--on", "base")
    assert result.exit_code == 0, result.output
    assert re.search("preview-[0-9a-f]{8}-acme is in service", result.stderr)
    assert depot.s3.writes == writes


def test_prompts_are_asked_beside_the_base_model(
    depot: World, service: FakeService, runtime: FakeRuntime
) -> None:
    runtime.reply = lambda call: Reply.text(f"{call.component[:8]} to {call.body['prompt']}")
    result = acme(depot, "-p", "Hello", "-p", "Bye")
    assert result.exit_code == 0, result.output
    answers = "[base]\nbase to {0}\n\n[acme]\npreview- to {0}\n\n"
    assert result.stdout == answers.format("Hello") + answers.format("Bye")
    [document] = json.loads(acme(depot, "-p", "Hello", "--json").stdout)["prompts"]
    assert document["prompt"] == "Hello"
    assert [answer["text"] for answer in document["answers"]] == ["base to Hello", "preview- to Hello"]
    # An adapter that does not answer is a failure.
    runtime.reply = lambda call: (
        Reply.text("x") if call.component == "base" else Reply.error(400, "ModelError", Message="no")
    )
    assert acme(depot, "-p", "Hello").exit_code == 1
    service.clock.sleep(60)  # by when all writes have ended
    assert list(service.serving()) == []


def test_adapter_that_breaks_a_rule_is_not_brought_up(depot: World, service: FakeService) -> None:
    (depot.adapters / "acme" / "adapter_config.json").write_text("{}")
    result = acme(depot)
    assert (result.exit_code, depot.s3.writes) == (1, [])
    assert "adapter_config.json" in result.stderr
    depot.s3.put(BUCKET, "prod/bad.tar.gz", b"no archive")
    result = depot.run("preview", f"s3://{BUCKET}/prod/bad.tar.gz", "--on", "base")
    assert (result.exit_code, service.written) == (1, [])


def test_archive_of_another_base_model_is_refused_unless_that_base_is_given(depot: World) -> None:
    acme(depot)
    account = FakeAccount(depot.s3, depot.service)

    def checked(given: str | None) -> str:
        name, _ = unpublished_adapter(
            account,
            depot.uri("acme"),
            destination=None,
            base_model=given,
            served_model="org/other",
            max_lora_rank=None,
        )
        return name

    with pytest.raises(CommandError, match="trained for 'acme/tiny-base', and is to run on 'org/other'"):
        checked(None)
    assert checked("org/other") == "acme"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["acme"], "missing option '--on'"),
        (["--on", "base"], "missing argument 'DIR|ARCHIVE|S3://…'"),
        (["acme", "--on", "base"], "where to upload the adapter? Give --to"),
        (["s3://my-adapters/prod/", "--on", "base"], "an adapter in S3 should be"),
        (["acme", "--on", "base", "--base-model", "."], "'--base-model' should be the name of a model"),
    ],
)
def test_options_that_do_not_fit_are_wrong_usage(depot: World, arguments: list[str], message: str) -> None:
    result = depot.run("preview", *arguments)
    assert (result.exit_code, message in result.stderr) == (2, True), result.output


def test_next_preview_names_what_a_kill_left(depot: World, service: FakeService) -> None:
    left = "preview-00000000-acme"
    service.make(left, "s3://my-adapters/x.tar.gz", tags={TAG: "2026-03-01T09:30:00Z"})
    service.clock.sleep(2 * 3600)
    said = acme(depot).stderr
    assert f"{left} is left from 2 h ago; 'adapters prune {left} --endpoint endpoint' deletes" in said

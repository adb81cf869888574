"""Wrong usage has one form: what was wrong, and which help to read."""

from __future__ import annotations

import shlex

import pytest
from typer.testing import CliRunner

from adapters_cli.main import app


@pytest.mark.parametrize(
    ("command", "error", "help_of"),
    [
        ("statsu", "there is no command 'statsu'; did you mean 'status'?", "adapters"),
        ("xyzzy", "there is no command 'xyzzy'", "adapters"),
        ("--regon x list", "there is no option '--regon'; did you mean '--region'?", "adapters"),
        ("status --stak x", "there is no option '--stak'; did you mean '--stack'?", "adapters status"),
        ("status -x", "there is no option '-x'", "adapters status"),
        ("status --stack", "option '--stack' requires an argument", "adapters status"),
        ("status --wait=3", "option '--wait' does not take a value", "adapters status"),
        ("status", "which fleet? Give --stack, or set ADAPTERS_STACK", None),
        ("describe", "give the adapter's name, or --component", "adapters describe"),
        ("rollback", "argument 'NAME' is missing", "adapters rollback"),
        ("import", "which endpoint? Give --endpoint", "adapters import"),
        ("evaluate acme", "option '--dataset' is missing", "adapters evaluate"),
        ("history a b", "there should be no more argument, got 'b'", "adapters history"),
        ("history a b c", "there should be no more arguments, got 'b c'", "adapters history"),
        ("history --limit 0", "'--limit' should be greater than or equal to 1, got '0'", "adapters history"),
        ("history --limit x", "'--limit' should be a valid integer, got 'x'", "adapters history"),
        (
            "status --state faled",
            "'--state' should be one of failed, pending, in-service, orphan, got 'faled';"
            " did you mean 'failed'?",
            "adapters status",
        ),
        (
            "status --state x",
            "'--state' should be one of failed, pending, in-service, orphan, got 'x'",
            "adapters status",
        ),
        ("apply", "give one manifest, or --retry", "adapters apply"),
        ("usage --since x", "'--since' should be a time such as 12h or 7d, got 'x'", "adapters usage"),
    ],
)
def test_wrong_usage_is_one_line_and_the_help_to_read(
    command: str, error: str, help_of: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ADAPTERS_STACK", raising=False)
    result = CliRunner().invoke(app, shlex.split(command), env={"COLUMNS": "80"})
    help_of = help_of or f"adapters {command.split(maxsplit=1)[0]}"
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"adapters: {error}\nTry '{help_of} --help'\n"


def test_command_alone_shows_its_help() -> None:
    alone, asked = (CliRunner().invoke(app, words).output.rstrip() for words in ([], ["--help"]))
    assert alone == asked

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
        ("--regon x list", "no such option: --regon (Possible options: --region, --version)", "adapters"),
        (
            "status --stak x",
            "no such option: --stak (Possible options: --stack, --state, --tag)",
            "adapters status",
        ),
        ("status --stack", "option '--stack' requires an argument", "adapters status"),
        ("status", "which fleet? Give --stack, or set ADAPTERS_STACK", None),
        ("describe", "give the adapter's name, or --component", "adapters describe"),
        ("rollback", "missing argument 'NAME'", "adapters rollback"),
        ("import", "which endpoint? Give --endpoint", "adapters import"),
        ("evaluate acme", "missing option '--dataset'", "adapters evaluate"),
        ("history a b", "got unexpected extra argument(s) (b)", "adapters history"),
        (
            "history --limit 0",
            "invalid value for '--limit': Input should be greater than or equal to 1",
            "adapters history",
        ),
        (
            "status --state faled",
            "invalid value for '--state': Value error, 'faled' is not one of 'failed', 'pending',"
            " 'in-service', 'orphan'",
            "adapters status",
        ),
        ("apply", "give one manifest, or --retry", "adapters apply"),
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

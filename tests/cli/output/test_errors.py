"""What a command does with an exception and with wrong usage: a message and an exit code."""

import errno
import os
import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from adapters_cli.main import app
from adapters_cli.output import exit_codes
from adapters_cli.output.errors import reported_errors


def raised(error: Exception) -> BaseException:
    """Return what is raised in place of an error of a command."""
    with pytest.raises(BaseException) as found, reported_errors():
        raise error
    return found.value


@pytest.mark.parametrize("kind", [KeyError, ValueError, OSError, TypeError])
def test_bug_keeps_its_traceback(kind: type[Exception]) -> None:
    error = kind("no file is named")
    assert raised(error) is error


@pytest.mark.parametrize("file", [None, "evaluation/result.json"])
def test_full_disk_is_a_failure_and_no_wrong_usage(
    file: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    end = raised(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file))
    assert isinstance(end, typer.Exit)
    assert end.exit_code == 1
    assert os.strerror(errno.ENOSPC) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("path", "hint"),
    [("none", "none: No such file"), ("s3://b/a", "; a path of this machine"), ("~/none", "not expand ~")],
)
def test_file_that_cannot_be_read_is_wrong_usage(path: str, hint: str) -> None:
    with pytest.raises(typer.BadParameter, match=hint), reported_errors():
        Path(path).read_bytes()


@pytest.mark.parametrize(
    ("command", "error", "help_of"),
    [
        ("statsu", "there is no command 'statsu'; did you mean 'status'?", "adapters"),
        ("xyzzy", "there is no command 'xyzzy'", "adapters"),
        ("--regon x list", "no such option: --regon (Possible options: --region, --version)", "adapters"),
        (
            "--stack X status",
            "no such option: --stack; an option of a command comes behind it: adapters COMMAND --stack",
            "adapters",
        ),
        (
            "rollback acme v1",
            "got unexpected extra argument(s) (v1); adapters rollback takes [OPTIONS] NAME, with options such"
            " as --to VERSION",
            None,
        ),
        ("evaluate --jobs x", "invalid value for '--jobs': it should be a whole number, got 'x'", None),
        ("publish s3://bucket/p out", "the destination comes last: adapters publish out s3://bucket/p", None),
        ("status --stak x", "no such option: --stak (Possible options: --stack, --state, --tag)", None),
        ("status", "which fleet? Give --stack, or set ADAPTERS_STACK", None),
        ("describe", "give the adapter's name, or --component", None),
        ("rollback", "missing argument 'NAME'", None),
        ("import", "which endpoint? Give --endpoint", None),
        ("evaluate acme", "missing option '--dataset'", None),
        (
            "status --state faled",
            "invalid value for '--state': Value error, 'faled' is not one of 'failed', 'pending',"
            " 'in-service', 'orphan'",
            None,
        ),
        ("apply", "give one manifest, or --retry", None),
        ("check", "missing argument 'PATH'", None),
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


REFERENCE = Path(__file__).parents[3] / "docs/reference/commands.md"


def test_every_code_has_a_meaning_and_the_reference_has_each() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert codes == exit_codes.MEANINGS.keys()
    _, _, table = REFERENCE.read_text().partition("| exit code |")
    first_cells = re.findall(r"^\| (\d+) \|", table.partition("\n\n")[0], flags=re.MULTILINE)
    assert {int(code) for code in first_cells} == exit_codes.MEANINGS.keys()

"""What a command does with an exception: a message and an exit code, or the traceback of a bug."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import typer

from adapters_cli.output.errors import reported_errors


def raised(error: Exception) -> BaseException:
    """Return what is raised in place of an error of a command."""
    with pytest.raises(BaseException) as found, reported_errors():
        raise error
    return found.value


@pytest.mark.parametrize(
    "error",
    [
        KeyError("outcome"),
        LookupError("no such item"),
        ValueError("not enough values to unpack"),
        OSError("no file is named"),
        TypeError("NoneType"),
    ],
    ids=repr,
)
def test_bug_keeps_its_traceback(error: Exception) -> None:
    assert raised(error) is error


@pytest.mark.parametrize("file", [None, "evaluation/result.json"])
def test_full_disk_is_a_failure_and_no_wrong_usage(
    file: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    end = raised(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file))
    assert isinstance(end, typer.Exit)
    assert end.exit_code == 1
    assert os.strerror(errno.ENOSPC) in capsys.readouterr().err


def test_file_that_cannot_be_read_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="No such file"), reported_errors():
        (tmp_path / "none").read_bytes()

"""Text for people: messages on standard error, durations, and safe text from elsewhere."""

import codecs
import re
import textwrap
import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import typer

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_LENGTH = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNSAFE_CATEGORIES = ("Cc", "Cf", "Cs")
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""They belong to words and emoji, although their category is Cf."""

_MAX_LINES = 10


def printable(text: str) -> str:
    """Replace the characters that control a terminal, in text of a model, a container or a service.

    These are control characters except line ends and tabs, characters that change the direction of the
    text, and surrogates, which no encoding has.
    """
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(character) in _UNSAFE_CATEGORIES and character not in f"\n\t{_JOINERS}"
        else character
        for character in text
    )


def one_line(text: str) -> str:
    """Return a text on one line, without characters that control a terminal or end a field."""
    return printable(" ".join(text.split()))


def folded(text: str, room: int) -> list[str]:
    """Return a text as lines of at most `room` characters; a longer word is broken."""
    return textwrap.wrap(text, room, break_on_hyphens=False) or [""]


def few(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def capped(lines: Sequence[str], what: str) -> list[str]:
    """Return the first ten lines. If there are more, the last one says how many of `what` there are."""
    if len(lines) <= _MAX_LINES:
        return list(lines)
    return [*lines[:_MAX_LINES], f"and {len(lines) - _MAX_LINES} more: {len(lines)} {what}"]


def hint_for_path(path: object) -> str:
    """Return a hint to put behind a path that leads to nothing; '' for most."""
    if str(path).startswith("s3:/"):  # pathlib makes one slash of two
        return "; a path of this machine belongs here: `aws s3 cp` copies from and to S3"
    return "; the shell does not expand ~ in quotes" if str(path).startswith("~/") else ""


def not_utf8(error: UnicodeDecodeError, file: str) -> str:
    """Say what a text is that is no UTF-8, and how it becomes UTF-8."""
    if error.object[:2] == b"PK":
        return "a zip, as Excel's and Word's files are; save it as text, or a sheet as 'CSV UTF-8'"
    wide = error.object[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    byte = f"byte {error.object[error.start]:#04x} at position {error.start}"
    found = "UTF-16" if wide else f"{byte}; it may be Windows-1252, as Excel and old editors write"
    encoding = "UTF-16" if wide else "WINDOWS-1252"
    return f"{found}; `iconv -f {encoding} -t UTF-8 {file}` prints it as UTF-8"


def print_error(text: str) -> None:
    """Print an error on standard error, each line after the command's name."""
    for line in text.splitlines() or [""]:
        typer.echo(f"adapters: {printable(line)}", err=True)


def print_note(text: str) -> None:
    """Print progress or a hint on standard error."""
    typer.echo(printable(text), err=True)


def duration(seconds: float) -> str:
    """Return a duration in its largest unit: 45s, 12m, 3h, 9d."""
    unit = next((unit for unit, length in _UNITS.items() if seconds >= length), "s")
    return f"{max(0.0, seconds) // _UNITS[unit]:.0f}{unit}"


def look_back_seconds(text: str, *, units: str, such_as: str) -> float:
    """Return the seconds of `--since`, a length of time such as 7d, in one of these units.

    Raises ValueError.
    """
    found = _LENGTH.fullmatch(text)
    if found is None or found[2] not in units:
        raise ValueError(f"'--since' should be a time such as {such_as}, got {text!r}")
    return float(found[1]) * _UNITS[found[2]]


def latency(seconds: float | None) -> str:
    """Return the time of an answer: 45ms, 2.1s; - for none."""
    if seconds is None:
        return "-"
    return f"{seconds * 1000:,.0f}ms" if seconds < 1 else f"{seconds:,.1f}s"


def whole_second(at: float) -> str:
    """Return seconds since 1970 as ISO 8601 in UTC, without a fraction."""
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def timestamp(at: float | None) -> str | None:
    """Return seconds since 1970 as ISO 8601 in UTC with milliseconds; None for None."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

"""Words for people: durations, and text that comes from elsewhere."""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime

import typer

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))
_STEERING = ("Cc", "Cf", "Cs")
_JOINERS = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
"""Of category Cf as what reverses a text is, but parts of words and of emoji."""


def printable(text: str) -> str:
    """Replace what steers a terminal: what a model, a container or a service says must not.

    That is control characters but line ends and tabs, those that change the direction of the text, and
    surrogates, which no encoding has.
    """
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(character) in _STEERING and character not in f"\n\t{_JOINERS}"
        else character
        for character in text
    )


def one_line(text: str) -> str:
    """Return a text on one line, with nothing in it that steers a terminal or ends a field."""
    return printable(" ".join(text.split()))


def few(names: Sequence[str], most: int = 3) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def complain(text: str) -> None:
    """Say on standard error what is wrong, each line with the command's name before it."""
    for line in text.splitlines() or [""]:
        typer.echo(f"adapters: {printable(line)}", err=True)


def tell(text: str) -> None:
    """Say on standard error how it goes."""
    typer.echo(printable(text), err=True)


def duration(seconds: float) -> str:
    """Return a duration in its largest unit: 45s, 12m, 3h, 9d."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def moment(at: float | None) -> str | None:
    """Return a time in seconds since 1970 as ISO 8601 has it, in UTC and with milliseconds; None for none."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 adapter, 2 adapters."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

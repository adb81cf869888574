"""Words for people: durations, and text that comes from elsewhere."""

import unicodedata

_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


def printable(text: str) -> str:
    """Replace control characters: what a model or a container says must not steer the terminal."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(character) == "Cc" and character not in "\n\t"
        else character
        for character in text
    )


def one_line(text: str) -> str:
    """Return a text on one line, with nothing in it that steers a terminal or ends a field."""
    return printable(" ".join(text.split()))


def duration(seconds: float) -> str:
    """Return a duration in its largest unit: 45s, 12m, 3h, 9d."""
    for unit, length in _UNITS:
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: 1 adapter, 2 adapters."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

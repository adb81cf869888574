"""The regular expressions of smoke requests: which ones are refused, before Python compiles them."""

import re

from adapter_fleet.common.bounded_text import short_repr

MAX_EXPRESSION_LENGTH = 1000
MAX_CASELESS_WIDTH = 50_000
"""Characters in the ranges of an expression that ignores case.

Python's compiler looks at each of them. A range of tens of thousands takes milliseconds, and an expression
has room for a hundred ranges.
"""

_CASELESS = re.compile(r"\(\?[a-zA-Z-]*i")
_CHARACTER = re.compile(
    r"\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\N\{[^}]*\}|\\[0-7]{1,3}|\\.|.", re.DOTALL
)
_OCTAL = re.compile(r"\\[0-7]{1,3}")


def problem_of_expression(text: str) -> str | None:
    """Return what is wrong with a regular expression; None for a good one."""
    if len(text) > MAX_EXPRESSION_LENGTH:
        return f"should have at most {MAX_EXPRESSION_LENGTH} characters, got {len(text)}"
    if _CASELESS.search(text) and (width := _width_of_ranges(text)) > MAX_CASELESS_WIDTH:
        return f"should have ranges of at most {MAX_CASELESS_WIDTH} characters beside (?i), got {width}"
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        return f"should be a regular expression ({error}), got {short_repr(text)}"
    return None


def _width_of_ranges(text: str) -> int:
    """Return how many characters the ranges of an expression have; a `-` outside of brackets counts too."""
    characters = _CHARACTER.findall(text)
    return sum(
        max(0, _code_point(characters[place + 1], 0x10FFFF) - _code_point(characters[place - 1], 0))
        for place, character in enumerate(characters[1:-1], 1)
        if character == "-"
    )


def _code_point(character: str, unknown: int) -> int:
    """Return the code point of a character as an expression writes it; `unknown` for `\\N{…}`."""
    if character.startswith(("\\x", "\\u", "\\U")) and len(character) > 2:
        return int(character[2:], 16)
    if character.startswith("\\N{"):
        return unknown
    if _OCTAL.fullmatch(character):
        return int(character[1:], 8)
    return ord(character[-1])

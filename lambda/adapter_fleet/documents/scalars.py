"""The scalars of YAML 1.2 and JSON: which ones are plain data, and what they mean."""

import math
import re
from typing import Any, NoReturn

from adapter_fleet.common.bounded_text import short_repr


def plain_scalar(text: str) -> Any:
    """Return the value of a YAML 1.2 scalar without quotes: None, a bool, a number or a text.

    Raises ValueError for a number that not every reader takes for the same one.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[:1] not in _NUMBER_STARTS:
        return text
    if _INTEGER.fullmatch(text):
        return integer(text)
    if _OCTAL.fullmatch(text):
        return _bounded(int(text[2:67], 8), text)
    if _HEXADECIMAL.fullmatch(text):
        return _bounded(int(text[2:67], 16), text)
    if _FLOAT.fullmatch(text):
        return finite_float(text)
    if _NOT_FINITE.fullmatch(text):
        refuse_not_finite(text)
    return text


_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# "Core Schema", YAML 1.2.2, 10.3.2
_NUMBER_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OCTAL = re.compile(r"0o[0-7]+")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def integer(text: str) -> int:
    """Return an integer of 64 bits; ValueError for any other."""
    # int() of thousands of digits is slow, and refused by Python.
    return _bounded(int(text) if len(text) < 64 else 2**64, text)


def _bounded(number: int, text: str) -> int:
    # Readers disagree on larger numbers.
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"a whole number should fit into 64 bits, got {text:.40}")
    return number


def finite_float(text: str) -> float:
    """Return a finite number; ValueError for one that is too large."""
    number = float(text)
    if math.isinf(number):
        refuse_not_finite(text)
    return number


def refuse_not_finite(text: str) -> NoReturn:
    """Raise ValueError for NaN or an infinity."""
    raise ValueError(f"a number should be finite, got {text:.40}")


def check_text(text: str) -> None:
    """Raise ValueError for a text with half of a surrogate pair, which no encoding can hold."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(
                f"a text should have no half of a surrogate pair, got {short_repr(text)}"
            ) from None

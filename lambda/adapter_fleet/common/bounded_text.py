"""Bounds texts of unknown origin before they are stored, sent, logged or shown.

Reasons come from services, containers and libraries, and may have any length and any content. The records of
a fleet bound their own texts when they are made. So no record outgrows an item of DynamoDB (400 KB), an event
of EventBridge (256 KB) or a response to CloudFormation (4,096 bytes).
"""

import json
import re
import reprlib
from collections.abc import Iterable

MAX_TEXT_BYTES = 4000
"""The most bytes of one text as JSON with ASCII characters only, the form that is stored and logged."""

_ELLIPSIS = " …"
_QUERY = re.compile(r"(?<!\()\?[\w.~%+-]+=\S*")
"""Of a URL, or of the end of one. A regular expression has `(?P=…)`."""


def encoded_bytes(text: str) -> int:
    """Return the number of bytes of a text as JSON with ASCII characters only, without the quotes."""
    return len(json.dumps(text)) - 2


def bounded(text: str, most: int = MAX_TEXT_BYTES) -> str:
    """Return a text cut to `most` encoded bytes.

    A character outside ASCII takes six or twelve bytes of JSON. A lone surrogate, which no encoding can hold,
    becomes a question mark.
    """
    if text.isascii() and 6 * len(text) <= most:
        return text
    # A character takes at least one byte, so nothing beyond `most` characters can stay.
    valid = text[:most].encode(errors="replace").decode()
    if len(text) <= most and encoded_bytes(valid) <= most:
        return valid
    room = most - encoded_bytes(_ELLIPSIS)
    shortest, longest = 0, len(valid)
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if encoded_bytes(valid[:middle]) <= room:
            shortest = middle
        else:
            longest = middle - 1
    return valid[:shortest] + _ELLIPSIS


def text_of(error: BaseException) -> str:
    """Return the type of an exception and its message, bounded."""
    return bounded(f"{type(error).__name__}: {error}")


def bound_texts(record: object, fields: Iterable[str]) -> None:
    """Bound the named texts of a frozen record, in its `__post_init__`. None stays None."""
    for field in fields:
        text = getattr(record, field)
        if text is not None and (cut := bounded(text)) != text:
            object.__setattr__(record, field, cut)


def without_query(text: str) -> str:
    """Return a text without the queries of URLs: that of a presigned URL lets anyone read the object."""
    return _QUERY.sub("?…", text)


def short_repr(value: object) -> str:
    """Return a value as messages show it: its repr, cut if it is long or deep, and without queries."""
    return f"{_SHORT.repr(value):.200}"


class _ShortRepr(reprlib.Repr):
    def repr_str(self, x: str, level: int) -> str:
        # Before it is cut: a long text loses its middle, with the '?'.
        return super().repr_str(without_query(x), level)


_SHORT = _ShortRepr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 200
_SHORT.maxlevel = 4

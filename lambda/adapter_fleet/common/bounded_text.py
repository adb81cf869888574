"""How long a text of unknown origin may be, wherever it is stored, sent or logged.

Reasons come from services, containers and libraries, and may have any length and any content. The records of
a fleet bound their own texts when they are made, so that nothing that holds a record can outgrow an item of
DynamoDB (400 KB), an event of EventBridge (256 KB) or a response to CloudFormation (4,096 bytes).
"""

import json
from collections.abc import Iterable

LONGEST_TEXT_BYTES = 4000
"""Of one text, as JSON with ASCII characters only, which is what is stored and logged."""

_ELLIPSIS = " …"


def encoded_bytes(text: str) -> int:
    """Return the bytes that a text takes as JSON with ASCII characters only, without the quotes."""
    return len(json.dumps(text)) - 2


def bounded(text: str, most: int = LONGEST_TEXT_BYTES) -> str:
    """Return a text cut to `most` encoded bytes; what no encoding can hold is replaced.

    A character outside ASCII takes six or twelve bytes of JSON. A lone surrogate, which is no character,
    becomes a question mark.
    """
    if text.isascii() and 6 * len(text) <= most:
        return text
    # A character takes at least one byte, so the rest cannot stay, however long the text is.
    sound = text[:most].encode(errors="replace").decode()
    if len(text) <= most and encoded_bytes(sound) <= most:
        return sound
    room = most - encoded_bytes(_ELLIPSIS)
    shortest, longest = 0, len(sound)
    while shortest < longest:
        middle = (shortest + longest + 1) // 2
        if encoded_bytes(sound[:middle]) <= room:
            shortest = middle
        else:
            longest = middle - 1
    return sound[:shortest] + _ELLIPSIS


def text_of(error: BaseException) -> str:
    """Return the type of an exception and its message, bounded."""
    return bounded(f"{type(error).__name__}: {error}")


def bound_texts(record: object, fields: Iterable[str]) -> None:
    """Bound texts of a frozen record, in its `__post_init__`. None stays None."""
    for field in fields:
        text = getattr(record, field)
        if text is not None and (cut := bounded(text)) != text:
            object.__setattr__(record, field, cut)

"""Reads YAML that people write, with the line of every value.

YAML is read by its version 1.2 (the core schema, of which JSON is a part), so that `no` is a text and `1e3` a
number, as in editors. What documents of plain data do not need is refused: anchors, aliases, tags, merge
keys, keys that are no text, halves of surrogate pairs.
"""

import re
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import yaml

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.documents.document import (
    MAX_DEPTH,
    MAX_VALUES,
    TOO_DEEP,
    Document,
    DocumentError,
    DocumentLimitError,
    Place,
)

YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The compiled parser if it is installed.

The other parser refuses a few documents that the compiled one accepts: tabs between tokens, `?` in braces.
All other documents mean the same to both.
"""


class YamlReader:
    """Reads a text of YAML from the parser's events, so that values are counted before they are made.

    Eight megabytes of empty mappings would take half a gigabyte. `bench/manifest.py` measures what the
    largest documents take.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._events: Iterator[Any] = yaml.parse(text, Loader=YAML_LOADER)
        self._values = 0

    def read(self) -> Document:
        """Return the document; DocumentError for a text that is no YAML."""
        # The compiled parser does not report the line of such a character.
        if bad := yaml.SafeLoader.NON_PRINTABLE.search(self._text):
            line = self._text.count("\n", 0, bad.start()) + 1
            raise DocumentError(line, f"it should have printable characters only, got {bad.group()!a}")
        try:
            return self._document()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = " ".join(filter(None, (error.context, error.problem)))
            # The end of a document counts as a line of its own.
            breaks = sum(1 for _ in _LINE_BREAK.finditer(self._text))
            last = breaks + (not self._text or self._text[-1] not in _LINE_BREAKS)
            raise DocumentError(
                min(mark.line + 1, last) if mark else 1, f"it is not YAML: {message:.300}"
            ) from None
        except DocumentError:
            raise
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            # An escape or a directive with a number that Python cannot turn into a character or an integer.
            raise DocumentError(1, f"it is not YAML: {error!s:.200}") from None

    def _document(self) -> Document:
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            raise DocumentError(1, "it should have a document, got none")
        value, place = self._value(next(self._events), 0)
        next(self._events)  # the end of the document
        after = next(self._events)
        if not isinstance(after, yaml.StreamEndEvent):
            raise DocumentError(_line(after), "it should be one document, got another one")
        return Document(value=value, root=place)

    def _value(self, event: Any, depth: int) -> tuple[Any, Place]:
        """Read the value that begins with an event."""
        line = _line(event)
        self._values += 1
        if self._values > MAX_VALUES:
            raise DocumentLimitError(line, f"it should have at most {MAX_VALUES} keys and values")
        if event.anchor is not None:
            raise DocumentError(
                line,
                "YAML anchors (&) and aliases (*) are not taken; write the value out, or put what all"
                " adapters share below 'defaults:'",
            )
        # `!` means the same as no tag. The long tags are what `!!map`, `!!seq` and `!!str` stand for.
        if event.tag not in (None, "!", f"tag:yaml.org,2002:{_KINDS[type(event)]}"):
            raise DocumentError(line, f"YAML tags are not taken, got {short_repr(event.tag)}")
        if isinstance(event, yaml.ScalarEvent):
            return _scalar(event, line), Place(line)
        if depth >= MAX_DEPTH:
            raise DocumentError(line, TOO_DEEP)
        inner = takewhile(lambda event: not isinstance(event, yaml.CollectionEndEvent), self._events)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(inner, line, depth + 1)
        items = [self._value(item, depth + 1) for item in inner]
        return [value for value, _ in items], Place(line, [place for _, place in items])

    def _mapping(self, keys: Iterator[Any], line: int, depth: int) -> tuple[dict[str, Any], Place]:
        values: dict[str, Any] = {}
        places: dict[str, Place] = {}
        for event in keys:
            key, at = self._value(event, depth)
            if not isinstance(key, str):
                got = "nothing" if key is None else short_repr(key)
                raise DocumentError(at.line, f"a key should be a text (put it in quotes), got {got}")
            if key == "<<" and event.implicit[0]:
                raise DocumentError(at.line, "merge keys ('<<') are not taken")
            if key in places:
                first = places[key].line
                raise DocumentError(
                    at.line, f"the key {short_repr(key)} is given twice, first in line {first}"
                )
            values[key], place = self._value(next(self._events), depth)
            places[key] = Place(at.line, place.inner)
        return values, Place(line, places)


_KINDS = {yaml.ScalarEvent: "str", yaml.MappingStartEvent: "map", yaml.SequenceStartEvent: "seq"}
_LINE_BREAKS = "\r\n\x85\u2028\u2029"
_LINE_BREAK = re.compile(f"\r\n|[{_LINE_BREAKS}]")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _scalar(event: Any, line: int) -> Any:
    try:
        event.value.encode()  # no encoding can hold half of a surrogate pair
        if event.tag is None and event.implicit[0]:
            return plain_scalar(event.value)
    except ValueError as error:
        raise DocumentError(line, f"{error!s:.200}") from None
    return event.value


def plain_scalar(text: str) -> Any:
    """Return the value of a YAML 1.2 scalar without quotes: None, a bool, a number or a text.

    Raises ValueError for an integer of thousands of digits.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[:1] not in _NUMBER_STARTS:
        return text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_INTEGER.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _NOT_FINITE.fullmatch(text):
        return float(text.replace(".", ""))
    return text


_CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# "Core Schema", YAML 1.2.2, 10.3.2
_NUMBER_STARTS = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+")
_OTHER_INTEGER = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")

"""Reads YAML that people write, with the line of every value.

YAML is read by its version 1.2 (the core schema, of which JSON is a part), so that `no` is a text and `1e3` a
number, as in editors. What documents of plain data do not need is refused: tags, merge keys, keys that are no
text, NaN and infinities, halves of surrogate pairs, aliases that expand to more than `MAX_ALIASED_VALUES`.
"""

import re
from dataclasses import dataclass
from typing import Any

import yaml

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.documents.document import (
    MAX_DEPTH,
    TOO_DEEP,
    Document,
    DocumentError,
    LimitedReader,
    Place,
)
from adapter_fleet.documents.scalars import check_text, plain_scalar
from adapter_fleet.documents.schema import Keys

MAX_ALIASED_VALUES = 100_000
_CHARACTERS_PER_VALUE = 64
"""A text counts as one more value for each of these, so that aliases cannot multiply a long text."""

YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The compiled parser if it is installed.

The other parser refuses a few documents that the compiled one accepts: tabs between tokens, `?` in braces.
All other documents mean the same to both.
"""


@dataclass(slots=True)
class _Open:
    """A mapping or a list whose end is not read yet."""

    value: Any
    place: Place
    anchor: str | None
    keys: Keys
    size: int = 1
    """Values in it, including those that aliases stand for."""
    key: str = ""
    key_line: int = 0
    awaits_key: bool = True


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    inner: dict[str, Place] | list[Place] | None
    size: int


class YamlReader(LimitedReader):
    """Reads a text of YAML from the parser's events, so that a deep document needs no deep recursion."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._aliased = 0
        self._root: tuple[Any, Place] | None = None

    def read(self) -> Document:
        """Return the document; DocumentError for a text that is no YAML."""
        # The compiled parser does not report the line of such a character.
        if bad := yaml.SafeLoader.NON_PRINTABLE.search(self._text):
            line = self._text.count("\n", 0, bad.start()) + 1
            raise DocumentError(line, f"it should have printable characters only, got {bad.group()!a}")
        try:
            for event in yaml.parse(self._text, Loader=YAML_LOADER):
                self._take(event)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            message = " ".join(filter(None, (error.context, error.problem)))
            # The end of a document counts as a line of its own.
            breaks = sum(1 for _ in _LINE_BREAK.finditer(self._text))
            last = breaks + (not self._text or self._text[-1] not in _LINE_BREAKS)
            raise DocumentError(
                min(mark.line + 1, last) if mark else 1, f"it is not YAML: {message:.300}"
            ) from None
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            if isinstance(error, DocumentError):
                raise
            # An escape or a directive with a number that Python cannot turn into a character or an integer.
            raise DocumentError(1, f"it is not YAML: {error!s:.200}") from None
        if self._root is None:
            raise DocumentError(1, "it should have a document, got none")
        value, place = self._root
        return Document(value=value, root=place)

    def _take(self, event: Any) -> None:
        match event:
            case yaml.ScalarEvent():
                self._scalar(event)
            case yaml.MappingStartEvent():
                self._begin(event, {}, {}, _MAPPING_TAGS)
            case yaml.SequenceStartEvent():
                self._begin(event, [], [], _SEQUENCE_TAGS)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                ended = self._open.pop()
                if ended.anchor is not None:
                    self._anchors[ended.anchor] = _Anchored(ended.value, ended.place.inner, ended.size)
                self._put(ended.value, ended.place, ended.size)
            case yaml.AliasEvent():
                self._alias(event)
            case yaml.DocumentStartEvent() if self._root is not None:
                raise DocumentError(_line(event), "it should be one document, got another one")

    def _keys(self) -> Keys:
        """Return the keys that lead to the next value."""
        if not self._open:
            return ()
        last = self._open[-1]
        if isinstance(last.value, list):
            return (*last.keys, len(last.value))
        return last.keys if last.awaits_key else (*last.keys, last.key)

    def _count(self, line: int) -> None:
        """Count a key or a value before it is made."""
        self.count_value(line)
        if not self._open:
            return
        into = self._open[-1]
        if isinstance(into.value, list):
            self.check_items(len(into.value) + 1, line, into.keys)
        elif into.awaits_key:
            self.check_keys(len(into.value) + 1, line, into.keys)

    def _begin(self, event: Any, value: Any, inner: Any, tags: frozenset[str | None]) -> None:
        line = _line(event)
        self._count(line)
        if len(self._open) >= MAX_DEPTH:
            raise DocumentError(line, TOO_DEEP)
        _check_tag(event, tags)
        self._open.append(_Open(value, Place(line, inner), event.anchor, self._keys()))

    def _scalar(self, event: Any) -> None:
        line = _line(event)
        self._count(line)
        value: Any = event.value
        try:
            if event.tag is None and event.implicit[0]:
                value = plain_scalar(value)
            else:
                _check_tag(event, _TEXT_TAGS)
            if isinstance(value, str):
                check_text(value)
                if value == "<<" and event.implicit[0] and self._awaits_key():
                    raise ValueError("merge keys ('<<') are not taken")
        except DocumentError:
            raise
        except ValueError as error:
            raise DocumentError(line, str(error)) from None
        size = 1 + len(event.value) // _CHARACTERS_PER_VALUE
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(value, None, size)
        self._put(value, Place(line), size)

    def _alias(self, event: Any) -> None:
        line = _line(event)
        self._count(line)
        anchored = self._anchors.get(event.anchor)
        if anchored is None:
            raise DocumentError(
                line, f"the anchor of the alias {'*' + event.anchor!r} is not given before it"
            )
        self._aliased += anchored.size
        if self._aliased > MAX_ALIASED_VALUES:
            raise DocumentError(line, f"aliases should stand for at most {MAX_ALIASED_VALUES} values")
        self._put(anchored.value, Place(line, anchored.inner), anchored.size)

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].awaits_key

    def _put(self, value: Any, place: Place, size: int) -> None:
        """Put a value that is read to its end into the mapping or list around it."""
        if not self._open:
            self._root = (value, place)
            return
        into = self._open[-1]
        into.size += size
        if isinstance(into.value, list):
            into.value.append(value)
            _list_of(into.place).append(place)
        elif into.awaits_key:
            into.awaits_key = False
            into.key_line = place.line
            if not isinstance(value, str):
                got = "nothing" if value is None else short_repr(value)
                raise DocumentError(place.line, f"a key should be a text (put it in quotes), got {got}")
            self.check_first(value, _dict_of(into.place), place.line)
            into.key = value
        else:
            into.awaits_key = True
            into.value[into.key] = value
            _dict_of(into.place)[into.key] = Place(into.key_line, place.inner)


_LINE_BREAKS = "\r\n\x85\u2028\u2029"
_LINE_BREAK = re.compile(f"\r\n|[{_LINE_BREAKS}]")

# `!` means the same as no tag. The long tags are what `!!map`, `!!seq` and `!!str` stand for.
_MAPPING_TAGS: frozenset[str | None] = frozenset({None, "!", "tag:yaml.org,2002:map"})
_SEQUENCE_TAGS: frozenset[str | None] = frozenset({None, "!", "tag:yaml.org,2002:seq"})
_TEXT_TAGS: frozenset[str | None] = frozenset({None, "!", "tag:yaml.org,2002:str"})


def _check_tag(event: Any, tags: frozenset[str | None]) -> None:
    if event.tag not in tags:
        raise DocumentError(_line(event), f"YAML tags are not taken, got {short_repr(event.tag)}")


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _dict_of(place: Place) -> dict[str, Place]:
    assert isinstance(place.inner, dict)
    return place.inner


def _list_of(place: Place) -> list[Place]:
    assert isinstance(place.inner, list)
    return place.inner

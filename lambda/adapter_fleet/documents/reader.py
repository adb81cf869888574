"""Reading YAML and JSON that people write: plain data with one meaning, and the line of everything in it.

YAML is read as its version 1.2 says (the core schema, of which JSON is a part), so that `no` is a text and
`1e3` a number, as in editors. What documents of plain data do not need is refused: tags, merge keys, keys
that are no text, a key twice, NaN and infinities, halves of surrogate pairs, aliases that expand to more
than `MAX_ALIASED_VALUES`, and whatever is above the other limits below.

The limits are applied while a document is read, before its values are made: eight megabytes of empty
mappings would take half a gigabyte. `bench/manifest.py` measures what the largest documents take.

JSON is read by Python's own parser: where YAML's is not compiled, as in the Lambda, that is far faster.
"""

import json
import math
import re
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml

from adapter_fleet.documents.schema import Keys, shown

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 100
MAX_VALUES = 500_000
"""Keys and values in a document: 50 for each of 10,000 adapters."""
MAX_ITEMS = 10_000
"""Items of one list."""
MAX_KEYS = 1_000
"""Keys of one mapping."""
MAX_PROBLEMS = 1_000
"""Problems that are kept of a document; the rest is counted."""
MAX_ALIASED_VALUES = 100_000
_CHARACTERS_OF_A_VALUE = 64
"""A text counts as one value more for each of these, so that no alias multiplies a long one."""

YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The compiled parser where there is one.

The other one refuses a few documents that it takes, with tabs between tokens or `?` in braces. What both
read, they read as the same.
"""


class DocumentError(ValueError):
    """The document cannot be read at all. `line` says where, counted from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class DocumentLimitError(DocumentError):
    """A list or a mapping is too long, or the document has too many values. `keys` lead to it."""

    def __init__(self, line: int, message: str, keys: Keys = ()) -> None:
        super().__init__(line, message)
        self.keys = keys


@dataclass(frozen=True, kw_only=True)
class DocumentProblem:
    """A part of the document that has no one meaning. The rest was read."""

    keys: Keys
    line: int
    message: str


@dataclass(slots=True)
class _Place:
    """Where a value is: its line, or its key's, and the places of what is in it."""

    line: int
    inner: "dict[str, _Place] | list[_Place] | None" = None


@dataclass(frozen=True, kw_only=True)
class Document:
    """What was read: plain data, what is wrong with it, and where everything is.

    A value that was refused is None in `value`, and of a key that is there twice the first is kept.
    `more_problems` counts those above `MAX_PROBLEMS`.
    """

    value: Any
    problems: tuple[DocumentProblem, ...]
    more_problems: int = 0
    _root: _Place = field(repr=False)

    def line(self, keys: Keys) -> int:
        """Return the line, from 1, of a value's key, or of the value where it is in a list.

        Of keys that lead to nothing it is the line of what is nearest.
        """
        place = self._root
        for key in keys:
            inner = place.inner
            try:
                place = inner[key]  # type: ignore[index]
            except (KeyError, IndexError, TypeError):
                break
        return place.line


def read(data: bytes, *, called_json: bool = False) -> Document:
    """Read a document of YAML or JSON.

    Raises DocumentError for what is neither, with what is wrong with it as JSON where it is `called_json`.
    What can be read around is told in `problems` instead, so that one run shows all.
    """
    if len(data) > MAX_DOCUMENT_BYTES:
        raise DocumentError(1, f"it should have at most {MAX_DOCUMENT_BYTES} bytes, got {len(data)}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DocumentError(line, f"it should be UTF-8, got the byte 0x{data[error.start]:02x}") from None
    no_json = None
    if called_json or text.lstrip(_JSON_SPACE).startswith("{"):
        try:
            return _JsonReader(text).read()
        except json.JSONDecodeError as error:
            no_json = DocumentError(error.lineno, f"it is not JSON: {error.msg}")
    try:
        return _YamlReader(text).read()  # it has mappings in braces as well
    except DocumentError:
        if called_json and no_json is not None:
            raise no_json from None
        raise


def count_values(value: Any) -> int:
    """Return how many keys and values plain data has, as `MAX_VALUES` limits them."""
    if isinstance(value, dict):
        return 1 + len(value) + sum(map(count_values, value.values()))
    return 1 + (sum(map(count_values, value)) if isinstance(value, list) else 0)


def plain_scalar(text: str) -> Any:
    """Return what a scalar without quotes means in YAML 1.2: None, a bool, a number or a text.

    Raises ValueError for numbers that are not plain data.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[:1] not in _NUMBER_STARTS:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _OCTAL.fullmatch(text):
        return _bounded(int(text[2:67], 8), text)
    if _HEXADECIMAL.fullmatch(text):
        return _bounded(int(text[2:67], 16), text)
    if _FLOAT.fullmatch(text):
        return _float(text)
    if _NOT_FINITE.fullmatch(text):
        _not_finite(text)
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


def _integer(text: str) -> int:
    # int() of thousands of digits is slow, and refused by Python.
    return _bounded(int(text) if len(text) < 64 else 2**64, text)


def _bounded(number: int, text: str) -> int:
    # Further ones are not the same number to every reader.
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"a whole number should fit into 64 bits, got {text:.40}")
    return number


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        _not_finite(text)
    return number


def _not_finite(text: str) -> NoReturn:
    raise ValueError(f"a number should be finite, got {text:.40}")


def _check_text(text: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"a text should have no half of a surrogate pair, got {shown(text)}") from None
    return text


class _Reader:
    """What both readers collect, and the limits that both apply."""

    def __init__(self) -> None:
        self.problems: list[DocumentProblem] = []
        self._more_problems = 0
        self._values = 0

    def problem(self, keys: Keys, line: int, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(DocumentProblem(keys=keys, line=line, message=message))
        else:
            self._more_problems += 1

    def count_value(self, line: int) -> None:
        """Count a key or a value that is about to be read."""
        self._values += 1
        if self._values > MAX_VALUES:
            raise DocumentLimitError(line, f"it should have at most {MAX_VALUES} keys and values")

    def check_items(self, count: int, line: int, keys: Keys) -> None:
        """Raise DocumentLimitError where a list has more items than it may."""
        if count > MAX_ITEMS:
            raise DocumentLimitError(line, f"a list should have at most {MAX_ITEMS} items", keys)

    def check_keys(self, count: int, line: int, keys: Keys) -> None:
        """Raise DocumentLimitError where a mapping has more keys than it may."""
        if count > MAX_KEYS:
            raise DocumentLimitError(line, f"a mapping should have at most {MAX_KEYS} keys", keys)

    def take_key(self, key: str, places: "dict[str, _Place]", keys: Keys, line: int) -> bool:
        """Tell whether a key is the first of its name."""
        first = places.get(key)
        if first is not None:
            self.problem(
                (*keys, key), line, f"the key {shown(key)} is given twice, first in line {first.line}"
            )
        return first is None

    def document(self, value: Any, root: _Place) -> Document:
        return Document(
            value=value, problems=tuple(self.problems), more_problems=self._more_problems, _root=root
        )


_JSON_SPACE = " \t\n\r"
_SPACE = re.compile(f"[{_JSON_SPACE}]*")


class _JsonReader(_Reader):
    """Reads JSON. Raises JSONDecodeError for what is none."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._line_number, self._line_position = 1, 0
        self._scalar = json.JSONDecoder(
            parse_int=_integer, parse_float=_float, parse_constant=_not_finite
        ).raw_decode

    def read(self) -> Document:
        value, place, end = self._value(self._skip(0), ())
        if self._skip(end) != len(self._text):
            raise json.JSONDecodeError("it should end here", self._text, end)
        return self.document(value, place)

    def _line(self, position: int) -> int:
        """Return the line of a position, which is never before the one that was asked for last."""
        self._line_number += self._text.count("\n", self._line_position, position)
        self._line_position = position
        return self._line_number

    def _skip(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        return match.end() if match else position

    def _value(self, position: int, keys: Keys) -> tuple[Any, _Place, int]:
        """Read the value at a position; return it, its place and the position after it."""
        place = _Place(self._line(position))
        self.count_value(place.line)
        opening = self._text[position : position + 1]
        if opening not in ("{", "["):
            value, end = self._plain(position, place.line, keys)
            return value, place, end
        if len(keys) >= MAX_DEPTH:
            raise DocumentError(place.line, _TOO_DEEP)
        read = self._object if opening == "{" else self._array
        value, place.inner, end = read(position + 1, keys)
        return value, place, end

    def _plain(self, position: int, line: int, keys: Keys) -> tuple[Any, int]:
        try:
            value, end = self._scalar(self._text, position)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            self.problem(keys, line, str(error))
            return None, self._end_of_number(position)
        if isinstance(value, str):
            try:
                _check_text(value)
            except ValueError as error:
                self.problem(keys, line, str(error))
                value = None
        return value, end

    def _end_of_number(self, position: int) -> int:
        match = _REFUSED_NUMBER.match(self._text, position)
        return match.end() if match else position

    def _object(self, position: int, keys: Keys) -> tuple[dict[str, Any], "dict[str, _Place]", int]:
        values: dict[str, Any] = {}
        places: dict[str, _Place] = {}
        position = self._skip(position)
        if self._text[position : position + 1] == "}":
            return values, places, position + 1
        count = 0
        while True:
            if self._text[position : position + 1] != '"':
                raise json.JSONDecodeError("a key should be here", self._text, position)
            line = self._line(position)
            count += 1
            self.count_value(line)
            self.check_keys(count, line, keys)
            key, position = self._plain(position, line, keys)
            position = self._skip(self._expect(":", self._skip(position)))
            inner = keys if key is None else (*keys, key)
            value, place, position = self._value(position, inner)
            if key is not None and self.take_key(key, places, keys, line):
                values[key] = value
                place.line = line
                places[key] = place
            position = self._skip(position)
            if self._text[position : position + 1] == "}":
                return values, places, position + 1
            position = self._skip(self._expect(",", position))

    def _array(self, position: int, keys: Keys) -> tuple[list[Any], "list[_Place]", int]:
        values: list[Any] = []
        places: list[_Place] = []
        position = self._skip(position)
        if self._text[position : position + 1] == "]":
            return values, places, position + 1
        while True:
            self.check_items(len(values) + 1, self._line(position), keys)
            value, place, position = self._value(position, (*keys, len(values)))
            values.append(value)
            places.append(place)
            position = self._skip(position)
            if self._text[position : position + 1] == "]":
                return values, places, position + 1
            position = self._skip(self._expect(",", position))

    def _expect(self, character: str, position: int) -> int:
        if self._text[position : position + 1] != character:
            raise json.JSONDecodeError(f"'{character}' should be here", self._text, position)
        return position + 1


_REFUSED_NUMBER = re.compile(r"NaN|-?Infinity|-?[0-9.eE+-]+")
_TOO_DEEP = f"it should be nested at most {MAX_DEPTH} levels deep"


@dataclass(slots=True)
class _Open:
    """A mapping or a list of which the end is not read yet."""

    value: Any
    place: _Place
    anchor: str | None
    keys: Keys
    size: int = 1
    """Values in it, with those that aliases stand for."""
    key: str | None = None
    key_line: int = 0
    awaits_key: bool = True
    given: int = 0
    """Items or keys so far, with those that were refused."""


@dataclass(frozen=True, slots=True)
class _Anchored:
    value: Any
    inner: "dict[str, _Place] | list[_Place] | None"
    size: int


class _YamlReader(_Reader):
    """Reads YAML from the parser's events, so that no depth of a document is a depth of calls."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored] = {}
        self._aliased = 0
        self._root: tuple[Any, _Place] | None = None

    def read(self) -> Document:
        # The compiled parser does not say where such a character is.
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
            # Numbers in escapes and directives that Python has no character or integer for.
            raise DocumentError(1, f"it is not YAML: {error!s:.200}") from None
        if self._root is None:
            raise DocumentError(1, "it should have a document, got none")
        return self.document(*self._root)

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
        """Return the keys of the value that is read next."""
        if not self._open:
            return ()
        last = self._open[-1]
        if isinstance(last.value, list):
            return (*last.keys, len(last.value))
        return last.keys if last.key is None else (*last.keys, last.key)

    def _count(self, line: int) -> None:
        """Count a key or a value before it is made."""
        self.count_value(line)
        if not self._open:
            return
        into = self._open[-1]
        if isinstance(into.value, list):
            into.given += 1
            self.check_items(into.given, line, into.keys)
        elif into.awaits_key:
            into.given += 1
            self.check_keys(into.given, line, into.keys)

    def _begin(self, event: Any, value: Any, inner: Any, tags: frozenset[str | None]) -> None:
        line = _line(event)
        self._count(line)
        if len(self._open) >= MAX_DEPTH:
            raise DocumentError(line, _TOO_DEEP)
        keys = self._keys()
        self._check_tag(event, line, keys, tags)
        self._open.append(_Open(value, _Place(line, inner), event.anchor, keys))

    def _check_tag(self, event: Any, line: int, keys: Keys, tags: frozenset[str | None]) -> None:
        if event.tag not in tags:
            self.problem(keys, line, f"tags are not taken, got {shown(event.tag)}")

    def _scalar(self, event: Any) -> None:
        line = _line(event)
        self._count(line)
        value: Any = event.value
        try:
            if event.tag is None and event.implicit[0]:
                value = plain_scalar(value)
            else:
                self._check_tag(event, line, self._keys(), _TEXT_TAGS)
            if isinstance(value, str):
                _check_text(value)
                if value == "<<" and event.implicit[0] and self._open and self._awaits_key():
                    raise ValueError("merge keys ('<<') are not taken")
        except ValueError as error:
            self.problem(self._keys(), line, str(error))
            value = _REFUSED if self._awaits_key() else None
        size = 1 + len(event.value) // _CHARACTERS_OF_A_VALUE
        if event.anchor is not None:
            self._anchors[event.anchor] = _Anchored(None if value is _REFUSED else value, None, size)
        self._put(value, _Place(line), size)

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
        self._put(anchored.value, _Place(line, anchored.inner), anchored.size)

    def _awaits_key(self) -> bool:
        return bool(self._open) and isinstance(self._open[-1].value, dict) and self._open[-1].awaits_key

    def _put(self, value: Any, place: _Place, size: int) -> None:
        """Put a value, which is read to its end, where it belongs."""
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
            into.key = self._key(value, place.line, into)
        else:
            into.awaits_key = True
            if into.key is not None:
                into.value[into.key] = value
                _dict_of(into.place)[into.key] = _Place(into.key_line, place.inner)
            into.key = None

    def _key(self, value: Any, line: int, into: _Open) -> str | None:
        """Return a key, or None for one that is refused, with what it leads to."""
        if value is _REFUSED:
            return None
        if not isinstance(value, str):
            self.problem(into.keys, line, f"a key should be a text (put it in quotes), got {shown(value)}")
            return None
        return value if self.take_key(value, _dict_of(into.place), into.keys, line) else None


_LINE_BREAKS = "\r\n\x85\u2028\u2029"
_LINE_BREAK = re.compile(f"\r\n|[{_LINE_BREAKS}]")

_REFUSED = object()
"""Stands for a key that was refused."""

# `!` asks for what it would be without a tag; the long ones are what `!!str` and so on stand for.
_MAPPING_TAGS: frozenset[str | None] = frozenset({None, "!", "tag:yaml.org,2002:map"})
_SEQUENCE_TAGS: frozenset[str | None] = frozenset({None, "!", "tag:yaml.org,2002:seq"})
_TEXT_TAGS: frozenset[str | None] = frozenset({None, "!", "tag:yaml.org,2002:str"})


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _dict_of(place: _Place) -> "dict[str, _Place]":
    assert isinstance(place.inner, dict)
    return place.inner


def _list_of(place: _Place) -> "list[_Place]":
    assert isinstance(place.inner, list)
    return place.inner

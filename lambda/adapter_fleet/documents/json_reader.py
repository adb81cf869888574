"""Reads JSON that people write, with the line of every value."""

import json
import re
from typing import Any

from adapter_fleet.documents.document import (
    MAX_DEPTH,
    TOO_DEEP,
    Document,
    DocumentError,
    LimitedReader,
    Place,
)
from adapter_fleet.documents.scalars import check_text, finite_float, integer, refuse_not_finite
from adapter_fleet.documents.schema import Keys

JSON_SPACE = " \t\n\r"
_SPACE = re.compile(f"[{JSON_SPACE}]*")


class JsonReader(LimitedReader):
    """Reads a text of JSON. Raises JSONDecodeError for any other text, DocumentError for what is refused."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self._line_number, self._line_position = 1, 0
        self._scalar = json.JSONDecoder(
            parse_int=integer, parse_float=finite_float, parse_constant=refuse_not_finite
        ).raw_decode

    def read(self) -> Document:
        """Return the document."""
        value, place, end = self._value(self._skip(0), ())
        if self._skip(end) != len(self._text):
            raise json.JSONDecodeError("it should end here", self._text, end)
        return Document(value=value, root=place)

    def _line(self, position: int) -> int:
        """Return the line of a position. Positions never decrease from call to call."""
        self._line_number += self._text.count("\n", self._line_position, position)
        self._line_position = position
        return self._line_number

    def _skip(self, position: int) -> int:
        match = _SPACE.match(self._text, position)
        return match.end() if match else position

    def _value(self, position: int, keys: Keys) -> tuple[Any, Place, int]:
        """Read the value at a position; return it, its place and the position after it."""
        place = Place(self._line(position))
        self.count_value(place.line)
        opening = self._text[position : position + 1]
        if opening not in ("{", "["):
            value, end = self._plain(position, place.line)
            return value, place, end
        if len(keys) >= MAX_DEPTH:
            raise DocumentError(place.line, TOO_DEEP)
        read = self._object if opening == "{" else self._array
        value, place.inner, end = read(position + 1, keys)
        return value, place, end

    def _plain(self, position: int, line: int) -> tuple[Any, int]:
        try:
            value, end = self._scalar(self._text, position)
            if isinstance(value, str):
                check_text(value)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            raise DocumentError(line, str(error)) from None
        return value, end

    def _object(self, position: int, keys: Keys) -> tuple[dict[str, Any], dict[str, Place], int]:
        values: dict[str, Any] = {}
        places: dict[str, Place] = {}
        position = self._skip(position)
        if self._text[position : position + 1] == "}":
            return values, places, position + 1
        while True:
            if self._text[position : position + 1] != '"':
                raise json.JSONDecodeError("a key should be here", self._text, position)
            line = self._line(position)
            self.count_value(line)
            self.check_keys(len(values) + 1, line, keys)
            key, position = self._plain(position, line)
            self.check_first(key, places, line)
            position = self._skip(self._expect(":", self._skip(position)))
            values[key], places[key], position = self._value(position, (*keys, key))
            places[key].line = line
            position = self._skip(position)
            if self._text[position : position + 1] == "}":
                return values, places, position + 1
            position = self._skip(self._expect(",", position))

    def _array(self, position: int, keys: Keys) -> tuple[list[Any], list[Place], int]:
        values: list[Any] = []
        places: list[Place] = []
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

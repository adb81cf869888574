"""Reads the rows of a dataset, in each format."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.counts import counted


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row, and where it is.

    number:
        Of the row, from 1.
    problem:
        Why the row has no values; None if it has.
    """

    place: str
    number: str
    values: Mapping[str, object] = field(default_factory=dict)
    problem: str | None = None


def rows_of(source: str) -> list[Row]:
    """Return all rows of a file."""
    path = Path(source)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"'--dataset' should be a file that ends in {', '.join(_READERS)}, got {source!r}")
    return read(path)


def _json_lines(path: Path) -> list[Row]:
    rows: list[Row] = []
    # Not splitlines, which also splits at characters that JSON has unescaped in texts, such as U+2028.
    for line, text in enumerate(io.StringIO(_text(path)), 1):
        if text.strip():
            rows.append(_json_row(text, line=line, number=len(rows) + 1))
    return rows


def _json_row(text: str, *, line: int, number: int) -> Row:
    place = f"line {line}"
    try:
        return _row(json.loads(text), place=place, number=number)
    except (ValueError, RecursionError) as error:
        return Row(place=place, number=str(number), problem=f"it should be JSON ({error})")


def _json(path: Path) -> list[Row]:
    try:
        values = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"'--dataset' should be JSON ({error}; lines of JSON belong in a .jsonl file), got {path}"
        ) from None
    if not isinstance(values, list):
        raise ValueError(
            f"'--dataset' should be a JSON list of objects, got {type(values).__name__} in {path}"
        )
    return _rows(values)


def _csv(path: Path) -> list[Row]:
    return _separated(path, ",")


def _tsv(path: Path) -> list[Row]:
    return _separated(path, "\t")


def _separated(path: Path, delimiter: str) -> list[Row]:
    csv.field_size_limit(2**31 - 1)  # the default of 131,072 characters is less than some prompts have
    lines = csv.reader(io.StringIO(_text(path), newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    begins = 1
    try:
        columns = next(lines, [])
        begins = lines.line_num + 1
        for cells in lines:
            place, number = f"line {begins}", str(len(rows) + 1)
            begins = lines.line_num + 1
            if not cells:
                continue
            problem = None
            if len(cells) != len(columns):
                problem = (
                    f"it should have {counted(len(columns), 'cell')}, as the first line has, got {len(cells)}"
                )
            values = dict(zip(columns, cells, strict=False))
            rows.append(Row(place=place, number=number, values=values, problem=problem))
    except csv.Error as error:
        raise ValueError(f"'--dataset' should be CSV, got {path}, line {begins}: {error}") from None
    return rows


_READERS: dict[str, Callable[[Path], list[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".tsv": _tsv,
}


def _rows(values: Iterable[Any]) -> list[Row]:
    return [_row(value, place=f"row {number}", number=number) for number, value in enumerate(values, 1)]


def _row(value: object, *, place: str, number: int) -> Row:
    if isinstance(value, Mapping):
        return Row(place=place, number=str(number), values=value)
    problem = f"it should be an object with a value for each column, got {short_repr(value)}"
    return Row(place=place, number=str(number), problem=problem)


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"'--dataset' should be UTF-8 text, got {path}: {error}") from None

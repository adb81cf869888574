"""Reads the rows of a dataset, in each format."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TextIO

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.counts import counted
from adapters_cli.output.text import not_utf8

NO_JSON = "it should be JSON"
"""The beginning of the problem of a line that is none."""


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


def rows_of(source: str) -> Iterator[Row]:
    """Yield the rows of a file, one line after the other. Raises ValueError for a file that is no dataset."""
    path = Path(source)
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise ValueError(f"'--dataset' should be a file that ends in {', '.join(_READERS)}, got {source!r}")
    # Without translation: a line ends as its format says, not at U+2028, which JSON has unescaped in texts.
    newline = "\n" if read is _json_lines else ""
    try:
        with path.open(encoding="utf-8-sig", newline=newline) as file:
            yield from read(file)
    except UnicodeDecodeError as error:
        problem = not_utf8(error, path.name)
        raise ValueError(f"'--dataset' should be UTF-8 text, got {path}: {problem}") from None


def _json_lines(file: TextIO) -> Iterator[Row]:
    number = 0
    for line, text in enumerate(file, 1):
        if text.strip():
            number += 1
            place = f"line {line}"
            try:
                row = _row(json.loads(text), place=place, number=number)
            except (ValueError, RecursionError) as error:
                row = Row(place=place, number=str(number), problem=f"{NO_JSON} ({error})")
            yield row


def _json(file: TextIO) -> Iterator[Row]:
    try:
        values = json.load(file)
    except UnicodeDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"'--dataset' should be JSON ({error}; lines of JSON belong in a .jsonl file), got {file.name}"
        ) from None
    if not isinstance(values, list):
        raise ValueError(
            f"'--dataset' should be a JSON list of objects, got {type(values).__name__} in {file.name}"
        )
    for number, value in enumerate(values, 1):
        yield _row(value, place=f"row {number}", number=number)


def _separated(file: TextIO, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(2**31 - 1)  # the default of 131,072 characters is less than some prompts have
    lines = csv.reader(file, delimiter=delimiter, strict=True)
    number = 0
    begins = 1
    try:
        columns = next(lines, [])
        begins = lines.line_num + 1
        for cells in lines:
            place = f"line {begins}"
            begins = lines.line_num + 1
            if not cells:
                continue
            number += 1
            problem = None
            if len(cells) != len(columns):
                problem = (
                    f"it should have {counted(len(columns), 'cell')}, as the first line has, got {len(cells)}"
                )
            values = dict(zip(columns, cells, strict=False))
            yield Row(place=place, number=str(number), values=values, problem=problem)
    except csv.Error as error:
        raise ValueError(f"'--dataset' should be CSV, got {file.name}, line {begins}: {error}") from None


_READERS: dict[str, Callable[[TextIO], Iterator[Row]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json,
    ".csv": partial(_separated, delimiter=","),
    ".tsv": partial(_separated, delimiter="\t"),
}


def _row(value: object, *, place: str, number: int) -> Row:
    if isinstance(value, Mapping):
        return Row(place=place, number=str(number), values=value)
    problem = f"it should be an object with a value for each column, got {short_repr(value)}"
    return Row(place=place, number=str(number), problem=problem)

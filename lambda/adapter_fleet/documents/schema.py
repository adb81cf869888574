"""Makes records of plain data that a person wrote, and reports every mistake at once.

cattrs does the work: it refuses a key that the record does not have, and a value of another type than the
declared one. It raises a tree of errors. This module makes a flat list of them, with the keys to each value.
"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin

from cattrs import Converter
from cattrs.cols import list_structure_factory
from cattrs.errors import (
    AttributeValidationNote,
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
)
from cattrs.gen import make_dict_structure_fn

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.near_names import known_or_meant

T = TypeVar("T")

Keys = tuple[str | int, ...]
"""The path to a value from the root of a document: keys of mappings and indices of lists."""

WORDS: Mapping[type, str] = {
    str: "a string",
    int: "an integer",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}
"""The names of types in messages. A record has the name of `dict`."""


class ProblemKind(StrEnum):
    """What is wrong with a value."""

    KEY = "key"
    """An unknown key, or a missing one."""
    TYPE = "type"
    """A value of another type than the declared one."""
    VALUE = "value"
    """A value that the record itself refuses."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One mistake: its place in the document, its kind, and what was expected and got."""

    keys: Keys
    kind: ProblemKind
    message: str

    def __str__(self) -> str:
        return ": ".join(filter(None, (dotted(self.keys), self.message)))


class StructureError(ValueError):
    """Every mistake in a document, in `problems`."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def dotted(keys: Keys) -> str:
    """Return keys as people write them, `copies.count`, on one line; a long key is cut."""
    texts = (str(key) for key in keys)
    return ".".join(f"{text if text.isprintable() else ascii(text):.80}" for text in texts)


def strict_converter() -> Converter:
    """Return a converter that refuses unknown keys and values of another type than the declared one."""
    converter = Converter(forbid_extra_keys=True)
    for plain in (int, bool):
        converter.register_structure_hook(plain, exactly)
    converter.register_structure_hook(str, _text)
    converter.register_structure_hook(
        float, lambda value, _: float(exactly(value, type(value), (int, float)))
    )
    converter.register_structure_hook_factory(_is_list, lambda type_: _strict_list(type_, converter))
    converter.register_structure_hook_factory(is_dataclass, lambda type_: _strict_record(type_, converter))
    return converter


def exactly(value: Any, type_: Any, allowed: tuple[type, ...] = ()) -> Any:
    """Return `value` if its type is `type_`, or one of those allowed; raise TypeError if not."""
    # Not isinstance, for which a bool is an int.
    if type(value) not in (allowed or (type_,)):
        raise TypeError
    return value


def structure(
    converter: Converter, data: Any, type_: type[T], *, words: Mapping[Any, str] | None = None
) -> T:
    """Make a record of `data`; raise StructureError with every mistake.

    `words` has names of types for messages, beside `WORDS`.
    """
    try:
        return converter.structure(data, type_)
    except (ClassValidationError, IterableValidationError, TypeError, ValueError) as errors:
        described = [
            problem
            for leaf in _leaves(errors, (), type_)
            for problem in _described(data, *leaf, {**WORDS, **(words or {})})
        ]
        raise StructureError(described) from None


def structure_what_fits(
    converter: Converter, data: Any, type_: type[T], *, words: Mapping[Any, str] | None = None
) -> tuple[T | None, list[Problem]]:
    """Make a record of the part of `data` that fits, so that further rules can be applied to that part.

    Return the record with the problems of the rest. It is None if nothing fits or a required key is missing.
    """
    problems: list[Problem] = []
    rest = data
    while True:
        try:
            return structure(converter, rest, type_, words=words), problems
        except StructureError as error:
            problems += error.problems
            rest = copy.deepcopy(rest)
            if not all(_removed(rest, problem.keys) for problem in error.problems):
                return None, problems


def _is_list(type_: Any) -> bool:
    return get_origin(type_) is list


def _strict_record(type_: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    inner = make_dict_structure_fn(
        type_, converter, _cattrs_forbid_extra_keys=True, _cattrs_detailed_validation=True
    )
    # A string would do as well: it can be searched for keys.
    return lambda value, _: inner(exactly(value, dict), type_)


def _strict_list(type_: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    inner = list_structure_factory(type_, converter)
    # A string would do as well: it can be iterated over.
    return lambda value, _: inner(exactly(value, list), type_)


def _text(value: Any, type_: type[str]) -> str:
    exactly(value, str)
    if issubclass(type_, StrEnum) and value not in list(type_):
        raise ValueError(f"should be one of {', '.join(type_)}, got {value!r}")
    return type_(value)


def _leaves(error: BaseException, keys: Keys, type_: Any) -> Iterator[tuple[Keys, Any, BaseException]]:
    """Yield every single error with the keys that lead to it and the type that was expected there."""
    if not isinstance(error, ClassValidationError | IterableValidationError):
        yield keys, type_, error
        return
    noted, others = error.group_exceptions()
    for cause, note in noted:
        key = note.name if isinstance(note, AttributeValidationNote) else note.index
        yield from _leaves(cause, (*keys, key), note.type)
    for cause in others:
        yield from _leaves(cause, keys, getattr(error, "cl", None))


def _described(
    data: Any, keys: Keys, type_: Any, error: BaseException, words: Mapping[Any, str]
) -> Iterator[Problem]:
    got = _value(data, keys)
    match error:
        case ForbiddenExtraKeysError():
            known = [setting.name for setting in fields(error.cl)]
            for key in sorted(error.extra_fields, key=str):
                message = f"unknown key ({known_or_meant(str(key), known)}), got {_got(got[key])}"
                yield Problem(keys=(*keys, key), kind=ProblemKind.KEY, message=message)
        case KeyError():
            yield Problem(keys=keys, kind=ProblemKind.KEY, message="should be given, got nothing")
        case TypeError() | AttributeError():
            message = f"should be {_in_words(type_, words)}, got {_got(got)}"
            yield Problem(keys=keys, kind=ProblemKind.TYPE, message=message)
        case _:
            # The keys already say where the value is, so the class name in front is left out.
            message = str(error).removeprefix(f"{getattr(type_, '__name__', '')}: ")
            yield Problem(keys=keys, kind=ProblemKind.VALUE, message=message)


def _got(value: object) -> str:
    return "nothing" if value is None else short_repr(value)


def _value(data: Any, keys: Keys) -> Any:
    for key in keys:
        if isinstance(data, Mapping) and key not in data:
            return None
        data = data[key]
    return data


def _removed(data: Any, keys: Keys) -> bool:
    """Remove the value that keys lead to; return False if there was none."""
    if not keys:
        return False
    *path, last = keys
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):  # removed before, with the value around it
            return True
    if isinstance(data, dict) and last in data:
        del data[last]
        return True
    return False


def _in_words(type_: Any, words: Mapping[Any, str]) -> str:
    if type_ in words:
        return words[type_]
    if isinstance(type_, UnionType):  # of one type and None
        (type_,) = (alternative for alternative in get_args(type_) if alternative is not NoneType)
    type_ = get_origin(type_) or type_
    if type_ in words:
        return words[type_]
    return words[str] if issubclass(type_, StrEnum | Path) else words[dict]

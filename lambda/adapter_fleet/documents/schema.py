"""Makes records of plain data that a person wrote, and reports every mistake at once.

cattrs does the work: it refuses a key that the record does not have, and a value of another type than the
declared one. It raises a tree of errors. This module makes a flat list of them, with the keys to each value.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
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
from cattrs.gen import make_dict_structure_fn, override

from adapter_fleet.common.bounded_text import short_repr, without_query
from adapter_fleet.common.naming import known_or_meant

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
    """One mistake: its place in the document, its kind, and what was expected and got.

    type_:
        The declared type of the value.
    refused:
        The keys to the value that cannot stay: the whole record if the record refused one of its values.
    """

    keys: Keys
    kind: ProblemKind
    message: str
    type_: Any = field(default=None, compare=False, repr=False)
    refused: Keys = field(default=(), compare=False, repr=False)

    def __str__(self) -> str:
        return ": ".join(filter(None, (dotted(self.keys), self.message)))


class RecordError(ValueError):
    """Every mistake that a record found in its own values: the key, empty for the whole, and the problem."""

    def __init__(self, problems: Iterable[tuple[str, str]]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(f"'{key}' {text}" if key else text for key, text in self.problems))


class StructureError(ValueError):
    """Every mistake in a document, in `problems`."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


def dotted(keys: Keys) -> str:
    """Return keys as people write them, `copies.count`, on one line; a long key is cut."""
    texts = (without_query(str(key)) for key in keys)
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


def keys_of(type_: Any) -> list[str]:
    """Return the keys of a record in a document. A field that records are not compared by is not in it."""
    return [each.name for each in fields(type_) if each.compare]


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
    converter: Converter,
    data: Any,
    type_: type[T],
    *,
    words: Mapping[Any, str] | None = None,
    stand_ins: Mapping[Any, Any] | None = None,
) -> tuple[T | None, list[Problem]]:
    """Make a record of the part of `data` that fits, so that further rules can be applied to that part.

    Return the record with the problems of the rest. It is None if nothing fits or a required key is missing.
    `stand_ins` has values by type, which take the place of required ones that are missing or wrong.
    """
    problems: list[Problem] = []
    rest = data
    while True:
        try:
            return structure(converter, rest, type_, words=words), problems
        except StructureError as error:
            # A mistake around or at the place of an earlier one follows from that one.
            places = {known.keys[:length] for known in problems for length in range(len(known.keys) + 1)}
            problems += [problem for problem in error.problems if problem.keys not in places]
            rest = copy.deepcopy(rest)
            if not all(_mended(rest, problem, stand_ins or {}) for problem in error.problems):
                return None, problems


def _is_list(type_: Any) -> bool:
    return get_origin(type_) is list


def _strict_record(type_: Any, converter: Converter) -> Callable[[Any, Any], Any]:
    inner = make_dict_structure_fn(
        type_,
        converter,
        _cattrs_forbid_extra_keys=True,
        _cattrs_detailed_validation=True,
        **{each.name: override(omit=True) for each in fields(type_) if not each.compare},  # type: ignore[arg-type]
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
            known = keys_of(error.cl)
            for key in sorted(error.extra_fields, key=str):
                message = f"unknown key ({known_or_meant(str(key), known)}), got {_got(got[key])}"
                if got[key] is None and ":" in str(key):
                    message = "a space is missing after the ':'"
                path = (*keys, key)
                yield Problem(keys=path, kind=ProblemKind.KEY, message=message, refused=path)
        case KeyError():
            message = "should be given, got nothing"
            yield Problem(keys=keys, kind=ProblemKind.KEY, message=message, type_=type_, refused=keys)
        case TypeError() | AttributeError():
            message = f"should be {_in_words(type_, words)}, got {_got(got)}"
            if type_ is str and isinstance(got, int | float):
                message += "; put it in quotes"
            if got is None and keys and isinstance(keys[-1], str):
                message += "; give a value, or leave the key out"
            yield Problem(keys=keys, kind=ProblemKind.TYPE, message=message, refused=keys)
        case RecordError(problems=problems):
            for key, message in problems:
                path = (*keys, key) if key else keys
                yield Problem(keys=path, kind=ProblemKind.VALUE, message=message, refused=keys)
        case _:
            # The keys already say where the value is, so the class name in front is left out.
            message = str(error).removeprefix(f"{getattr(type_, '__name__', '')}: ")
            yield Problem(keys=keys, kind=ProblemKind.VALUE, message=message, refused=keys)


def _got(value: object) -> str:
    return "nothing" if value is None else short_repr(value)


def _value(data: Any, keys: Keys) -> Any:
    for key in keys:
        if isinstance(data, Mapping) and key not in data:
            return None
        data = data[key]
    return data


def _mended(data: Any, problem: Problem, stand_ins: Mapping[Any, Any]) -> bool:
    """Remove a refused value, or put a stand-in where one is missing; return False if neither is possible."""
    if not problem.refused:
        return False
    *path, last = problem.refused
    for key in path:
        try:
            data = data[key]
        except (KeyError, IndexError, TypeError):  # removed before, with the value around it
            return True
    if not isinstance(data, dict):
        return False
    if last in data:
        del data[last]
    elif problem.type_ in stand_ins:
        data[last] = stand_ins[problem.type_]
    else:
        return problem.kind is ProblemKind.VALUE  # removed before, with another problem of the same record
    return True


def _in_words(type_: Any, words: Mapping[Any, str]) -> str:
    if type_ in words:
        return words[type_]
    if isinstance(type_, UnionType):  # of one type and None
        (type_,) = (alternative for alternative in get_args(type_) if alternative is not NoneType)
    type_ = get_origin(type_) or type_
    if type_ in words:
        return words[type_]
    return words[str] if issubclass(type_, StrEnum | Path) else words[dict]

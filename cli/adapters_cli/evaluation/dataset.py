"""The items of an evaluation, from a file of rows, and the template of their prompts."""

import hashlib
import json
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.naming import known_or_meant
from adapters_cli.evaluation.dataset_rows import NO_JSON as _NO_JSON
from adapters_cli.evaluation.dataset_rows import Row, rows_of
from adapters_cli.evaluation.result import DatasetFacts


@dataclass(frozen=True)
class PromptTemplate:
    """A text such as `Ticket: {text}` with the names of columns. `{{` and `}}` stand for braces.

    Nothing but a column's name fits between braces: no attribute, index, conversion or format.
    """

    text: str
    _parts: tuple[tuple[str, str | None], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Read the template; raise ValueError if it is none."""
        try:
            parts = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise ValueError(
                f"'--template' should have pairs of braces, '{{{{' for a brace of its own ({error}), got"
                f" {self.text!r}"
            ) from None
        for _, column, format_, conversion in parts:
            if column is not None and (not column or format_ or conversion):
                raise ValueError(
                    f"'--template' should have only names of columns between braces, got {self.text!r}"
                )
        object.__setattr__(self, "_parts", tuple((text, column) for text, column, _, _ in parts))
        if not self.columns:
            raise ValueError(
                f"'--template' should have a column's name in braces, such as '{{text}}', got {self.text!r}"
            )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the template names, each once."""
        return tuple(dict.fromkeys(column for _, column in self._parts if column is not None))

    def fill(self, row: Mapping[str, str]) -> str:
        """Return the template with the texts of a row, which has all its columns."""
        return "".join(text + (row[column] if column is not None else "") for text, column in self._parts)


_ROLES = ("system", "developer", "user", "assistant")
_MOST_PROBLEMS = 20
_PROMPT, _MESSAGES = "prompt", "messages"

Message = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """How rows become items.

    template:
        Makes the prompt of several columns, in place of the column `prompt`.
    only_with_reference:
        True if rows without a reference are of another task.
    """

    reference_column: str = "reference"
    template: str | None = None
    only_with_reference: bool = False


@dataclass(frozen=True, kw_only=True)
class Item:
    """What is asked, and what the right answer is.

    id:
        From the column `id`; without one, the row's number.
    prompt:
        What reports show. Without `messages` it is what is sent.
    messages:
        The conversation that is sent; None for a plain prompt.
    """

    id: str
    prompt: str
    reference: str
    messages: tuple[Message, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """The items that are asked, and where they come from."""

    items: Sequence[Item]
    facts: DatasetFacts


def read_dataset(source: str, options: DatasetOptions) -> Dataset:
    """Read the items of a file.

    Without a template and a column `prompt`, the column `messages` has conversations, lists of
    `{"role": …, "content": …}`. If there is no column of references, the last message of the assistant is the
    reference. Raises one ValueError for all rows that are wrong.
    """
    # Read twice, as the columns of all rows decide how each is read. All rows take more memory than items.
    count, columns = 0, dict[str, None]()
    for row in rows_of(source):
        count += 1
        columns.update(dict.fromkeys(row.values))
    if not count:
        raise ValueError(f"'--dataset' should have a row or more, got none in {source}")
    items = _ItemReader(source, options, columns=[*columns]).items(rows_of(source))
    if not items:
        raise ValueError(
            f"'--dataset' should have a row with '{options.reference_column}', got none in {source}"
        )
    facts = DatasetFacts(source=source, digest=_digest(items), items=len(items))
    return Dataset(items=items, facts=facts)


def _digest(items: Sequence[Item]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(json.dumps([item.id, item.prompt, item.reference]).encode() + b"\n")
    return digest.hexdigest()


class _RowError(ValueError):
    """A row is wrong. Each argument is a problem, and names the column."""


class _ItemReader:
    """Makes items of rows; `columns` are those that a row or more has."""

    def __init__(self, source: str, options: DatasetOptions, *, columns: Sequence[str]) -> None:
        self._source = source
        self._options = options
        self._template = PromptTemplate(options.template) if options.template is not None else None
        self._id_column = "id" if "id" in columns else None
        self._has_messages = self._template is None and _PROMPT not in columns and _MESSAGES in columns
        # A conversation of a tuning file ends with the right answer.
        self._has_reference = not self._has_messages or options.reference_column in columns
        whole = (self._asked, self._reference) if self._has_reference else (self._tuning_example,)
        self._readers = (self._id, *whole)
        if columns:
            self._check_columns(columns)

    def items(self, rows: Iterable[Row]) -> list[Item]:
        items: list[Item] = []
        problems: list[str] = []
        seen: dict[str, str] = {}
        for row in rows:
            reference = row.values.get(self._options.reference_column)
            is_empty = reference is None or (isinstance(reference, str) and not reference.strip())
            if self._options.only_with_reference and row.problem is None and is_empty:
                continue
            try:
                item = self._item(row)
                if (first := seen.setdefault(item.id, row.place)) != row.place:
                    raise _RowError(f"'{self._id_column}' should be unique, got {item.id!r} as in {first}")
            except _RowError as error:
                problems += [f"{self._source}, {row.place}: {problem}" for problem in error.args]
            else:
                items.append(item)
        if problems and all(_NO_JSON in problem for problem in problems) and not items:
            raise ValueError(f"{problems[0]}; no line is JSON, so it may be of another form (.csv, .json)")
        if problems:
            more = len(problems) - _MOST_PROBLEMS
            rest = [f"and {more} more"] if more > 0 else []
            raise ValueError("\n".join(problems[:_MOST_PROBLEMS] + rest))
        return items

    def _check_columns(self, columns: Sequence[str]) -> None:
        """Refuse names that no row has: that is one mistake, not one of each row."""
        reference = self._options.reference_column
        is_given = reference != DatasetOptions.reference_column
        needs_prompt = self._template is None and not self._has_messages and _PROMPT not in columns
        named = {
            "--reference-column": (reference,) if self._has_reference and is_given else (),
            "--template": self._template.columns if self._template is not None else (),
        }
        problems = [
            f"'{option}' should name columns of {self._source} ({known_or_meant(column, columns)}), got"
            f" {column!r}"
            for option, names in named.items()
            for column in names
            if column not in columns
        ]
        if len(columns) == 1 and ";" in columns[0]:
            raise ValueError(
                f"{self._source} should have commas between its columns, got {columns[0]!r:.100}"
            )
        if needs_prompt and "conversations" in columns:
            raise ValueError(
                f"{self._source} should have 'messages' with 'role' and 'content', got the 'conversations' of"
                " ShareGPT"
            )
        # People write the question first, and the answer last.
        own = [name for name in columns if name not in (self._id_column, _PROMPT, _MESSAGES, reference)]
        if self._has_reference and not is_given and reference not in columns:
            answer = f", as in --reference-column '{own[-1]}'" if len(own) > needs_prompt else ""
            problems.append(
                f"{self._source} should have a column '{reference}' ({known_or_meant(reference, columns)});"
                f" '--reference-column' names another one{answer}"
            )
        if needs_prompt:
            question = f", as in --template '{{{own[0]}}}'" if own else ""
            problems.append(
                f"{self._source} should have a column 'prompt' or 'messages'"
                f" ({known_or_meant(_PROMPT, columns)}); '--template' makes a prompt of others{question}"
            )
        if problems:
            raise ValueError("\n".join(problems))

    def _item(self, row: Row) -> Item:
        if row.problem is not None:
            raise _RowError(row.problem)
        found: dict[str, Any] = {}
        problems: list[str] = []
        for read in self._readers:
            try:
                found |= read(row.values)
            except _RowError as error:
                problems += error.args
        if problems:
            raise _RowError(*problems)
        return Item(**{"id": row.number, **found})

    def _id(self, values: Mapping[str, object]) -> dict[str, Any]:
        return {} if self._id_column is None else {"id": _text(values, self._id_column, empty=False)}

    def _reference(self, values: Mapping[str, object]) -> dict[str, Any]:
        return {"reference": _text(values, self._options.reference_column)}

    def _asked(self, values: Mapping[str, object]) -> dict[str, Any]:
        if not self._has_messages:
            return {"prompt": self._prompt(values)}
        messages = tuple(_conversation(values.get(_MESSAGES)))
        return {"prompt": _transcript(messages), "messages": messages}

    def _tuning_example(self, values: Mapping[str, object]) -> dict[str, Any]:
        """Return the messages in front of the last one, and that as the reference."""
        *messages, last = _conversation(values.get(_MESSAGES))
        if last["role"] != "assistant" or not messages:
            raise _RowError(
                f"'{_MESSAGES}' should end with a message of the assistant, which is the reference, got"
                f" {short_repr(last)}"
            )
        return {"prompt": _transcript(messages), "messages": tuple(messages), "reference": last["content"]}

    def _prompt(self, values: Mapping[str, object]) -> str:
        if self._template is None:
            return _text(values, _PROMPT, empty=False)
        return self._template.fill({column: _text(values, column) for column in self._template.columns})


def _conversation(value: object) -> Iterator[Message]:
    if isinstance(value, str):  # in CSV
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise _RowError(f"'{_MESSAGES}' should be a list of messages, got {short_repr(value)}") from None
    if not isinstance(value, list) or not value:
        raise _RowError(f"'{_MESSAGES}' should be a list of messages, got {short_repr(value)}")
    for message in value:
        match message:
            case {"role": str(role), "content": str(content)} if role in _ROLES:
                yield {"role": role, "content": _checked(content, _MESSAGES)}
            case _:
                raise _RowError(
                    f"'{_MESSAGES}' should have messages with a text as 'content' and one of"
                    f" {', '.join(_ROLES)} as 'role', got {short_repr(message)}"
                )


def _transcript(messages: Sequence[Message]) -> str:
    return "\n\n".join(f"{message['role']}: {message['content']}" for message in messages)


def _text(values: Mapping[str, object], column: str, *, empty: bool = True) -> str:
    """Return a column as text. Numbers and JSON become what they are in JSON."""
    value = values.get(column)
    if value is None:
        raise _RowError(f"'{column}' should have a value, got none")
    if not isinstance(value, str):
        try:
            value = json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):
            raise _RowError(f"'{column}' should be text or JSON, got {short_repr(value)}") from None
    if not empty and not value.strip():
        raise _RowError(f"'{column}' should not be empty, got {short_repr(value)}")
    return _checked(value, column)


def _checked(text: str, column: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _RowError(f"'{column}' has half of a surrogate pair, which is no character") from None
    return text

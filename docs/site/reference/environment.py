"""The page of the environment files, from the dataclasses that read them."""

import dataclasses
import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.environment import Environment
from docs.site.markdown import anchor, wrapped
from docs.site.reference.docstrings import to_markdown
from docs.site.reference.since import if_newer, since

FILE = "environment.md"
_LORA = "constructs/base-models.md#loraserving"

_NAME = "NAME"
"""Stands for a name that the user chooses. Tags as `<name>` have other anchors on a code host."""

_ENTRY = re.compile(r"^(\w+(?:, \w+)*):\n((?:    .*\n?)+)", re.MULTILINE)

_WORDS: Mapping[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
    Path: "path",
    Any: "anything",
}


def page() -> str:
    """Return the page."""
    parts = [
        "# Environment files",
        wrapped(
            "Every key of `environments/<name>.toml`. The reference app deploys one file:"
            " `cdk deploy -c environment=<name>`. Relative paths are relative to the file. Keys may be left"
            " out, except for those marked *needed*. A wrong key or value is an error at synth. `stacks`,"
            " or an app of your own, sets what is not here."
            " [Preflight](../how-to/preflight.md#a-file-for-your-own-app) has a whole file."
        ),
    ]
    for path, table_class in tables():
        parts += _section(path, table_class)
    parts += ["## `[tags]`", "Tags of the stack, and of every component of its fleets.", "- `KEY`: text"]
    return "\n\n".join(parts) + "\n"


def tables() -> Iterator[tuple[str, type]]:
    """Yield each table of a file with its first path, such as `[[endpoint.instance_pools]]`."""
    first: dict[type, str] = {}
    for path, table_class in _below("", Environment):
        first.setdefault(table_class, path)
    yield from ((path, table_class) for table_class, path in first.items())


def _below(path: str, owner: type) -> Iterator[tuple[str, type]]:
    for name, hint in get_type_hints(owner).items():
        inner, shape = _table_of(hint)
        if inner is None:
            continue
        at = f"{path}.{name}" if path else name
        if shape is dict:
            at = f"{at}.{_NAME}"
        yield (f"[[{at}]]" if shape is list else f"[{at}]"), inner
        yield from _below(at, inner)


def _table_of(hint: Any) -> tuple[type | None, type | None]:
    """Return the dataclass of a table, and whether it stands in a list or in a dictionary."""
    shape = get_origin(hint) if get_origin(hint) in (list, dict) else None
    for each in (hint, *get_args(hint)):
        if isinstance(each, type) and dataclasses.is_dataclass(each):
            return each, shape
    return None, shape


def _section(path: str, table_class: type) -> Iterator[str]:
    yield f"## `{path}`"
    yield since(path)
    about = inspect.getdoc(table_class) or ""
    # The docstring begins with the name of the table, which the heading has.
    about = about.removeprefix(f"`{path.replace(_NAME, '<name>')}`: ")
    about = about[:1].upper() + about[1:]
    if table_class is LoraServing:
        about = about.partition("\n\n")[0] + f" [`LoraServing`]({_LORA}) explains them."
    yield to_markdown(_ENTRY.split(about)[0], path, links=lambda _: None, root="../")
    hints = get_type_hints(table_class)
    meanings = {name: f". {found[2]}" for found in _ENTRY.finditer(about) for name in found[1].split(", ")}
    yield "\n".join(
        wrapped(
            f"- `{each.name}`: {_type(hints[each.name])}{_default(each)}"
            + " ".join(meanings.get(each.name, "").split())
            + if_newer(f"{path}.{each.name}"),
            indent="  ",
        )
        for each in dataclasses.fields(table_class)
    )


def _type(hint: Any) -> str:
    inner, shape = _table_of(hint)
    if inner is not None:
        (path,) = (path for path, table_class in tables() if table_class is inner)
        word = "tables" if shape is list else "table"
        return f"[{word}](#{anchor(path)})"
    return _word(hint)


def _word(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return " or ".join(_word(each) for each in arguments if each is not NoneType)
    if origin is list:
        return f"list of {_word(arguments[0])}"
    if origin is dict:
        return f"table of {_word(arguments[1])}"
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _choices(list(hint))
    return _WORDS.get(hint, getattr(hint, "__name__", str(hint)))


def _choices(members: Sequence[Enum]) -> str:
    if all(isinstance(each.value, str) for each in members):
        return ", ".join(f"`{each.value}`" for each in members)
    # A release of a container is written as its number, `19` or `2.6`.
    return "a release, " + ", ".join(f"`{each.name.removeprefix('V').replace('_', '.')}`" for each in members)


def _default(field: "dataclasses.Field[Any]") -> str:
    if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
        return ", *needed*"
    value = field.default
    if value in (None, "", dataclasses.MISSING) or dataclasses.is_dataclass(value):
        return ""
    return f", default `{str(value).lower() if isinstance(value, bool) else value}`"

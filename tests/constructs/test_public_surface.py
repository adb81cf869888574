"""What a user sees names only what a user can import from the library."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

import multi_adapter_inference as library

ROOMS = ("multi_adapter_inference", "adapter_fleet")
PUBLIC = {name: getattr(library, name) for name in library.__all__}


def own_classes(annotation: Any) -> Iterator[type]:
    """Yield the classes of this repository in an annotation."""
    if inspect.isclass(annotation) and annotation.__module__.startswith(ROOMS):
        yield annotation
    for part in annotation if isinstance(annotation, list | tuple) else get_args(annotation):
        yield from own_classes(part)


def public_annotations(cls: type) -> Iterator[tuple[str, Any]]:
    """Yield the public annotations that the library's room wrote: of fields, properties and methods.

    What a class inherits from `adapter_fleet` is not in the reference.
    """
    for base in cls.__mro__:
        if not base.__module__.startswith("multi_adapter_inference"):
            continue
        yield from ((name, hint) for name, hint in get_type_hints(base).items() if not name.startswith("_"))
        for name, member in vars(base).items():
            if name.startswith("_") and name != "__init__":
                continue
            found: Any = member.fget if isinstance(member, property) else member
            found = found.func if isinstance(found, functools.cached_property) else found
            found = inspect.unwrap(getattr(found, "__func__", found))
            if inspect.isfunction(found):
                hints = get_type_hints(found).items()
                yield from ((f"{name}({key})", hint) for key, hint in hints if not key.startswith("_"))


@pytest.mark.parametrize("name", PUBLIC)
def test_signatures_name_only_exported_types(name: str) -> None:
    exported = set(PUBLIC.values())
    assert not [
        f"{name}.{member}: {each.__name__}"
        for member, annotation in public_annotations(PUBLIC[name])
        for each in own_classes(annotation)
        if each not in exported
    ]

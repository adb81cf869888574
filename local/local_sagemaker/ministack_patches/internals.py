"""Helpers for patches of ministack 1.5.33, which replace functions at run time and change no file.

Each patch works around one fault of ministack and has a test that fails without the patch. Patches use
ministack's internals, so each checks first that these are as expected.
"""

import sys
from collections.abc import Callable
from importlib.metadata import version
from types import ModuleType
from typing import Any

from ministack.services.cloudformation import provisioners


class UnknownMinistackError(Exception):
    """The internals of this ministack differ from those of the pinned version."""


def expect(holds: bool, what: str) -> None:
    """Raise UnknownMinistackError unless an expectation about ministack's internals holds."""
    if not holds:
        raise UnknownMinistackError(
            f"ministack {version('ministack')} is not built as expected: {what}; the embedded cloud needs "
            "1.5.33"
        )


def expect_names(module: ModuleType, *names: str) -> None:
    """Raise UnknownMinistackError unless a module of ministack has all the names."""
    for name in names:
        expect(hasattr(module, name), f"{module.__name__}.{name} exists")


def provision_type(name: str, handlers: Any, create_only: tuple[str, ...]) -> None:
    """Let CloudFormation provision a type by handlers with the methods create, update and delete."""
    operations = ("create", "update", "delete")
    provisioners._RESOURCE_HANDLERS[name] = {each: getattr(handlers, each) for each in operations}
    provisioners._REPLACING_PROPERTIES[name] = create_only


def after_provisioning(resource_type: str, apply: Callable[[str, dict[str, Any]], None]) -> None:
    """Call a function with the physical id and the properties after each create and update of a type."""
    handlers = provisioners._RESOURCE_HANDLERS.get(resource_type, {})
    expect({"create", "update"} <= handlers.keys(), f"{resource_type} has create and update handlers")

    @replaces(handlers, "create")
    def create_and_apply(create: Any, logical_id: str, properties: dict[str, Any], stack: str) -> Any:
        provisioned = create(logical_id, properties, stack)
        apply(provisioned[0], properties)
        return provisioned

    @replaces(handlers, "update")
    def update_and_apply(
        update: Any, physical_id: str, old: Any, new: dict[str, Any], *more: Any, **named: Any
    ) -> Any:
        provisioned = update(physical_id, old, new, *more, **named)
        apply(provisioned[0], new)
        return provisioned


def replaces(holder: Any, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace a function, by its name in a module, a class or a table, by one whose first argument it is.

    Raises UnknownMinistackError if there is no such function.
    """
    in_table = isinstance(holder, dict)
    place = "a table of ministack" if in_table else holder.__name__
    expect(name in holder if in_table else hasattr(holder, name), f"{place} has {name}")
    original = holder[name] if in_table else getattr(holder, name)

    def install(function: Callable[..., Any]) -> Callable[..., Any]:
        def replacement(*arguments: Any, **options: Any) -> Any:
            return function(original, *arguments, **options)

        if in_table:
            holder[name] = replacement
        else:
            setattr(holder, name, replacement)
        return replacement

    return install


def replace_everywhere(package: ModuleType, original: Any, replacement: Any) -> None:
    """Replace a function in each module of a package that has imported it."""
    for name, module in list(sys.modules.items()):
        if name == package.__name__ or name.startswith(f"{package.__name__}."):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    setattr(module, attribute, replacement)

"""Gaps of ministack 1.5.33, mended from outside: nothing of it is changed on disk.

A module mends one gap and has one test that fails without it. They reach into ministack's internals, so each
looks first whether these still have the shape it knows, and says so when they do not.
"""

import sys
from importlib.metadata import version
from types import ModuleType
from typing import Any


class UnknownMinistackError(Exception):
    """This ministack is built differently from the one that is pinned."""


def expect(holds: bool, what: str) -> None:
    """Raise UnknownMinistackError unless an internal is as it is known to be."""
    if not holds:
        raise UnknownMinistackError(
            f"ministack {version('ministack')} is not built as expected: {what}; the embedded cloud needs "
            "1.5.33"
        )


def replace_everywhere(package: ModuleType, original: Any, mended: Any) -> None:
    """Replace a function in each module of a package that has imported it."""
    for name, module in list(sys.modules.items()):
        if name == package.__name__ or name.startswith(f"{package.__name__}."):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    setattr(module, attribute, mended)

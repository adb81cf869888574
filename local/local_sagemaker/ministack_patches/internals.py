"""Helpers for patches of ministack 1.5.33, which replace functions at run time and change no file.

Each patch works around one fault of ministack and has a test that fails without the patch. Patches use
ministack's internals, so each checks first that these are as expected.
"""

import sys
from importlib.metadata import version
from types import ModuleType
from typing import Any


class UnknownMinistackError(Exception):
    """The internals of this ministack differ from those of the pinned version."""


def expect(holds: bool, what: str) -> None:
    """Raise UnknownMinistackError unless an expectation about ministack's internals holds."""
    if not holds:
        raise UnknownMinistackError(
            f"ministack {version('ministack')} is not built as expected: {what}; the embedded cloud needs "
            "1.5.33"
        )


def replace_everywhere(package: ModuleType, original: Any, replacement: Any) -> None:
    """Replace a function in each module of a package that has imported it."""
    for name, module in list(sys.modules.items()):
        if name == package.__name__ or name.startswith(f"{package.__name__}."):
            for attribute, value in list(vars(module).items()):
                if value is original:
                    setattr(module, attribute, replacement)

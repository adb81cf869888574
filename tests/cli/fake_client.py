"""A client of boto3 that answers some operations from a test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any


class FakeClient:
    """Answers calls and paginators with functions of a test, and any other one with a real client.

    pages:
        Functions that yield pages, by the operations.
    """

    def __init__(
        self, real: Any = None, *, pages: Mapping[str, Callable[..., Any]] | None = None, **calls: Any
    ) -> None:
        self._real, self._pages, self._calls = real, pages or {}, calls

    def get_paginator(self, operation: str) -> Any:
        if operation in self._pages:
            return SimpleNamespace(paginate=self._pages[operation])
        return self._real.get_paginator(operation)

    def __getattr__(self, name: str) -> Any:
        return self._calls[name] if name in self._calls else getattr(self._real, name)

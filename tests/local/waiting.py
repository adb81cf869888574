"""Waiting for what a running cloud does by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


def until(find: Callable[[], Found], seconds: float = 20) -> Found:
    """Look until something is found that is not false or empty; return it. AssertionError after some time."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found

"""Errors that tell where in the app something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from constructs import Construct


@contextmanager
def told_of(construct: Construct) -> Iterator[None]:
    """Begin the message of a ValueError raised in here with the path of `construct`."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"'{construct.node.path}': {error}") from None

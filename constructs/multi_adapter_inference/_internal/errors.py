"""Errors that tell where in the app something is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from constructs import Construct


class LocatedError(ValueError):
    """An error whose message begins with where in the app it is."""


@contextmanager
def error_context(construct: Construct) -> Iterator[None]:
    """Begin the message of a ValueError raised in here with the path of `construct`."""
    try:
        yield
    except LocatedError:
        raise
    except ValueError as error:
        raise LocatedError(f"'{construct.node.path}': {error}") from None

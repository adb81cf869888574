"""Errors that begin with the path of a construct."""

from collections.abc import Iterator
from contextlib import contextmanager

from constructs import Construct


class LocatedError(ValueError):
    """An error whose message begins with the construct or the class that it is about."""


@contextmanager
def error_context(construct: Construct) -> Iterator[None]:
    """Put the path of `construct` in front of a ValueError that is raised inside."""
    try:
        yield
    except LocatedError:
        raise
    except ValueError as error:
        raise LocatedError(f"'{shown_path(construct)}': {error}") from None


def shown_path(construct: Construct) -> str:
    """Return the path of a construct, or of the one whose main part it is: its id is `Default` then."""
    return construct.node.path.removesuffix("/Default")

"""The world of the embedded cloud's own tests."""

from tests.local.conftest import world

__all__ = ["world"]

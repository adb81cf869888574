"""What tests of several patches share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.local.functions import functions


@pytest.fixture
def function(client: Callable[..., Any]) -> Iterator[Callable[[str], str]]:
    """Makes Lambda functions of Python source with a `handler`."""
    yield from functions(client("lambda"))

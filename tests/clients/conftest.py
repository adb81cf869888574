"""What the tests of clients share: one cloud with one fleet, and what each client did."""

import os
from collections.abc import Iterator

import pytest

from tests.clients.clients import CLIENTS, PART


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    from tests.clients.world import deployed  # the CDK takes a second to import

    with deployed(tmp_path_factory.mktemp("clients")) as running:
        yield running


@pytest.fixture(scope="session")
def tried(request: pytest.FixtureRequest) -> Iterator[set[str]]:
    """The clients that were tried; written into the guide if `RECORD` is set and all went as is known."""
    found: set[str] = set()
    yield found
    if "RECORD" in os.environ and len(found) == len(CLIENTS) and not request.session.testsfailed:
        PART.write()

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.adapter_fleet.synthetic import SyntheticAdapter


@pytest.fixture
def adapter() -> SyntheticAdapter:
    """An adapter that nothing is wrong with."""
    return SyntheticAdapter()


@pytest.fixture
def save(tmp_path: Path) -> Callable[[SyntheticAdapter], Path]:
    """Save an adapter to a new directory."""
    return lambda adapter: adapter.save(tmp_path / "adapter")

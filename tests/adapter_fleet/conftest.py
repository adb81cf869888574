from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.adapter_fleet.synthetic import SyntheticAdapter

# How fast a test is says something of the machine and of what else runs on it.
settings.register_profile(
    "adapter_fleet",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("adapter_fleet")


@pytest.fixture
def adapter() -> SyntheticAdapter:
    """An adapter that nothing is wrong with."""
    return SyntheticAdapter()


@pytest.fixture
def save(tmp_path: Path) -> Callable[[SyntheticAdapter], Path]:
    """Save an adapter to a new directory."""
    return lambda adapter: adapter.save(tmp_path / "adapter")

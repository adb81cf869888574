"""What all tests share."""

import gc
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.chromium import Browser, chromium
from tests.nightly import NIGHTLY

# Until all is imported, there is nothing to collect; see `pytest_collection_finish`.
gc.disable()

# The CDK's own validation of templates takes seconds at each synth. The variable is read when the CDK is
# imported.
os.environ["CDK_VALIDATION"] = "false"

# Parallel tests keep every processor busy: more threads for the small matrices of the model server only wait.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

# A shell starts the background jobs of a script with SIGINT ignored, and nohup ignores SIGHUP; every process
# below inherits that. A command has to respect it, so the tests that interrupt one would wait in vain. With a
# handler here, new processes start with the default again.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

UNIT_SECONDS = 5.0

# How fast a test is says something of the machine and of what else runs on it.
settings.register_profile(
    "tests",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("tests")
# `make unit` draws fewer examples. What they miss, `make test` finds.
settings.register_profile("quick", settings.get_profile("tests"), max_examples=20)
# The same examples for each mutant, and nobody reads the one that fails.
MUTANTS = {"derandomize": True, "phases": (Phase.explicit, Phase.generate)}
settings.register_profile("mutants", settings.get_profile("quick"), **MUTANTS)

RUNNING_CLOUDS = {"cloud", "guarded"}
"""The fixtures that start an embedded cloud."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that use a running embedded cloud, and put them first: their files take longest.

    A test that starts a cloud of its own has the marker itself.
    """
    for item in items:
        if RUNNING_CLOUDS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)
    items.sort(key=lambda item: item.get_closest_marker("integration") is None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Let a test of `make unit` take no more than some seconds of a processor, on any machine.

    By night it may take long.
    """
    began = time.process_time()
    yield
    if not NIGHTLY and not any(map(item.get_closest_marker, ("slow", "integration", "documents", "vllm"))):
        spent = time.process_time() - began
        assert spent < UNIT_SECONDS, (
            f"it took {spent:.1f} s of a processor; mark it `slow`, or make it cheaper"
        )


def pytest_collection_finish() -> None:
    """Leave what is imported by now, the CDK above all, out of every further garbage collection."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as running:
        yield running


@pytest.fixture
def adapter(tmp_path: Path) -> SyntheticAdapter:
    """An adapter that nothing is wrong with."""
    return SyntheticAdapter(folder=tmp_path / "adapter")

"""What all tests share."""

import gc
import os
import signal

import pytest

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


def pytest_collection_finish() -> None:
    """Leave what is imported by now, the CDK above all, out of every further garbage collection."""
    gc.collect()
    gc.freeze()
    gc.enable()

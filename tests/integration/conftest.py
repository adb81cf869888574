"""What the integration tests share: one running embedded cloud, and one with IAM enforcement on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from local_sagemaker.server import LocalCloud
from tests.iam.record import Recording, only_recorded_calls, recording
from tests.iam.recorded_cloud import RecordedCloud
from tests.profiles import PROFILE
from tests.vllm.environment import engine_command

if TYPE_CHECKING:
    from tests.integration.fleet_stack import Endpoint, FleetStack


__all__ = ["only_recorded_calls", "recording"]

# `make qa SUITE=vllm` sets the variable, and runs some of these tests on vLLM.
PYTHON_OF_VLLM = os.environ.get("VLLM_PYTHON")
ENGINE = {"engine_command": engine_command(PYTHON_OF_VLLM)} if PYTHON_OF_VLLM else {}


@pytest.fixture(scope="session")
def cloud(recording: Recording) -> Iterator[LocalCloud]:
    """An embedded cloud of the run's profile."""
    with RecordedCloud(recording.path, profile=PROFILE, settings=ENGINE) as running:
        yield running


@pytest.fixture(scope="session")
def guarded(recording: Recording) -> Iterator[LocalCloud]:
    """An embedded cloud that enforces IAM, over TLS."""
    with RecordedCloud(recording.path, profile=PROFILE, iam=True) as running:
        yield running


@pytest.fixture(scope="module")
def short_waits(cloud: LocalCloud) -> Iterator[None]:
    """State machines that wait for a tenth of their time."""
    cloud.admin.scale_waits(0.1)
    yield
    cloud.admin.scale_waits(1)


@pytest.fixture(scope="session")
def shared_endpoint(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoint]:
    """An endpoint with a base model, in a stack of its own, for the fleets of any test."""
    from tests.integration.fleet_stack import FleetStack  # the CDK takes a second to import

    stack = FleetStack(cloud, tmp_path_factory.mktemp("endpoint"))
    created = stack.create().succeeded()
    yield stack.attributes(created.outputs)
    stack.delete().succeeded()


@pytest.fixture(scope="module")
def stack(
    cloud: LocalCloud, shared_endpoint: Endpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FleetStack]:
    """A stack for the fleets of a module, on the shared endpoint."""
    from tests.integration.fleet_stack import FleetStack  # the CDK takes a second to import

    made = FleetStack(cloud, tmp_path_factory.mktemp("stack"), endpoint=shared_endpoint)
    yield made
    cloud.admin.clear_faults()
    made.delete().succeeded()

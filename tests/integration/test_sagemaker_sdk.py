"""The SageMaker Python SDK v2 against the embedded cloud: what the AWS post's last step calls."""

from __future__ import annotations

import subprocess

import pytest

from local_sagemaker.server import LocalCloud
from tests.clients.environments import Environment
from tests.integration.by_hand import ByHand

pytestmark = pytest.mark.integration

SDK_PYTHON = Environment("sagemaker-2").python
DELETE = """
import sys, time
import sagemaker

# The SDK looks every 20 seconds, which is for a service that takes minutes.
sleep = time.sleep
time.sleep = lambda seconds: sleep(min(seconds, 0.5))

session = sagemaker.session.Session()
for name in sys.argv[1:]:
    session.delete_inference_component(name, wait=True)
"""


def test_sdk_deletes_adapter_and_base_and_waits_until_they_are_gone(cloud: LocalCloud) -> None:
    assert SDK_PYTHON.exists(), "the SDK has an environment of its own: run the suite with `make test`"
    with ByHand(cloud) as made:
        adapter = made.adapter("triage")

        subprocess.run(
            [SDK_PYTHON, "-W", "ignore", "-c", DELETE, adapter, made.base],
            env={**cloud.environment, "SAGEMAKER_SUPPRESS_V2_WARNING": "1"},
            check=True,
            timeout=120,
        )

        assert made.components() == []

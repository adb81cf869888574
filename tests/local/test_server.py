"""A cloud's start and stop, and its clients: what they read of this machine's AWS configuration."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud, LocalCloudOptions


@pytest.fixture
def cloud() -> LocalCloud:
    """A cloud that does not run, with the variables of one that does."""
    cloud = LocalCloud()
    cloud.url = "http://127.0.0.1:1"
    cloud.environment = {
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }
    return cloud


def test_client_needs_no_profile_that_the_environment_names(
    cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of-another-machine")
    assert cloud.client("s3").meta.endpoint_url == cloud.url


def test_client_reads_no_configuration_file(
    cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text("[default]\nmax_attempts = 9\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    client = cloud.client("s3")
    assert "total_max_attempts" not in client.meta.config.retries


def test_options_are_the_arguments() -> None:
    arguments = set(inspect.signature(LocalCloud).parameters)
    assert set(LocalCloudOptions.__annotations__) == arguments


def test_cloud_that_was_not_started_can_be_stopped() -> None:
    cloud = LocalCloud()
    cloud.stop()
    assert not hasattr(cloud, "process")

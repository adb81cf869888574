"""Settings of a cloud, its start and stop, and its clients."""

import inspect
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud, LocalCloudOptions
from local_sagemaker.settings import PROFILES, Settings


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "unknown setting 'colour'; known: profile, "),
        ({"adapter_update": "maybe"}, "'adapter_update' should be one of gapless, gap, refused, got 'maybe'"),
        ({"write_rate": -1}, "'write_rate' should be a number of at least 0, got -1"),
        ({"time_scale": 0}, "'time_scale' should be above 0"),
        ({"endpoint_seconds": float("inf")}, "'endpoint_seconds' should be a number of at least 0, got inf"),
        ({"one_write_per_base": 1}, "'one_write_per_base' should be of type bool, got 1"),
        ({"engine_command": "serve --config '{\"a\": 1}'"}, "'engine_command' should be a command with no"),
        ({"engine_command": "serve 'open"}, "'engine_command' should be a command with no placeholders"),
        ({"engine_command": " "}, "'engine_command' should be a command, got ' '"),
    ],
)
def test_wrong_setting_is_an_error_that_names_it(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as wrong:
        Settings().changed(changes)
    assert str(wrong.value).startswith(message)


def test_naming_a_profile_starts_from_it_and_keeps_what_serves_and_the_time() -> None:
    command = "serve --config '{{\"a\": 1}}' {model_dir} {port}"
    before = Settings(write_rate=7.0, engine_command=command, dialect="vllm", time_scale=0.5)
    changed = before.changed({"profile": "hostile", "update_gap_seconds": 3})
    assert (changed.adapter_update, changed.prefix_cache) == ("gap", "by_name")
    assert changed.write_rate == PROFILES["hostile"].write_rate
    assert changed.update_gap_seconds == 3
    assert (changed.engine_command, changed.dialect, changed.time_scale) == (command, "vllm", 0.5)
    assert changed.changed({"profile": "kind"}).prefix_cache == "off"


@pytest.mark.parametrize(
    ("dialect", "environment", "expected"),
    [
        ("container", {"OPTION_ENABLE_LORA": "true"}, "lmi"),
        ("container", {}, "lmi"),
        ("container", {"SM_VLLM_ENABLE_LORA": "true"}, "vllm"),
        ("lmi", {"SM_VLLM_ENABLE_LORA": "true"}, "lmi"),
        ("vllm", {"OPTION_ENABLE_LORA": "true"}, "vllm"),
    ],
)
def test_dialect_is_the_containers_unless_it_is_set(
    dialect: Any, environment: dict[str, str], expected: str
) -> None:
    assert Settings(dialect=dialect).container_dialect(environment) == expected


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

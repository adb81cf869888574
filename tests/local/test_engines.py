"""An engine that is not installed is refused before anything is deployed to it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.engines import check_engine
from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import Settings
from local_sagemaker.vllm_engine import __main__ as vllm_engine
from local_sagemaker.vllm_engine.base_rows import GROUP, PLUGIN

PLUGINS = EntryPoints([EntryPoint(PLUGIN, "local_sagemaker.vllm_engine.base_rows:register", GROUP)])


def python_that(folder: Path, script: str) -> str:
    """Make a command that stands in for the Python of an environment."""
    command = folder / "python"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o700)
    return str(command)


def test_numpy_is_always_there() -> None:
    check_engine(Settings(engine="numpy", engine_python="/no/python"))


def test_command_of_the_users_own_is_not_checked() -> None:
    check_engine(Settings(engine="vllm", engine_python="/no/python", engine_command="serve {port}"))


def test_environment_that_can_serve_is_taken(tmp_path: Path) -> None:
    python = python_that(tmp_path, '[ "$*" = "-m local_sagemaker.vllm_engine --check" ]')
    check_engine(Settings(engine="vllm", engine_python=python))


def test_environment_without_vllm_is_refused_with_how_to_install_it(tmp_path: Path) -> None:
    python = python_that(tmp_path, "echo 'vLLM is not installed' >&2; exit 1")
    with pytest.raises(ValueError, match="vLLM is not installed; in a checkout, `make vllm` installs it"):
        check_engine(Settings(engine="vllm", engine_python=python))


def test_python_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="No such file or directory: '/no/python'"):
        check_engine(Settings(engine="vllm", engine_python="/no/python"))


def test_running_cloud_refuses_an_engine_that_is_not_installed(
    cloud: LocalCloud, settings: Callable[..., Any]
) -> None:
    with pytest.raises(ValueError, match="'engine' should not be 'vllm' without vLLM"):
        settings(engine="vllm", engine_command="", engine_python="/no/python")
    assert cloud.admin.settings()["engine"] == "numpy"


@pytest.mark.parametrize(
    ("installed", "plugins", "missing"),
    [
        (False, PLUGINS, f"vLLM is not installed for {sys.executable}"),
        (True, EntryPoints(), "the package cdk-multi-adapter-inference should be installed"),
        (True, PLUGINS, None),
    ],
)
def test_vllm_and_the_plugin_for_base_rows_are_needed(
    installed: bool, plugins: EntryPoints, missing: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vllm_engine, "find_spec", lambda name: object() if installed else None)
    monkeypatch.setattr(vllm_engine, "entry_points", lambda *, group: plugins.select(group=group))
    said = vllm_engine.what_is_missing()
    assert said == missing or (said or "").startswith(missing or "-")

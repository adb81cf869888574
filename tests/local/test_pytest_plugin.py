"""The pytest plugin, in a pytest of its own with a cloud that only notes how it was started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Known before pytester notes which modules there are: it forgets all others after each run.
import local_sagemaker.__main__
import local_sagemaker.cdk_app
import local_sagemaker.local_fleet
import local_sagemaker.server  # noqa: F401
from local_sagemaker.cdk_app import Stack

pytest_plugins = ["pytester"]

ROOT = Path(__file__).parents[2]


class FakeCloud:
    """Has a cloud's variables, and the arguments it was made with."""

    environment: dict[str, str]

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.environment = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_DEFAULT_REGION": "us-east-1"}

    def __enter__(self) -> FakeCloud:
        return self

    def __exit__(self, *_: object) -> None:
        self.environment = {}


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A project whose only plugin is this one."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr("local_sagemaker.server.LocalCloud", FakeCloud)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_PROFILE", "mine")
    return pytester


def outcomes(project: pytest.Pytester, *arguments: str) -> dict[str, int]:
    return project.runpytest_inprocess("-p", "local_sagemaker.pytest_plugin", *arguments).parseoutcomes()


def test_plugin_imports_nothing_but_pytest() -> None:
    code = (
        "import sys, pytest; before = set(sys.modules); import local_sagemaker.pytest_plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT / "local")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["local_sagemaker", "local_sagemaker.pytest_plugin"]


@pytest.mark.parametrize(
    ("arguments", "ini", "expected"),
    [
        ([], "", "kind"),
        ([], "addopts = --local-cloud-profile hostile", "hostile"),
        (["--local-cloud-profile", "kind"], "addopts = --local-cloud-profile hostile", "kind"),
    ],
)
def test_cloud_has_the_profile_of_the_command_line_or_of_the_configuration_and_the_projects_options(
    project: pytest.Pytester, arguments: list[str], ini: str, expected: str
) -> None:
    project.makeini(f"[pytest]\n{ini}")
    project.makeconftest(
        "import pytest\n@pytest.fixture(scope='session')\n"
        "def local_cloud_options(): return {'account': '111122223333'}"
    )
    options = {"profile": expected, "account": "111122223333"}
    project.makepyfile(f"def test(local_cloud): assert local_cloud.options == {options}")
    assert outcomes(project, *arguments) == {"passed": 1}


def test_variables_of_the_cloud_and_the_session_of_boto3_are_those_of_a_test_while_it_runs(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("boto3.DEFAULT_SESSION", "mine")
    project.makepyfile(
        "import boto3, os\n"
        "def aws(): return {name: value for name, value in os.environ.items() if name[:4] == 'AWS_'}\n"
        "def test_one(local_cloud_variables): assert aws() == local_cloud_variables\n"
        "def test_two(): assert aws() == {'AWS_PROFILE': 'mine'}\n"
        "def test_three(local_cloud_variables): assert boto3.DEFAULT_SESSION is None\n"
        "def test_four(): assert boto3.DEFAULT_SESSION == 'mine'"
    )
    assert outcomes(project) == {"passed": 4}


def test_missing_extra_is_named(project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local_sagemaker.__main__.NEEDED", ("no_such_package",))
    project.makepyfile("def test(local_cloud): pass")
    result = project.runpytest_inprocess("-p", "local_sagemaker.pytest_plugin")
    result.stdout.fnmatch_lines("*no_such_package should be installed*WHEEL}[[]local[]]*")


def test_deployment_that_fails_is_shown_without_a_traceback(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("local_sagemaker.cdk_app.sys.executable", str(project.path / "python"))
    project.makepyfile("def test(local_fleet): pass")
    result = project.runpytest_inprocess("-p", "local_sagemaker.pytest_plugin")
    result.stdout.fnmatch_lines("the CDK command line should be on the PATH*npm install aws-cdk")
    result.stdout.no_fnmatch_line("*Traceback*")


def test_commands_of_a_deployment_are_on_the_terminal(
    project: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deploy(*_: object, report: Callable[[str], None]) -> list[Stack]:
        report("cdk synth")
        return []

    monkeypatch.setattr("local_sagemaker.cdk_app.CdkApp.deploy", deploy)
    project.makepyfile("def test(local_fleet): pass")
    result = project.runpytest_inprocess("-p", "local_sagemaker.pytest_plugin")
    result.stdout.fnmatch_lines("local_fleet: cdk synth")

"""The pytest plugin: an embedded cloud, and an app that is deployed to it, as fixtures of a session.

pytest loads it in every project that has this package, so nothing but pytest is imported before a test uses a
fixture. The extra `local` has what the fixtures need.

Fixtures:
    local_cloud: a running embedded cloud.
    local_cloud_variables: the same, with its variables in `os.environ` during a test.
    local_fleet: the app of `local_fleet_app`, deployed to `local_cloud`.
    local_cloud_options, local_fleet_app: what a project overrides in its `conftest.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from local_sagemaker.cdk_app import CdkApp
    from local_sagemaker.local_fleet import LocalFleet
    from local_sagemaker.server import LocalCloud, LocalCloudOptions

_PROFILE = "--local-cloud-profile"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of the embedded cloud."""
    text = "profile of the embedded cloud: kind (everything goes well) or hostile (everything goes wrong)"
    group = parser.getgroup("local_sagemaker", "embedded cloud of cdk-multi-adapter-inference")
    group.addoption(_PROFILE, choices=("kind", "hostile"), default="kind", help=text)


@pytest.fixture(scope="session")
def local_cloud_options() -> LocalCloudOptions:
    """Arguments of `local_cloud`. Override it, as with `{"account": "111122223333"}`."""
    return {}


@pytest.fixture(scope="session")
def local_cloud(pytestconfig: pytest.Config, local_cloud_options: LocalCloudOptions) -> Iterator[LocalCloud]:
    """A running `LocalCloud` on a free port. Each process of pytest-xdist has its own."""
    _require_extra()
    from local_sagemaker.server import LocalCloud

    options: LocalCloudOptions = {"profile": pytestconfig.getoption(_PROFILE), **local_cloud_options}
    with LocalCloud(**options) as cloud:
        yield cloud


@pytest.fixture
def local_cloud_variables(local_cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    """Lets boto3 reach `local_cloud` by the variables in `os.environ`."""
    import os

    import boto3

    # boto3's default session keeps the credentials that it found first.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    variables = {name: value for name, value in local_cloud.environment.items() if name.startswith("AWS_")}
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture(scope="session")
def local_fleet_app(pytestconfig: pytest.Config) -> CdkApp:
    """The `CdkApp` that `local_fleet` deploys: that of pytest's root folder. Override it."""
    _require_extra()
    from local_sagemaker.cdk_app import CdkApp

    return CdkApp(folder=pytestconfig.rootpath)


@pytest.fixture(scope="session")
def local_fleet(
    pytestconfig: pytest.Config,
    local_cloud: LocalCloud,
    local_fleet_app: CdkApp,
    tmp_path_factory: pytest.TempPathFactory,
) -> LocalFleet:
    """A `LocalFleet`: the app of `local_fleet_app`, deployed once in a session.

    Each command of the deployment is a line on the terminal, as a deployment takes a minute.
    """
    from local_sagemaker.cdk_app import CdkError
    from local_sagemaker.local_fleet import LocalFleet

    failure = ""
    try:
        work = tmp_path_factory.mktemp("local_fleet")
        stacks = local_fleet_app.deploy(local_cloud.environment, work, report=_reporter(pytestconfig))
        return LocalFleet(local_cloud, local_fleet_app, stacks)
    except CdkError as error:
        failure = str(error)
    # Outside of the handler, so that pytest shows the output of the command once.
    pytest.fail(failure, pytrace=False)


def _reporter(config: pytest.Config) -> Callable[[str], None] | None:
    """Return what writes a line to the terminal; None in a process of pytest-xdist, which has none."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:
        return None

    def report(line: str) -> None:
        terminal.ensure_newline()
        terminal.write_line(f"local_fleet: {line}")

    return report


def _require_extra() -> None:
    from local_sagemaker.__main__ import missing_packages

    if missing := missing_packages():
        pytest.fail(
            f"{', '.join(missing)} should be installed for the embedded cloud:"
            ' pip install "${WHEEL}[local]", where WHEEL is the file of the wheel',
            pytrace=False,
        )

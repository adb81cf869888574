"""What the tests of commands on fleets share."""

import functools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.loaders import create_loader
from typer.main import get_command
from typer.testing import CliRunner, Result

from adapters_cli.main import app
from local_sagemaker.server import LocalCloud
from tests.adapter_fleet.fake_service import FakeClock, FakeService
from tests.adapter_fleet.fleet_world import Hooked, World, artifact
from tests.cli import publishing
from tests.cli.fake_runtime import FakeRuntime
from tests.cli.fleet_account import FakeAccount
from tests.iam.record import Recording, only_recorded_calls, recording
from tests.iam.recorded_cloud import RecordedCloud
from tests.profiles import PROFILE

__all__ = ["only_recorded_calls", "recording"]


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    """Make the commands, and what botocore reads of its files, once for all tests: neither ever changes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", functools.cache(get_command))
        patch.setattr("botocore.session.create_loader", functools.cache(create_loader))
        yield


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials and a region, and nothing else that AWS clients read."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture
def runtime(aws_environment: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRuntime]:
    """The SageMaker runtime that commands ask."""
    with FakeRuntime() as runtime:
        monkeypatch.setenv("AWS_ENDPOINT_URL", runtime.url)
        yield runtime


@pytest.fixture(scope="session")
def cloud(recording: Recording) -> Iterator[LocalCloud]:
    """An embedded cloud, for what is tested as a person runs it."""
    with RecordedCloud(recording.path, profile=PROFILE) as running:
        yield running


@pytest.fixture
def service() -> FakeService:
    """SageMaker with a base component, without a fleet."""
    service = FakeService(FakeClock())
    service.add_base()
    return service


@pytest.fixture
def depot(tmp_path: Path, service: FakeService) -> publishing.World:
    """A bucket, and a folder of this machine with the adapter acme."""
    depot = publishing.World(folder=tmp_path, service=service)
    depot.add("acme")
    return depot


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def account(world: World, monkeypatch: pytest.MonkeyPatch) -> FakeAccount:
    monkeypatch.delenv("ADAPTERS_STACK", raising=False)
    return FakeAccount(world)


@pytest.fixture
def counted(world: World, account: FakeAccount, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often commands call each method of the registry."""
    calls: Counter[str] = Counter()
    registry = Hooked(world.registry, lambda call, when: calls.update({call: when == "before"}))
    monkeypatch.setattr(account, "registry", lambda table: registry)
    return calls


@pytest.fixture
def run(account: FakeAccount) -> Callable[..., Result]:
    """Runs a command on the fleet of the world, in a pipe."""

    def run(*arguments: str | Path, fleet: bool = True, stdin: str | None = None) -> Result:
        command = [*map(str, arguments), *(["--stack", "Tenants"] if fleet else [])]
        account.stack = account.fleet = account.endpoint = None
        return CliRunner().invoke(app, command, input=stdin, obj=account, catch_exceptions=False)

    return run


@pytest.fixture
def terminal(run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Runs a command on a terminal, to end with `code`. Returns its lines without styles."""
    monkeypatch.setattr("typer.testing._NamedTextIOWrapper.isatty", lambda _: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")

    def show(
        *arguments: str | Path, code: int = 0, columns: int = 80, height: int = 25, fleet: bool = True
    ) -> list[str]:
        for name, value in {"COLUMNS": columns, "LINES": height}.items():
            monkeypatch.setenv(name, str(value))
        result = run(*arguments, fleet=fleet)
        assert result.exit_code == code, result.output
        return [re.sub("\x1b\\[[0-9;]*m", "", line).rstrip() for line in result.stdout.splitlines()]

    return show


@pytest.fixture
def manifest(tmp_path: Path) -> Callable[..., Path]:
    """Writes a manifest of adapters with the versions of their artifacts."""

    def write(text: str = "", **versions: int) -> Path:
        lines = ["adapters:"]
        for name, version in versions.items():
            digest = f"sha256:{version:064x}"
            lines.append(f"  - {{name: {name}, artifact: {artifact(name, version).uri}, digest: '{digest}'}}")
        path = tmp_path / "fleet.yaml"
        path.write_text(text or "\n".join([*lines, ""] if versions else ["adapters: []"]))
        return path

    return write

"""`make setup`: which commands it runs, and what it makes of what an interrupted run left behind."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tools.setup import NodeSetup, PythonSetup, SetupError


class Commands:
    """Runs nothing: notes each command, does what its first word is known for, and fails on demand."""

    def __init__(self, root: Path, *, fails: Callable[[str], bool] = lambda command: False) -> None:
        self._bin, self._fails = root / ".venv" / "bin", fails
        self.ran: list[str] = []

    def __call__(self, command: Sequence[str]) -> None:
        text = " ".join(command).replace(f"{self._bin}/", "")
        if self._fails(text):
            raise SetupError(f"'{text}' ended with 1:\nno route to the index")
        if "-m venv" in text:
            self._bin.mkdir(parents=True)
        if "requirements.txt uv" in text:
            (self._bin / "uv").touch()
        self.ran.append(text)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "requirements.txt").write_text("attrs==26.1.0\n    # via jsii\nuv==0.13.9\n")
    return tmp_path


def install(root: Path, commands: Commands) -> str:
    printed: list[str] = []
    PythonSetup(root, commands, printed.append).install()
    return "".join(printed)


def test_first_run_makes_the_environment_and_installs_by_uv(root: Path) -> None:
    commands = Commands(root)
    printed = install(root, commands)
    python = Path(sys.executable).resolve()
    assert [" ".join(command.split()[:3]) for command in commands.ran] == [
        f"{python} -m venv",
        f"{python} -m pip",
        "uv pip install",
        "uv pip install",
    ]
    assert "[2/3] 2 packages of requirements.txt … 0 s\n" in printed
    assert (root / ".venv" / ".installed").exists()


def test_run_after_a_change_of_the_lock_keeps_the_environment(root: Path) -> None:
    install(root, Commands(root))
    kept = root / ".venv" / "kept"
    kept.touch()
    commands = Commands(root)
    install(root, commands)
    assert kept.exists()
    assert not [command for command in commands.ran if "-m venv" in command]


@pytest.mark.parametrize("step", ["-m venv", "requirements.txt uv pip", "--requirement", "--editable"])
def test_run_after_an_interrupted_one_starts_with_an_empty_environment(root: Path, step: str) -> None:
    def interrupt(command: str) -> bool:
        if step in command:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        install(root, Commands(root, fails=interrupt))
    half_made = root / ".venv" / "half-made"
    half_made.parent.mkdir(exist_ok=True)
    half_made.touch()

    assert ".venv is incomplete" in install(root, Commands(root))
    assert not half_made.exists()
    assert (root / ".venv" / ".installed").exists()


def test_interrupted_change_of_the_lock_leaves_no_environment_that_counts_as_complete(root: Path) -> None:
    install(root, Commands(root))
    with pytest.raises(SetupError):
        install(root, Commands(root, fails=lambda command: "--requirement" in command))
    assert not (root / ".venv" / ".installed").exists()


def test_environment_whose_python_is_gone_is_replaced(root: Path) -> None:
    install(root, Commands(root))
    commands = Commands(root, fails=lambda command: "import sys, pip" in command)
    assert "it is replaced" in install(root, commands)
    assert [command for command in commands.ran if "-m venv" in command]


def test_environment_s_own_python_replaces_it(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half_made = root / ".venv" / "bin" / "python3"
    half_made.parent.mkdir(parents=True)
    half_made.symlink_to(sys.executable)
    monkeypatch.setattr(sys, "_base_executable", str(half_made))
    commands = Commands(root)
    install(root, commands)
    assert commands.ran[0].startswith(f"{Path(sys.executable).resolve()} -m venv")


def test_python_without_pip_makes_one_in_the_environment(root: Path) -> None:
    commands = Commands(root, fails=lambda command: "-m pip --python" in command)
    install(root, commands)
    assert commands.ran[1].startswith("python -m ensurepip")
    assert commands.ran[2].endswith("requirements.txt uv")
    assert commands.ran[3].startswith("uv pip install")


@pytest.mark.parametrize("fails", ["requirements.txt uv", "uv pip install"])
def test_pip_installs_what_uv_cannot(root: Path, fails: str) -> None:
    commands = Commands(root, fails=lambda command: fails in command)
    printed = install(root, commands)
    assert "no route to the index" in printed
    assert [command for command in commands.ran if command.startswith("python -m pip") and "--req" in command]
    assert (root / ".venv" / ".installed").exists()


def test_command_line_of_the_cdk_counts_as_installed_only_after_npm_ended_well(root: Path) -> None:
    (root / "node_modules").mkdir()
    setup = NodeSetup(root, Commands(root, fails=lambda command: "npm ci" in command), lambda text: None)
    with pytest.raises(SetupError):
        setup.install()
    assert not (root / "node_modules" / ".installed").exists()
    NodeSetup(root, Commands(root), lambda text: None).install()
    assert (root / "node_modules" / ".installed").exists()

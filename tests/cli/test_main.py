"""What holds for every command."""

from __future__ import annotations

import importlib
import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from adapters_cli.aws.account import Account
from adapters_cli.command_group import CommandGroup
from adapters_cli.main import app

COMMANDS = tuple(CommandGroup.modules)
FLOOD = """
import typer
from adapters_cli import main

@main.app.command()
def flood():
    for number in range(100_000):
        typer.echo(str(number))

main.main()
"""


def help_of(*command: str, option: str = "--help") -> str:
    result = CliRunner().invoke(app, [*command, option], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    return result.stdout


def test_list_of_commands_has_the_first_paragraph_of_each_docstring() -> None:
    texts = [re.sub(r"[`|]", "", line) for line in help_of().splitlines()]
    shown = " ".join(" ".join(texts).split())
    for command, at in CommandGroup.modules.items():
        name = at.module or command
        function = getattr(importlib.import_module(f"adapters_cli.commands.{name}"), name)
        first = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
        assert f"{command} {first.replace('`', '')}" in shown


IMPORTED = """
import sys
from typer.testing import CliRunner
from adapters_cli.main import app

assert CliRunner().invoke(app, ["--help"]).exit_code == 0
slow = ("adapters_cli.commands.", "adapter_fleet", "boto")
print(*(name for name in sys.modules if name.startswith(slow)))
"""


def test_list_of_commands_imports_none_of_them() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "", "")


class TestAccountOptions:
    """`--region` and `--profile`, before the command and behind it."""

    @pytest.fixture(autouse=True)
    def two_profiles(self, aws_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config = tmp_path / "config"
        keys = "aws_access_key_id = key\naws_secret_access_key = secret\n"
        here, there = f"region = eu-west-1\n{keys}", f"region = sa-east-1\n{keys}"
        config.write_text(f"[profile here]\n{here}[profile there]\n{there}")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
        monkeypatch.delenv("AWS_DEFAULT_REGION")

    @pytest.mark.parametrize(
        ("before", "behind", "region"),
        [
            (("--region", "us-west-2"), (), "us-west-2"),
            ((), ("--region", "us-west-2"), "us-west-2"),
            (("--profile", "here"), (), "eu-west-1"),
            ((), ("--profile", "there"), "sa-east-1"),
            (("--region", "us-east-1"), ("--region", "us-west-2"), "us-west-2"),
        ],
    )
    def test_choose_the_region(self, before: tuple[str, ...], behind: tuple[str, ...], region: str) -> None:
        account = Account()
        result = CliRunner().invoke(app, [*before, "token", *behind], obj=account)
        assert (result.exit_code, account.region) == (0, region), result.output

    def test_profile_that_is_not_there_is_an_error(self) -> None:
        result = CliRunner().invoke(app, ["--profile", "none", "token"])
        assert (result.exit_code, result.stdout) == (4, "")
        assert "The config profile (none) could not be found" in result.stderr

    def test_profile_that_is_mistyped_is_told_with_the_one_that_may_be_meant(self) -> None:
        result = CliRunner().invoke(app, ["--profile", "ther", "token"])
        assert "did you mean 'there'?" in result.stderr

    def test_are_options_of_every_command(self) -> None:
        for command in COMMANDS:
            assert {"--region", "--profile"} <= set(help_of(command).split()), command


@pytest.mark.parametrize(
    "words",
    [
        ("prune",),
        ("invoke", "-c", "p-acme", "Hello"),
        ("evaluate", "-c", "p-acme", "--dataset", "items.jsonl"),
        ("benchmark", "--yes-load", "endpoint"),
    ],
    ids=lambda words: words[0],
)
def test_endpoint_beside_a_stack_is_wrong_usage(
    run: Callable[..., Result], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "items.jsonl").write_text('{"prompt": "a", "reference": "b"}')
    result = run(*words, "--endpoint", "endpoint")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--endpoint is for components of no fleet; give it, or --stack and --fleet" in result.stderr


WITHOUT_JSON = {
    "import": "its output is a manifest",
    "pull": "its output is one address",
    "token": "its output is one token",
}


def test_every_command_that_tells_a_result_writes_json() -> None:
    assert {command for command in COMMANDS if "--json" not in help_of(command)} == WITHOUT_JSON.keys()


def test_reader_that_goes_ends_a_command_quietly() -> None:
    command = [sys.executable, "-c", FLOOD, "flood"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert (process.wait(timeout=60), process.stderr.read()) == (141, "")


def test_version_is_told() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout.split()[0]) == (0, "adapters")


@pytest.mark.parametrize("command", [(), ("status",)])
def test_help_has_a_short_option(command: tuple[str, ...]) -> None:
    assert help_of(*command, option="-h") == help_of(*command)


ENDING = """
import atexit, os, signal, sys
from adapters_cli.main import main
atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.argv = ["adapters", "--version"]
main()
"""


def test_interrupt_while_python_ends_is_not_told() -> None:
    done = subprocess.run([sys.executable, "-c", ENDING], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("adapters ")


BEGINNING = """
import os, signal, sys

module = sys.argv.pop(1)

class Interrupt:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
from adapters_cli.__main__ import main
main()
"""


@pytest.mark.parametrize(
    "module", ["adapters_cli.main", "botocore.exceptions", "adapters_cli.commands.status"]
)
def test_interrupt_while_the_command_is_imported_ends_it_quietly(module: str) -> None:
    command = [sys.executable, "-c", BEGINNING, module, "status"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# Modules of the standard library that Python on Windows is without.
ELSEWHERE = """
import importlib, pkgutil, sys
for name in ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
import adapter_fleet, adapters_cli
for package in (adapter_fleet, adapters_cli):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""


def test_every_module_can_be_imported_on_windows() -> None:
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")

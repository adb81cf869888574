"""What holds for every command."""

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
    alone = CliRunner().invoke(app, [], env={"COLUMNS": "200"}).output
    assert help_of(option="-h") == help_of() == f"{alone.rstrip()}\n\n"
    texts = [re.sub(r"[`|]", "", line) for line in help_of().splitlines()]
    shown = " ".join(" ".join(texts).split())
    for command, at in CommandGroup.modules.items():
        name = at.module or command
        function = getattr(importlib.import_module(f"adapters_cli.commands.{at.panel.folder}.{name}"), name)
        first = " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
        assert f"{command} {first.replace('`', '')}" in shown


IMPORTED = """
import sys
from typer.testing import CliRunner
from adapters_cli.main import app

assert CliRunner().invoke(app, ["--help"]).exit_code == 0
slow = ("adapters_cli.commands.", "adapter_fleet", "adapter_rules", "boto")
print(*(name for name in sys.modules if name.startswith(slow)))
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_list_of_commands_imports_none_of_them() -> None:
    done = python(IMPORTED)
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

    def test_profile_that_is_not_there_is_told_with_the_one_that_may_be_meant(self) -> None:
        result = CliRunner().invoke(app, ["--profile", "ther", "token"])
        assert (result.exit_code, result.stdout) == (4, "")
        assert "The config profile (ther) could not be found" in result.stderr
        assert "did you mean 'there'?" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        "prune",
        "invoke -c p-acme Hello",
        "evaluate -c p-acme --dataset FILE",
        "benchmark",
    ],
)
def test_endpoint_beside_a_stack_is_wrong_usage(
    run: Callable[..., Result], words: str, tmp_path: Path
) -> None:
    (tmp_path / "items.jsonl").write_text('{"prompt": "a", "reference": "b"}')
    command = words.replace("FILE", str(tmp_path / "items.jsonl")).split()
    result = run(*command, "--endpoint", "endpoint")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--endpoint is for components of no fleet; give it, or --stack and --fleet" in result.stderr


WITHOUT_JSON = {
    "import": "its output is a manifest",
    "pull": "its output is one address",
    "routes": "its output is a gateway's configuration",
    "token": "its output is one token",
}


@pytest.mark.slow
def test_every_command_takes_the_account_s_options_and_writes_json_if_it_tells_a_result() -> None:
    words = {command: set(help_of(command).split()) for command in COMMANDS}
    assert [command for command in COMMANDS if not {"--region", "--profile"} <= words[command]] == []
    assert {command for command in COMMANDS if "--json" not in words[command]} == WITHOUT_JSON.keys()


@pytest.mark.slow
def test_reader_that_goes_ends_a_command_quietly() -> None:
    command = [sys.executable, "-c", FLOOD, "flood"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert (process.wait(timeout=60), process.stderr.read()) == (141, "")


ENDING = """
import atexit, os, signal, sys
from adapters_cli.main import main
atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.argv = ["adapters", "--version"]
main()
"""


def test_interrupt_while_python_ends_is_not_told() -> None:
    done = python(ENDING)
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


@pytest.mark.slow
@pytest.mark.parametrize(
    "module", ["adapters_cli.main", "botocore.exceptions", "adapters_cli.commands.look.status"]
)
def test_interrupt_while_the_command_is_imported_ends_it_quietly(module: str) -> None:
    done = python(BEGINNING, module, "status")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# Modules of the standard library that Python on Windows is without.
ELSEWHERE = """
import importlib, pkgutil, sys
for name in ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"):
    sys.modules[name] = None
import adapter_fleet, adapter_rules, adapters_cli
for package in (adapter_fleet, adapter_rules, adapters_cli):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        # Those that need LiteLLM, or run a command, are for their own processes.
        if not module.name.endswith(("__main__", "litellm_routes")):
            importlib.import_module(module.name)
print({"aws_cdk", "jsii"} & set(sys.modules))
"""


@pytest.mark.slow
def test_every_module_can_be_imported_on_windows() -> None:
    done = python(ELSEWHERE)
    # And none brings the CDK.
    assert (done.returncode, done.stdout, done.stderr) == (0, "set()\n", "")

"""Checks a command without running it: its options, its targets and the files that it names."""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.session import get_session
from typer._click.exceptions import UsageError
from typer.main import get_command

from adapters_cli.main import app
from stacks.environment import environment_file
from tests.docs.blocks import ROOT

_OTHER_NAMES = """
    . admin aiperf cat cd cp curl done echo export false fi for git grep head jq kill litellm ls
    local-sagemaker mkdir mv mypy node npm openssl pip pytest python python3 rm sed sleep source tail test
    true until uv wait
"""
OTHERS = frozenset(_OTHER_NAMES.split())
"""Programs that are not ours, and what a page defines itself. Only the files that they name are checked."""

_VARIABLE = re.compile(r"\$\{?\w+\}?")
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
_MAKE_VARIABLE = re.compile(r"\b([A-Z_]+) \?=|\$\(([A-Z_]+)\)")
_AWS_OPTIONS = {"cli-input-json", "endpoint-url", "output", "profile", "query", "region", "cli-pager"}
_WRITTEN = ("--manifest", "--output")
"""Options whose files a command writes."""
_ROOMS = frozenset(
    path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith((".", "node_modules"))
)
"""The folders of the repository. A path that begins with one should exist."""


def problem_of(words: Sequence[str]) -> str | None:
    """Return what is wrong with a command, or None."""
    path, *arguments = words
    program = path.rpartition("/")[2]
    check = _CHECKS.get(program)
    if check is None and program not in OTHERS:
        return f"{program}: no program that a page may use; tests/docs/command_lines.py has the list"
    try:
        if check is not None:
            check([_VARIABLE.sub("word", argument) for argument in arguments])
        _check_files(arguments)
    except (ValueError, UsageError) as error:
        return f"{' '.join(words)}: {getattr(error, 'message', error)}"
    return None


def _check_adapters(arguments: list[str]) -> None:
    group: Any = get_command(app)
    if any(argument in ("-h", "--help", "--version") for argument in arguments):
        arguments = [argument for argument in arguments if argument not in ("-h", "--help", "--version")]
        if len(arguments) <= 1:
            _check_adapters_name(group, arguments)
            return
    name, *rest = arguments
    _check_adapters_name(group, [name])
    # Parses every option and argument, and raises UsageError for a wrong one. Nothing runs.
    group.commands[name].make_context(name, rest)


def _check_adapters_name(group: Any, names: list[str]) -> None:
    for name in names:
        if name not in group.commands:
            raise ValueError(f"there is no command {name!r}")


def _check_cdk(arguments: list[str]) -> None:
    """Check what is given to the app. The options of the CDK's command line are not ours."""
    for option, value in itertools.pairwise(arguments):
        if option in ("-c", "--context"):
            _check_context(value)


def _check_context(assignment: str) -> None:
    key, _, value = assignment.partition("=")
    if key != "environment":
        raise ValueError(f"'-c' should set 'environment', the only key that app.py reads, got {key!r}")
    if not value.endswith(".toml"):
        environment_file(value)


@cache
def _makefile() -> str:
    return (ROOT / "Makefile").read_text()


def _check_make(arguments: list[str]) -> None:
    targets = set(_TARGET.findall(_makefile()))
    variables = {name for pair in _MAKE_VARIABLE.findall(_makefile()) for name in pair}
    for word in arguments:
        name, equals, value = word.partition("=")
        if equals and name not in variables:
            raise ValueError(f"the Makefile has no variable {name!r}")
        suites = [f"qa-{suite}" for suite in value.split()] if name == "SUITE" else []
        for target in suites if equals else [name]:
            if target not in targets:
                raise ValueError(f"the Makefile has no target {target!r}")


def _check_aws(arguments: list[str]) -> None:
    """Check service, operation and options by botocore's model, which the AWS CLI follows."""
    name, operation, *rest = arguments
    if name == "s3" or operation == "wait":
        return
    try:
        model = get_session().get_service_model("s3" if name == "s3api" else name)
    except UnknownServiceError:
        raise ValueError(f"aws has no service {name!r}") from None
    operations = {xform_name(each, "-"): each for each in model.operation_names}
    if operation not in operations:
        raise ValueError(f"aws {name} has no operation {operation!r}")
    shape = model.operation_model(operations[operation]).input_shape
    members = {xform_name(member, "-") for member in (shape.members if shape else ())}
    for word in rest:
        option = word.removeprefix("--").partition("=")[0].removeprefix("no-")
        if word.startswith("--") and option not in members | _AWS_OPTIONS:
            raise ValueError(f"aws {name} {operation} has no option {word!r}")


def _check_files(arguments: Sequence[str]) -> None:
    for option, word in zip(("", *arguments), arguments, strict=False):
        if option in _WRITTEN:
            continue
        if word.partition("/")[0] in _ROOMS and "/" in word and not set(word) & set("$*…<{ "):
            path = word.partition("::")[0]
            if not (ROOT / path).exists():
                raise ValueError(f"the repository has no {path!r}")


_CHECKS: Mapping[str, Callable[[list[str]], None]] = {
    "adapters": _check_adapters,
    "aws": _check_aws,
    "cdk": _check_cdk,
    "make": _check_make,
}

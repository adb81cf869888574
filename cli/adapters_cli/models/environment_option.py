"""The environment file of `--environment`."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from adapters_cli.output.errors import UsageError

if TYPE_CHECKING:
    from adapter_fleet.environment.environment_schema import Environment

_FOLDER = Path("environments")
"""The folder of the app's environment files."""

EnvironmentOption = Annotated[
    str | None,
    typer.Option(
        "--environment",
        "-e",
        metavar="NAME",
        help="environments/NAME.toml of the app, or the path of any .toml file.",
        show_default=False,
    ),
]

ContextOption = Annotated[
    list[str] | None,
    typer.Option(
        "--context",
        "-c",
        metavar="environment=NAME",
        help="The same, as `cdk deploy` takes it.",
        show_default=False,
    ),
]


@dataclass(frozen=True, kw_only=True)
class EnvironmentFile:
    """An environment file and its tables."""

    path: Path
    tables: "Environment"


def read_environment(name: str) -> EnvironmentFile:
    """Read `environments/<name>.toml`, or the file of that path. Raises UsageError with all its mistakes."""
    # Imported here: most commands do without.
    from adapter_fleet.environment import environment_reader

    try:
        path = environment_reader.find_environment(name, folder=_FOLDER, setting="--environment")
        return EnvironmentFile(path=path, tables=environment_reader.read_environment(path))
    except environment_reader.EnvironmentFileError as error:
        raise UsageError(str(error)) from None


def environment_name(option: str | None, context: Sequence[str]) -> str:
    """Return the environment that `--environment` or `-c environment=…` names, in one of the two ways.

    Raises UsageError for none and for several, and for other context.
    """
    named = [] if option is None else [option]
    for setting in context:
        key, equals, value = setting.partition("=")
        if key != "environment" or not equals or not value:
            raise UsageError(f"'-c' should be 'environment=NAME', got {setting!r}")
        named.append(value)
    if len(named) != 1:
        raise UsageError(
            "which environment? Give one with -c environment=NAME or --environment, got"
            f" {' and '.join(map(repr, named)) or 'none'}"
        )
    return named[0]

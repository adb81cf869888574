"""The environment file of `--environment`."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from adapters_cli.output.errors import UsageError

if TYPE_CHECKING:
    from adapter_fleet.environment import Environment

_FOLDER = Path("environments")
"""The folder of the app's environment files."""

ENVIRONMENT_OPTION: Any = typer.Option(
    "--environment",
    "-e",
    metavar="NAME",
    help="environments/NAME.toml of the app, or the path of any .toml file.",
    show_default=False,
)


@dataclass(frozen=True, kw_only=True)
class EnvironmentFile:
    """An environment file and its tables."""

    path: Path
    tables: "Environment"


def read_environment(name: str) -> EnvironmentFile:
    """Read `environments/<name>.toml`, or the file of that path. Raises UsageError with all its mistakes."""
    # Imported here: most commands do without.
    from adapter_fleet import environment

    try:
        path = environment.find_environment(name, folder=_FOLDER, setting="--environment")
        return EnvironmentFile(path=path, tables=environment.read_environment(path))
    except environment.EnvironmentFileError as error:
        raise UsageError(str(error)) from None

"""Reading an environment file of the app, as far as commands need it: what serves, and which adapters.

The app has all of it in `stacks.environment`, which brings the CDK.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from cattrs import Converter

from adapter_fleet.documents.schema import StructureError, exactly, strict_converter, structure
from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing
from adapters_cli.output.errors import UsageError

FOLDER = Path("environments")
"""Where the app has its files."""

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


@dataclass(frozen=True, kw_only=True)
class BaseModelPlace:
    """Where the base model is: in a bucket, in a directory or on the Hugging Face Hub. `name` is its own."""

    name: str | None = None
    directory: Path | None = None
    bucket: str | None = None
    prefix: str = ""
    hub: str | None = None


@dataclass(frozen=True, kw_only=True)
class Container:
    """The LMI release, and further settings of the container."""

    lmi_version: LmiVersion
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """The endpoint's instances."""

    instance_type: str
    instance_count: int = 1


@dataclass(frozen=True, kw_only=True)
class Copies:
    """How many copies of the base model there are, and what each takes of its instance."""

    count: int = 1
    accelerators: int | None = None
    min_memory_mib: int


@dataclass(frozen=True, kw_only=True)
class FleetPlace:
    """Where a fleet's manifest is: a file of this machine, or an object in a bucket."""

    manifest: Path | None = None
    bucket: str | None = None
    key: str | None = None


@dataclass(frozen=True, kw_only=True)
class EnvironmentFile:
    """One environment. Relative paths in the file are relative to it.

    adapters:
        The adapters that are resources of the stack, beside those of fleets.
    """

    path: Path
    base_model: BaseModelPlace
    container: Container
    lora: LoraServing
    endpoint: Endpoint
    copies: Copies
    adapters: tuple[str, ...] = ()
    fleets: Mapping[str, FleetPlace] = field(default_factory=dict)


def read_environment(name: str) -> EnvironmentFile:
    """Read `environments/<name>.toml`, or the file of that path.

    Raises UsageError with a line for each thing that is wrong: file, key, what and what was got. Keys that
    no command needs are not looked at.
    """
    path = _path(name)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not a TOML document: {error}") from None
    parts = {key: _needed(key, data[key], type_) for key, type_ in _TABLES.items() if key in data}
    fleets, adapters = data.get("fleets", {}), data.get("adapters", {})
    if isinstance(fleets, dict):
        fleets = {fleet: _needed("fleets", table, FleetPlace) for fleet, table in fleets.items()}
    if isinstance(adapters, dict):
        adapters = dict.fromkeys(adapters, "")
    try:
        read = structure(
            _converter(path.parent), {**parts, "fleets": fleets, "adapters": adapters}, _Tables, words=_WORDS
        )
    except StructureError as error:
        raise UsageError("\n".join(f"{path}: {problem}" for problem in error.problems)) from None
    return EnvironmentFile(
        path=path,
        base_model=read.base_model,
        container=read.container,
        lora=read.lora,
        endpoint=read.endpoint,
        copies=read.copies,
        adapters=tuple(read.adapters),
        fleets=read.fleets,
    )


@dataclass(frozen=True, kw_only=True)
class _Tables:
    base_model: BaseModelPlace
    container: Container
    lora: LoraServing
    endpoint: Endpoint
    copies: Copies
    adapters: dict[str, str]
    fleets: dict[str, FleetPlace]


_TABLES: Mapping[str, type] = {
    "base_model": BaseModelPlace,
    "container": Container,
    "lora": LoraServing,
    "endpoint": Endpoint,
    "copies": Copies,
}

# What TOML calls them.
_WORDS: dict[type, str] = {list: "an array", dict: "a table", LmiVersion: "an integer"}


def _needed(name: str, table: Any, type_: type) -> Any:
    """Leave out the keys that are for the app alone. Those of `lora` are all needed, so that typos show."""
    if not isinstance(table, dict) or name == "lora":
        return table
    known = {setting.name for setting in fields(type_)}
    return {key: value for key, value in table.items() if key in known}


def _path(name: str) -> Path:
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        existing = ", ".join(sorted(file.stem for file in FOLDER.glob("*.toml")))
        known = f"one of {existing}, or " if existing else ""
        raise UsageError(f"'--environment' should be {known}the path of a .toml file, got {name!r}")
    return path


def _converter(folder: Path) -> Converter:
    converter = strict_converter()
    converter.register_structure_hook(Path, lambda value, _: folder / exactly(value, str))
    converter.register_structure_hook(LmiVersion, lambda value, _: LmiVersion.numbered(exactly(value, int)))
    return converter

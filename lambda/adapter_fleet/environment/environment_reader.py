"""Find and read an environment file (`environments/<name>.toml`), for the app and the `adapters` command."""

import tomllib
from pathlib import Path

from cattrs import Converter

from adapter_fleet.common.near_names import did_you_mean
from adapter_fleet.documents.schema import StructureError, exactly, strict_converter, structure
from adapter_fleet.environment.environment_schema import Environment
from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.vllm import VllmVersion

# TOML's own words for its types.
_WORDS: dict[type, str] = {
    list: "an array",
    dict: "a table",
    LmiVersion: "an integer",
    VllmVersion: "a string",
}


class EnvironmentFileError(ValueError):
    """Every error in an environment file, one on each line."""


def find_environment(name: str, *, folder: Path, setting: str) -> Path:
    """Return `<folder>/<name>.toml`, or the file of that path if `name` ends with `.toml`.

    Raises EnvironmentFileError if there is no such file. `setting` names the user's argument in the message.
    """
    path = Path(name) if name.endswith(".toml") else folder / f"{name}.toml"
    if not path.is_file():
        if name.endswith(".toml"):
            raise EnvironmentFileError(f"'{setting}' should be a file that is there, got {name!r}")
        existing = ", ".join(sorted(file.stem for file in folder.glob("*.toml")))
        known = f"one of {existing}, or " if existing else ""
        meant = did_you_mean(name.removesuffix(".toml"), (file.stem for file in folder.glob("*.toml")))
        nowhere = "" if existing else f"; there is no {folder / '*.toml'} in the present folder"
        raise EnvironmentFileError(
            f"'{setting}' should be {known}the path of a .toml file, got {name!r}{nowhere}{meant}"
        )
    return path


def read_environment(path: Path) -> Environment:
    """Read an environment file.

    Raises EnvironmentFileError with a line for each error: file, key, what it should be and what was got.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EnvironmentFileError(f"{path}: not a TOML document: {error}") from None
    try:
        return structure(_converter(path.parent), data, Environment, words=_WORDS)
    except StructureError as error:
        raise EnvironmentFileError("\n".join(f"{path}: {problem}" for problem in error.problems)) from None


def _converter(folder: Path) -> Converter:
    converter = strict_converter()
    converter.register_structure_hook(Path, lambda value, _: folder / exactly(value, str))
    converter.register_structure_hook(LmiVersion, lambda value, _: LmiVersion.numbered(exactly(value, int)))
    converter.register_structure_hook(VllmVersion, lambda value, _: VllmVersion.numbered(exactly(value, str)))
    return converter

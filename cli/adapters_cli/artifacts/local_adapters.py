"""Adapters on this machine: the directories and archives that paths lead to."""

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapter_fleet.artifacts.archive import CONFIG_FILE, REQUIRED_FILES
from adapter_fleet.artifacts.foreign_content import (
    foreign_archive_name,
    foreign_folder,
    foreign_path,
    misnamed,
)
from adapter_fleet.common.bounded_text import without_query
from adapter_fleet.common.naming import ARCHIVE_SUFFIX, check_component_name
from adapter_rules.checks.folder_entry import is_leftover, kind_of
from adapters_cli.aws.s3_location import other_address
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.text import few, hint_for_path, print_note

PROBE_FILE = "probe.json"
"""What the training side knows an adapter to answer. It is beside the weights, and no part of the archive."""

NO_SOURCE = f"it should be a directory, or an archive '…{ARCHIVE_SUFFIX}'"
_MAX_LEFTOVERS = 8


@dataclass(frozen=True, kw_only=True)
class LocalAdapter:
    """An adapter on this machine, with the name to publish it under."""

    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class AdapterFolder:
    """A folder of adapters: all names in it, and those of its adapters."""

    names: list[str]
    adapters: list[str]

    @classmethod
    def of(cls, path: Path) -> "AdapterFolder":
        """Read a folder. Raises OSError."""
        with os.scandir(path) as found:
            inside = sorted(
                (entry.name, kind_of(entry), entry.is_dir() or entry.name.endswith(ARCHIVE_SUFFIX))
                for entry in found
            )
        return cls(
            names=[name for name, _, _ in inside],
            adapters=[
                name
                for name, kind, fits in inside
                if fits and not is_leftover(name, kind) and not name.startswith(".")
            ],
        )


def adapters_at(path: Path) -> list[Path]:
    """Return the adapters that a path leads to: itself, or those in a folder.

    A directory with one of an adapter's two files is an adapter, also if a browser renamed that file. Any
    other directory is a folder of directories and archives; leftovers of training runs are skipped. Raises
    OSError, and ValueError for a file that is not named like an archive, and for a folder that has adapters
    further below, or none.
    """
    if not path.is_dir():
        if path.is_file() and not path.name.endswith(ARCHIVE_SUFFIX):
            remedy = foreign_path(path.name)
            raise ValueError(NO_SOURCE if remedy is None else f"{NO_SOURCE}; {remedy}")
        return [path]
    if _is_adapter(path):
        return [path]
    folder = AdapterFolder.of(path)
    if not any(_is_adapter(path / name) for name in folder.adapters):
        if (foreign := foreign_folder(folder.names)) is not None:
            raise ValueError(foreign)
        if below := _adapters_below(path):
            raise ValueError(f"no adapter is in it, but further below: name {few(below, 3)}")
        if any(map(misnamed, folder.names)):
            return [path]
    if archives := [name for name in folder.names if foreign_archive_name(name)]:
        print_note(f"{path}: not read, as an archive ends with {ARCHIVE_SUFFIX}: {few(archives, 3)}")
    return [path / name for name in folder.adapters]


def _is_adapter(path: Path) -> bool:
    return path.name.endswith(ARCHIVE_SUFFIX) or any((path / file).exists() for file in REQUIRED_FILES)


def _adapters_below(path: Path) -> list[str]:
    found = (file for pattern in ("*/*/", "*/*/*/") for file in sorted(path.glob(f"{pattern}{CONFIG_FILE}")))
    return [str(file.parent) for file in found]


def print_leftovers(paths: Iterable[Path]) -> None:
    """Print the leftovers of training runs in adapters' directories, which are not published."""
    beside = Counter(name for path in paths for name in _leftovers_in(path))
    if beside:
        names = [name for name, _ in beside.most_common()]
        print_note(f"left behind, as no part of an adapter: {few(names, _MAX_LEFTOVERS)}")


def _leftovers_in(path: Path) -> list[str]:
    try:
        with os.scandir(path) as found:
            return sorted(
                entry.name
                for entry in found
                if is_leftover(entry.name, kind_of(entry)) and entry.name != PROBE_FILE
            )
    except OSError:
        return []  # an archive, or a directory that the checks report as unreadable


def local_adapters(paths: Sequence[Path], *, name: str | None) -> list[LocalAdapter]:
    """Return the adapters that paths lead to, in the order of the paths and then of their names.

    `name` renames a single adapter. Raises UsageError for a name with several adapters, and CommandError if
    a path leads to no adapter or two adapters have the same name.
    """
    found = [adapter for path in paths for adapter in _at(path)]
    if name is not None:
        if len(found) != 1:
            raise UsageError(f"--name is for one adapter, got {len(found)}")
        found = [LocalAdapter(name=name, path=found[0].path)]
    _check_unique(found)
    return found


def meant_by(path: Path) -> str:
    """Return what may be meant by a path that leads to nothing, to be put behind that; '' if nothing may."""
    text = str(path)
    if (problem := other_address(text)) is not None:
        return f"; {problem}"
    if "\\" in text:
        return "; write its folders with /"
    is_repository = re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", text) is not None
    if is_repository and not path.parent.exists() and not text.endswith(ARCHIVE_SUFFIX):
        return f"; a repository of the Hub is downloaded first: hf download {text} --local-dir {path.name}"
    return hint_for_path(path)


def _at(path: Path) -> Iterator[LocalAdapter]:
    if not path.exists():
        raise UsageError(f"{without_query(str(path))}: there is no such file or directory{meant_by(path)}")
    try:
        found = adapters_at(path)
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from None
    if not found:
        raise CommandError(
            f"{path}: it should be an adapter ({', '.join(REQUIRED_FILES)}) or a folder of adapters"
        )
    for adapter in found:
        yield LocalAdapter(name=adapter_name(adapter), path=adapter)


def adapter_name(path: Path) -> str:
    """Return the name of an adapter at a path: the one typed or listed, and not what a link points to."""
    if not path.is_dir():
        return path.name.removesuffix(ARCHIVE_SUFFIX)
    if path.parent.name == "snapshots" and (repository := path.parent.parent.name).startswith("models--"):
        return repository.rpartition("--")[2]  # of the Hugging Face cache, where a revision has no name
    if path.name in ("", ".."):
        # `.` and `..` have names, too: inside of a link, those that the shell shows.
        shown = Path(os.path.normpath(Path(os.environ.get("PWD") or "/") / path))
        path = shown if shown.exists() and shown.samefile(path) else path.resolve()
    return path.name


def name_problem(name: str) -> str | None:
    """Return why an adapter cannot be published under a name; None if it can."""
    try:
        check_component_name(name, what="name")
    except ValueError as error:
        return str(error)
    return None


def _check_unique(adapters: Iterable[LocalAdapter]) -> None:
    seen: dict[str, LocalAdapter] = {}
    problems = []
    for adapter in adapters:
        other = seen.setdefault(adapter.name.casefold(), adapter)
        if other is not adapter:
            # Nothing says whether the directory or the archive is meant, or which one is newer.
            is_pair = (adapter.name, adapter.path.parent) == (other.name, other.path.parent)
            hint = "name the one that is meant, or remove the other" if is_pair else "rename one of them"
            problems.append(
                f"{adapter.path}: name: should be its own, whatever the case, and {other.path} has it, got"
                f" {adapter.name!r}; {hint}"
            )
    if problems:
        raise CommandError("\n".join(problems))

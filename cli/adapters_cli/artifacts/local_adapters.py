"""What is to be checked or published: directories and archives of this machine that paths lead to."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapter_fleet.artifacts.archive import REQUIRED_FILES
from adapter_fleet.artifacts.check import kind_of
from adapter_fleet.artifacts.leftovers import is_leftover
from adapter_fleet.common.digests import ARCHIVE_SUFFIX
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.text import few, print_note

NO_SOURCE = f"it should be a directory, or an archive '…{ARCHIVE_SUFFIX}'"
_MOST_LEFT_BEHIND = 8


@dataclass(frozen=True, kw_only=True)
class Source:
    """An adapter of this machine: the name that it is to have, and where it is."""

    name: str
    path: Path


@dataclass(frozen=True, kw_only=True)
class Folder:
    """A folder of adapters: the names of its sub-folders and archives, and of what a training run leaves."""

    adapters: list[str]
    leftovers: list[str]

    @classmethod
    def of(cls, path: Path) -> "Folder":
        """Look into one. Raises OSError."""
        with os.scandir(path) as found:
            inside = sorted(
                (entry.name, kind_of(entry))
                for entry in found
                if entry.is_dir() or entry.name.endswith(ARCHIVE_SUFFIX)
            )
        return cls(
            adapters=[
                name for name, kind in inside if not is_leftover(name, kind) and not name.startswith(".")
            ],
            leftovers=[name for name, kind in inside if is_leftover(name, kind)],
        )


def adapters_at(path: Path) -> list[Path]:
    """Return the adapters that a path leads to: itself, or those in a folder, which may be none.

    A directory that has one of the two files is an adapter; any other is a folder of directories and
    archives, of which those of a training run are left out. Raises OSError, and ValueError for a file that is
    no archive by its name.
    """
    if not path.is_dir():
        if path.is_file() and not path.name.endswith(ARCHIVE_SUFFIX):
            raise ValueError(NO_SOURCE)
        return [path]
    if any((path / file).exists() for file in REQUIRED_FILES):
        return [path]
    return [path / name for name in Folder.of(path).adapters]


def tell_left_behind(paths: Iterable[Path]) -> None:
    """Tell which files and folders of training runs are beside adapters, and no part of them."""
    beside = Counter(name for path in paths for name in _leftovers_in(path))
    if beside:
        names = [name for name, _ in beside.most_common()]
        print_note(f"left behind, as no part of an adapter: {few(names, _MOST_LEFT_BEHIND)}")


def _leftovers_in(path: Path) -> list[str]:
    try:
        with os.scandir(path) as found:
            return sorted(entry.name for entry in found if is_leftover(entry.name, kind_of(entry)))
    except OSError:
        return []  # an archive, or a directory of which the checks tell that it cannot be read


def sources_of(paths: Sequence[Path], *, name: str | None) -> list[Source]:
    """Return the adapters that paths lead to, in the order of the paths and then of their names.

    `name` is for a single adapter. Raises CommandError for paths that lead to none, and where two adapters
    have one name, and UsageError for a name for several.
    """
    found = [source for path in paths for source in _at(path)]
    if name is not None:
        if len(found) != 1:
            raise UsageError(f"--name is for one adapter, got {len(found)}")
        found = [Source(name=name, path=found[0].path)]
    _check_unique(found)
    return found


def _at(path: Path) -> Iterator[Source]:
    if not path.exists():
        raise UsageError(f"{path}: there is no such file or directory")
    try:
        found = adapters_at(path)
    except ValueError as error:
        raise CommandError(f"{path}: {error}") from None
    if not found:
        beside = ", ".join(Folder.of(path).leftovers[:3])
        hint = f"; of {beside}, name the one that is meant, with --name" if beside else ""
        raise CommandError(
            f"{path}: it should be an adapter ({', '.join(REQUIRED_FILES)}) or a folder of adapters{hint}"
        )
    for adapter in found:
        yield Source(name=_name_of(adapter, given=adapter == path), path=adapter)


def _name_of(adapter: Path, *, given: bool) -> str:
    if not adapter.is_dir():
        return adapter.name.removesuffix(ARCHIVE_SUFFIX)
    # `.` has a name as well.
    return adapter.resolve().name if given else adapter.name


def _check_unique(sources: Iterable[Source]) -> None:
    seen: dict[str, Source] = {}
    problems = []
    for source in sources:
        other = seen.setdefault(source.name.casefold(), source)
        if other is not source:
            # Which of a directory and an archive is meant, and which one is newer, cannot be known.
            is_pair = (source.name, source.path.parent) == (other.name, other.path.parent)
            hint = "name the one that is meant, or remove the other" if is_pair else "rename one of them"
            problems.append(
                f"{source.path}: name: should be its own, whatever the case, and {other.path} has it, got"
                f" {source.name!r}; {hint}"
            )
    if problems:
        raise CommandError("\n".join(problems))

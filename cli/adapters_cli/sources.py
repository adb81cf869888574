"""What is to be published: directories and archives of this machine that paths lead to, and their names."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapter_fleet.adapter import kind_of
from adapter_fleet.archive import REQUIRED_FILES
from adapter_fleet.leftovers import is_leftover
from adapter_fleet.manifest_adapter import ARCHIVE_SUFFIX
from adapters_cli.account import CommandError


@dataclass(frozen=True, kw_only=True)
class Source:
    """An adapter of this machine: the name that it is to have, and where it is."""

    name: str
    path: Path

    @property
    def left_behind(self) -> list[str]:
        """The files and folders of a training run that are beside it, and no part of it."""
        try:
            with os.scandir(self.path) as found:
                return sorted(entry.name for entry in found if is_leftover(entry.name, kind_of(entry)))
        except OSError:
            return []  # an archive, or a directory of which the checks tell that it cannot be read


def sources_of(paths: Sequence[Path], *, name: str | None) -> list[Source]:
    """Return the adapters that paths lead to, in the order of the paths and then of their names.

    A directory that has one of the two files is an adapter; any other is a folder of adapters, of which
    those of a training run are left out. `name` is for a single adapter. Raises CommandError for paths that
    lead to none, and where two adapters have one name.
    """
    found = [source for path in paths for source in _at(path)]
    if name is not None:
        if len(found) != 1:
            raise CommandError(f"--name is for one adapter, got {len(found)}")
        found = [Source(name=name, path=found[0].path)]
    _check_unique(found)
    return found


def _at(path: Path) -> Iterator[Source]:
    if not path.exists():
        raise CommandError(f"{path}: there is no such file or directory")
    if not path.is_dir():
        if not path.name.endswith(ARCHIVE_SUFFIX):
            raise CommandError(f"{path}: it should be a directory, or an archive '….tar.gz'")
        yield Source(name=path.name.removesuffix(ARCHIVE_SUFFIX), path=path)
        return
    if any((path / file).exists() for file in REQUIRED_FILES):
        yield Source(name=path.resolve().name, path=path)
        return
    yield from _in(path)


def _in(folder: Path) -> Iterator[Source]:
    with os.scandir(folder) as found:
        folders = sorted((entry.name, kind_of(entry)) for entry in found if entry.is_dir())
    adapters = [name for name, kind in folders if not is_leftover(name, kind) and not name.startswith(".")]
    if not adapters:
        beside = [name for name, kind in folders if is_leftover(name, kind)]
        hint = f"; of {', '.join(beside[:3])}, name the one that is meant, with --name" if beside else ""
        raise CommandError(
            f"{folder}: it should be an adapter ({', '.join(REQUIRED_FILES)}) or a folder of adapters{hint}"
        )
    for name in adapters:
        yield Source(name=name, path=folder / name)


def _check_unique(sources: Iterable[Source]) -> None:
    seen: dict[str, Source] = {}
    problems = []
    for source in sources:
        other = seen.setdefault(source.name.casefold(), source)
        if other is not source:
            problems.append(
                f"{source.path}: name: should be its own, whatever the case, and {other.path} has it, got"
                f" {source.name!r}"
            )
    if problems:
        raise CommandError("\n".join(problems))

"""The numbered examples as zip files, for readers who have the site and the wheel alone."""

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

FOLDER = "downloads"
"""Where the zip files are, below the root of the site."""

_EXAMPLES = "examples"
_MODEL = "tickets"
"""The folder beside an example whose app has the tiny model."""
_EARLIEST = (1980, 1, 1, 0, 0, 0)
"""A zip has no earlier time."""


def archive_of(folder: Path, repository: Path) -> PurePosixPath | None:
    """Return where the zip of a numbered example is on the site; None for any other path."""
    if folder.parent != repository / _EXAMPLES or not folder.name[:2].isdigit():
        return None
    return PurePosixPath(FOLDER, f"{folder.name}.zip")


def write_archive(example: Path, target: Path) -> None:
    """Write the zip of an example, with the model beside it if a file of the example names the model.

    Two builds of one commit give the same bytes. Nothing is compressed: weights hardly get smaller, and
    zlib differs from machine to machine. No file has a time.
    """
    folders = [example, *([example.parent / _MODEL] if _names_model(example) else [])]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in (path for folder in folders for path in _files(folder)):
            name = path.relative_to(example.parent).as_posix()
            entry = zipfile.ZipInfo(name, _EARLIEST)
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, path.read_bytes())


def _names_model(example: Path) -> bool:
    return any(
        path.suffix in {".py", ".yaml"} and _MODEL in path.read_text("utf-8") for path in _files(example)
    )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files that git has or would take: no environment, no cache, no output of a run."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=folder, capture_output=True, check=True, text=True).stdout
    for name in sorted(filter(None, listed.split("\0"))):
        if (folder / name).is_file():
            yield folder / name

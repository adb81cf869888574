"""The kinds of entries in the folder of an adapter."""

import os
import stat
from pathlib import Path

DANGLING = "link to nothing"


def kind_of(file: "os.DirEntry[str]") -> str:
    """Return "file", "folder", "link", "link to nothing" or "special file".

    A link counts as the file that it leads to in the same folder, or in a cache of `huggingface_hub`, whose
    snapshots have links into the `blobs` of their repository (its guide "Understand caching").
    """
    mode = file.stat(follow_symlinks=False).st_mode
    if stat.S_ISLNK(mode):
        return _kind_of_link(Path(file.path))
    if stat.S_ISDIR(mode):
        return "folder"
    return "file" if stat.S_ISREG(mode) else "special file"


def _kind_of_link(link: Path) -> str:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: links in a circle, until Python 3.13
        return DANGLING
    folder = link.parent.resolve()
    repositories = [
        above.parent
        for above in folder.parents
        if above.name == "snapshots" and above.parent.name.startswith("models--")
    ]
    within = [folder, *(repository / "blobs" for repository in repositories)]
    return "file" if target.is_file() and target.parent in within else "link"

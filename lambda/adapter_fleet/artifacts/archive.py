"""The archive of an adapter: which files, in which form, and how to read one that a stranger made."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, NamedTuple, cast

from adapter_fleet.artifacts.rules import CheckRule
from adapter_fleet.artifacts.tar import BLOCK_BYTES, tar_entries
from adapter_fleet.artifacts.unpacked import ArchiveError, ArchiveLimits, Readable, Unpacked, truncated

__all__ = [
    "ALLOWED_FILES",
    "CONFIG_FILE",
    "DIGEST_METADATA",
    "README_FILE",
    "REQUIRED_FILES",
    "WEIGHTS_FILE",
    "ArchiveError",
    "ArchiveLimits",
    "Entry",
    "Problem",
    "entries",
    "problem_of_entry",
]

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
README_FILE = "README.md"

DIGEST_METADATA = "adapter-digest"
"""The metadata of an object in S3 in which `adapters publish` notes the adapter's identity, and by which the
fleet tells an archive that is another one than the manifest says."""

REQUIRED_FILES = (CONFIG_FILE, WEIGHTS_FILE)
"""What an adapter is, in the order of the canonical archive.

The configuration comes first, so that a reader of the object in S3 can check it from its first bytes.
"""

ALLOWED_FILES = (*REQUIRED_FILES, README_FILE)
"""All that a directory or an archive may hold. The canonical archive leaves the README out: rewording it
makes no other adapter.
"""

_PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
_CODE = frozenset({".py", ".pyc", ".pyd", ".sh", ".so"})
_RULES_OF_KINDS = {
    "link": CheckRule.FILE_LINK,
    "folder": CheckRule.FILE_FOLDER,
    "sparse file": CheckRule.FILE_SPARSE,
}


class Problem(NamedTuple):
    """The rule that a file breaks, and how, in words."""

    rule: CheckRule
    text: str

    def __str__(self) -> str:
        return self.text


def problem_of_entry(name: str, kind: str, seen: set[str]) -> Problem | None:
    """Say why an entry has no place beside those `seen` before it, or None for one that has."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return Problem(CheckRule.FILE_PATH, "its path leaves the archive")
    if len(path.parts) > 1:
        return Problem(CheckRule.FILE_AT_ROOT, "it is in a sub-folder, and the files have to be at the root")
    if kind != "file":
        rule = _RULES_OF_KINDS.get(kind, CheckRule.FILE_SPECIAL)
        return Problem(rule, f"it should be a regular file, got a {kind}")
    if name not in ALLOWED_FILES:
        return _problem_of_stranger(path)
    if name in seen:
        return Problem(CheckRule.FILE_TWICE, "it is in the archive twice")
    return None


def _problem_of_stranger(path: PurePosixPath) -> Problem:
    """Say why a file has no place in an adapter that is neither one of the two nor a README.

    LMI from 18 on runs a `model.py` that it finds beside an adapter (docs.djl.ai, custom input formatter
    schema), installs a `requirements.txt`, and unpickling runs code.
    """
    if path.suffix.lower() in _PICKLES:
        return Problem(
            CheckRule.FILE_PICKLE,
            "it is a pickle, which runs code when loaded; save the adapter as safetensors",
        )
    if path.suffix.lower() in _CODE or path.name == "requirements.txt":
        return Problem(CheckRule.FILE_CODE, "it is code, which the container would run")
    return Problem(
        CheckRule.FILE_UNEXPECTED,
        f"only {', '.join(ALLOWED_FILES)} belong to an adapter, as PEFT's save_pretrained() writes them",
    )


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry of an archive: `kind` says in words what it is, `stream` is None if it is not a file.

    header:
        The bytes of the tar before its content.
    """

    name: str
    kind: str
    size: int
    stream: IO[bytes] | None
    header: bytes


def entries(
    source: Readable,
    limits: ArchiveLimits,
    *,
    gzip_only: bool = False,
    watch: Callable[[bytes], object] | None = None,
) -> Iterator[Entry]:
    """Walk once and forwards through a tar, gzipped or not, to its last byte.

    Raises ArchiveError where it cannot be read or goes beyond `limits`. An entry's stream is to be read
    before the next entry is asked for. A leading `./` is dropped from the names, and the root itself left
    out, as `tar -C directory .` writes both. `watch` gets every byte of the tar.
    """
    unpacked = Unpacked(source, limits, watch=watch)
    if gzip_only and not unpacked.is_gzip:
        raise ArchiveError("it should be a gzipped tar archive (.tar.gz)", CheckRule.ARCHIVE_GZIP)
    for entry in tar_entries(unpacked, limits):
        name = entry.name.removeprefix("./")
        content = _Content(unpacked, entry.size)
        if entry.kind != "folder" or name not in ("", "."):
            # Of a file object it has `read` alone, which is all that readers of an archive ask for.
            stream = cast(IO[bytes], content) if entry.kind == "file" else None
            yield Entry(name=name, kind=entry.kind, size=entry.size, stream=stream, header=entry.header)
        unpacked.skip(content.left + -entry.size % BLOCK_BYTES)


class _Content:
    """The content of one entry."""

    def __init__(self, unpacked: Unpacked, size: int) -> None:
        self._unpacked = unpacked
        self.left = size

    def read(self, size: int = -1) -> bytes:
        size = self.left if size < 0 else min(size, self.left)
        data = self._unpacked.read(size)
        if len(data) < size:
            raise truncated()
        self.left -= size
        return data

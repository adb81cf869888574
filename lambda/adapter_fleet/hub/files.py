"""The files of a base model: which ones serving needs, and the digest of each."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from typing_extensions import Buffer

MAX_FILES = 500
"""All of them pass through one state of a Step Functions machine, which holds at most 256 KiB."""

MAX_PATH_LENGTH = 100

COMMIT = re.compile("[0-9a-f]{40}")
"""The name of a git commit. Its files never change."""

_CONFIGURATION = frozenset(
    {
        "config.json",
        "generation_config.json",
        "hf_quant_config.json",
        "preprocessor_config.json",
        "processor_config.json",
        "quantize_config.json",
        "video_preprocessor_config.json",
    }
)
_TOKENIZER = frozenset(
    {
        "added_tokens.json",
        "merges.txt",
        "sentencepiece.bpe.model",
        "special_tokens_map.json",
        "spiece.model",
        "tekken.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "vocab.json",
        "vocab.txt",
    }
)
_CHAT = frozenset({"chat_template.jinja", "chat_template.json"})
_NAMES = _CONFIGURATION | _TOKENIZER | _CHAT
_SUFFIXES = (".safetensors", ".safetensors.index.json", ".tiktoken")
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=@-]*")
# Mistral publishes its weights twice: under these names, and in the usual shards.
_CONSOLIDATED = re.compile(r"consolidated.*\.safetensors(\.index\.json)?")


class Digest(StrEnum):
    """The kinds of digest that the hub gives for a file."""

    SHA256 = "sha256"
    """For files in Git LFS."""
    GIT_BLOB = "git-sha1"
    """For files in git itself."""


class Hash(Protocol):
    """A hash that takes its input piece by piece."""

    def update(self, data: "Buffer", /) -> None:
        """Add the next piece."""

    def hexdigest(self) -> str:
        """Return the digest of all pieces."""


class ModelFilesError(Exception):
    """A repository holds no model that can be served; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A file of a model at one commit.

    size:
        In bytes.
    digest:
        `sha256:` or `git-sha1:` and the digest in hexadecimal, as the hub has it.
    """

    path: str
    size: int
    digest: str

    def hasher(self) -> Hash:
        """Return a new hash of the kind of this file's digest."""
        if self.digest.startswith(f"{Digest.SHA256}:"):
            return hashlib.sha256()
        # git hashes a header before the content. The digest names the file; it does not protect it.
        return hashlib.sha1(b"blob %d\x00" % self.size, usedforsecurity=False)

    def matches(self, hashed: Hash) -> bool:
        """Tell whether a hash is that of this file."""
        return hashed.hexdigest() == self.digest.partition(":")[2]


def is_wanted(path: str) -> bool:
    """Tell by its name whether serving needs a file.

    Serving needs safetensors, configuration, tokenizer and chat template, all at the root. It needs no file
    that can hold code (pickles, Python), none in folders (`original/` and `onnx/` are other forms of the same
    weights), and no pictures.
    """
    return path in _NAMES or (path.endswith(_SUFFIXES) and _PATH.fullmatch(path) is not None)


def wanted_files(model: str, files: Iterable[ModelFile]) -> Sequence[ModelFile]:
    """Return the files of a repository that serving needs, by path.

    Raises ModelFilesError if they are no model: without safetensors, without a configuration, with too many
    files, or with a file of unknown size.
    """
    everything = list(files)
    found = {file.path: file for file in everything if is_wanted(file.path)}
    if not any(path.endswith(".safetensors") for path in found):
        others = sorted(file.path for file in everything)
        raise ModelFilesError(
            f"'{model}' should have its weights as safetensors at the root, got"
            f" {', '.join(others[:6]) or 'no file'}{' and others' if len(others) > 6 else ''}"
        )
    if "config.json" not in found:
        raise ModelFilesError(f"'{model}' should have a config.json, got {', '.join(sorted(found)[:6])}")
    consolidated = {path for path in found if _CONSOLIDATED.fullmatch(path)}
    if any(path.endswith(".safetensors") for path in found.keys() - consolidated):
        found = {path: file for path, file in found.items() if path not in consolidated}
    if len(found) > MAX_FILES:
        raise ModelFilesError(f"'{model}' should have at most {MAX_FILES} files, got {len(found)}")
    for file in found.values():
        if len(file.path) > MAX_PATH_LENGTH or file.size < 0:
            raise ModelFilesError(
                f"'{model}' should have files with a size and a path of at most {MAX_PATH_LENGTH} characters,"
                f" got {file.path[:MAX_PATH_LENGTH]!r} of {file.size} bytes"
            )
    return [found[path] for path in sorted(found)]

"""The files of a model on the Hugging Face Hub: which ones serving needs, and the digest of each."""

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from adapters_cli.output.errors import CommandError
from adapters_cli.output.text import few

_NAMES = frozenset(
    {
        "added_tokens.json",
        "chat_template.jinja",
        "chat_template.json",
        "config.json",
        "generation_config.json",
        "hf_quant_config.json",
        "merges.txt",
        "preprocessor_config.json",
        "processor_config.json",
        "quantize_config.json",
        "sentencepiece.bpe.model",
        "special_tokens_map.json",
        "spiece.model",
        "tekken.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
        "video_preprocessor_config.json",
        "vocab.json",
        "vocab.txt",
    }
)
_WEIGHTS = ".safetensors"
_PATH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=@-]*\.(safetensors|safetensors\.index\.json|tiktoken)")
# Mistral publishes its weights twice: under these names, and in the usual shards.
_CONSOLIDATED = re.compile(r"consolidated.*\.safetensors(\.index\.json)?")


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A file of a model at one commit, with its size in bytes.

    digest:
        `sha256:` for a file in Git LFS, else `git-sha1:`, and the hub's digest in hexadecimal.
    """

    path: str
    size: int
    digest: str

    def matches(self, content: Path) -> bool:
        """Tell whether a file on this machine has the bytes that the hub has."""
        kind, _, digest = self.digest.partition(":")
        # git hashes a header before the content. Its digest names the file; it does not protect it.
        header = b"blob %d\x00" % content.stat().st_size
        hashed = hashlib.sha1(header, usedforsecurity=False) if kind == "git-sha1" else hashlib.sha256()
        with content.open("rb") as opened:
            return hashlib.file_digest(opened, lambda: hashed).hexdigest() == digest


def is_wanted(path: str) -> bool:
    """Tell by its name whether serving needs a file.

    Serving needs safetensors, configuration, tokenizer and chat template, all at the root. It needs no file
    that can hold code (pickles, Python), none in folders (`original/` and `onnx/` are other forms of the same
    weights), and no pictures.
    """
    return path in _NAMES or _PATH.fullmatch(path) is not None


def wanted_files(model: str, files: Iterable[ModelFile]) -> Sequence[ModelFile]:
    """Return the files of a repository that serving needs, by path.

    Raises CommandError for a model without safetensors or without a configuration.
    """
    everything = {file.path: file for file in files}
    found = {path for path in everything if is_wanted(path)}
    if not any(path.endswith(_WEIGHTS) for path in found):
        raise CommandError(
            f"'{model}' should have its weights as safetensors at the root, got"
            f" {few(sorted(everything), 6) or 'no file'}"
        )
    if "config.json" not in found:
        raise CommandError(f"'{model}' should have a config.json, got {few(sorted(found), 6)}")
    shards = {path for path in found if not _CONSOLIDATED.fullmatch(path)}
    if any(path.endswith(_WEIGHTS) for path in shards):
        found = shards
    return [everything[path] for path in sorted(found)]

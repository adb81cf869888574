"""The rules on the files of an adapter."""

from collections.abc import Container
from pathlib import PurePosixPath
from typing import NamedTuple

from adapter_fleet.artifacts.archive import ALLOWED_FILES, belongs_to_adapter
from adapter_fleet.artifacts.rules import CheckRule

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


def problem_of_entry(name: str, kind: str, seen: Container[str]) -> Problem | None:
    """Return why an entry does not belong to an adapter, beside those `seen` before it; None if it does."""
    if belongs_to_adapter(name, kind, seen):
        return None
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return Problem(CheckRule.FILE_PATH, "its path leaves the archive")
    if len(path.parts) > 1:
        return Problem(CheckRule.FILE_AT_ROOT, "it is in a sub-folder, and the files have to be at the root")
    if kind != "file":
        rule = _RULES_OF_KINDS.get(kind, CheckRule.FILE_SPECIAL)
        return Problem(rule, f"it should be a regular file, got a {kind}")
    if name in seen and name in ALLOWED_FILES:
        return Problem(CheckRule.FILE_TWICE, "it is in the archive twice")
    return _problem_of_stranger(path)


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

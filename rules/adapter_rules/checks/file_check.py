"""The rules on the files of an adapter."""

from collections.abc import Container
from pathlib import PurePosixPath

from adapter_fleet.artifacts.archive import ALLOWED_FILES, belongs_to_adapter
from adapter_fleet.artifacts.foreign_content import PIECE
from adapter_rules.checks.folder_entry import DANGLING
from adapter_rules.checks.requirements_and_remedies import CheckRule

_PICKLES = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"})
_CODE = frozenset({".py", ".pyc", ".pyd", ".sh", ".so"})


def problem_of_entry(name: str, kind: str, seen: Container[str]) -> tuple[CheckRule, str] | None:
    """Return why an entry does not belong to an adapter, beside those `seen` before it: rule and problem.

    None if it does.
    """
    if belongs_to_adapter(name, kind, seen):
        return None
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        return CheckRule.FILE_PATH, "its path leaves the archive"
    if len(path.parts) > 1:
        return CheckRule.FILE_AT_ROOT, "it is in a sub-folder, and the files have to be at the root"
    if kind == DANGLING:
        return CheckRule.FILE_CONTENT, "it is a link to nothing: download the file that it led to"
    if kind != "file":
        rule = CheckRule.FILE_LINK if kind == "link" else CheckRule.FILE_UNEXPECTED
        return rule, f"it should be a regular file, got a {kind}"
    if name in seen and name in ALLOWED_FILES:
        return CheckRule.ARCHIVE_FORM, "it is in the archive twice"
    return _problem_of_other_file(path)


def _problem_of_other_file(path: PurePosixPath) -> tuple[CheckRule, str]:
    """Return why a file other than the adapter's files and a README does not belong to an adapter.

    LMI 18 and newer run a `model.py` beside an adapter (docs.djl.ai, custom input formatter schema) and
    install a `requirements.txt`. Unpickling runs code.
    """
    if path.suffix.lower() in _PICKLES:
        return (
            CheckRule.FILE_PICKLE,
            "it is a pickle, which runs code when loaded; save the adapter as safetensors",
        )
    if path.suffix.lower() in _CODE or path.name == "requirements.txt":
        return CheckRule.FILE_CODE, "it is code, which the container would run"
    if PIECE.search(path.name):
        return CheckRule.FILE_CONTENT, "it is one of several pieces: save the adapter in one file"
    if path.name.startswith("._"):
        return CheckRule.FILE_CONTENT, "it is a file of macOS: pack with COPYFILE_DISABLE=1 tar -czf …"
    return (
        CheckRule.FILE_UNEXPECTED,
        f"only {', '.join(ALLOWED_FILES)} belong to an adapter, as PEFT's save_pretrained() writes them",
    )

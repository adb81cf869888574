"""The zip that every Lambda function of the library runs from.

Its bytes are a function of what is in it: sorted entries, one time, one mode, and nothing compressed, since
that differs between builds of zlib (docs/adr/0004-lambda-zip.md).
"""

from __future__ import annotations

import atexit
import hashlib
import importlib.util
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from aws_cdk import aws_lambda as lambda_

_OWN = "adapter_fleet"
_NEEDS_A_COMPILED_LIBRARY = PurePosixPath("adapter_fleet/artifacts/packing.py")

_LIBRARIES = {
    "attrs": ("attr", "attrs"),
    "cattrs": ("cattrs",),
    "PyYAML": ("yaml",),
    "aws-lambda-powertools": ("aws_lambda_powertools",),
    "jmespath": ("jmespath",),
    "typing-extensions": ("typing_extensions",),
}
"""Import names by distribution."""

# For HTTP APIs and for events that no handler here takes. Two thirds of the library.
_LEFT_OUT = tuple(
    PurePosixPath("aws_lambda_powertools", *parts)
    for parts in (
        ("event_handler",),
        ("utilities", "auth_alpha"),
        ("utilities", "batch"),
        ("utilities", "data_classes"),
        ("utilities", "data_masking"),
        ("utilities", "feature_flags"),
        ("utilities", "idempotency"),
        ("utilities", "kafka"),
        ("utilities", "parameters"),
        ("utilities", "parser"),
        ("utilities", "streaming"),
        ("utilities", "validation"),
    )
)

_TIME = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644 << 16
_UNIX = 3


@dataclass(frozen=True, kw_only=True)
class LambdaZip:
    """A zip on this machine, there until the process ends, and the SHA-256 of its bytes in hexadecimal."""

    path: Path
    digest: str

    def code(self) -> lambda_.Code:
        """Return it as the code of the functions of one stack."""
        return lambda_.Code.from_asset(str(self.path), asset_hash=self.digest)


@cache
def lambda_zip() -> LambdaZip:
    """Return the zip of `adapter_fleet` and the libraries it imports, made once a process.

    Raises ValueError for a library that is not installed.
    """
    folder = Path(tempfile.mkdtemp(prefix="adapter-fleet-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "adapter-fleet.zip"
    write_zip(path)
    return LambdaZip(path=path, digest=hashlib.sha256(path.read_bytes()).hexdigest())


def write_zip(target: Path) -> None:
    """Write the zip to `target`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, file in sorted(_files()):
            entry = zipfile.ZipInfo(name.as_posix(), _TIME)
            entry.create_system = _UNIX
            entry.external_attr = _FILE_MODE
            archive.writestr(entry, file.read_bytes())


def _files() -> Iterator[tuple[PurePosixPath, Path]]:
    for name, file in _modules(_OWN):
        if name != _NEEDS_A_COMPILED_LIBRARY:
            yield name, file
    for library, import_names in _LIBRARIES.items():
        for import_name in import_names:
            yield from _modules(import_name)
        yield from _licences(library)


def _modules(import_name: str) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield the Python files of a module or package, wherever it is installed."""
    spec = importlib.util.find_spec(import_name)
    if spec is None or spec.origin is None:
        raise ValueError(
            f"'{import_name}', which the Lambda functions need, should be installed, got nothing"
        )
    origin = Path(spec.origin)
    if spec.submodule_search_locations is None:
        yield PurePosixPath(origin.name), origin
        return
    for file in origin.parent.rglob("*.py"):
        name = PurePosixPath(import_name, *file.relative_to(origin.parent).parts)
        if not any(name.is_relative_to(left_out) for left_out in _LEFT_OUT):
            yield name, file


def _licences(library: str) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield a library's licence, which has to go where its code goes."""
    try:
        files: Iterable[PurePosixPath] = distribution(library).files or ()
    except PackageNotFoundError:  # on the path, but not installed as a distribution
        return
    for file in files:
        if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE")):
            located = Path(str(distribution(library).locate_file(file)))
            if located.is_file():
                yield PurePosixPath("licenses", library, file.name), located

"""The zips that the Lambda functions of the library run from: one for each entry module.

A zip holds only what its entry module imports, so a function is deployed again only if its own code changed.
The bytes depend only on the content: sorted entries, one time, one mode, and nothing compressed, as builds of
zlib differ (docs/adr/0004-reproducible-builds.md).
"""

from __future__ import annotations

import ast
import atexit
import hashlib
import importlib.util
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aws_cdk import aws_lambda as lambda_

_OWN = "adapter_fleet"

_OF_THE_RUNTIME = frozenset({"boto3", "botocore", "urllib3"})
"""Libraries of the Lambda runtime that the functions use."""


@dataclass(frozen=True, kw_only=True)
class _Library:
    """A pure-Python distribution, its import names, and the import names of what it needs."""

    distribution: str
    import_names: tuple[str, ...]
    needs: tuple[str, ...] = ()


_LIBRARIES = {
    name: library
    for library in (
        _Library(distribution="attrs", import_names=("attr", "attrs")),
        _Library(distribution="cattrs", import_names=("cattrs",), needs=("attrs", "typing_extensions")),
        _Library(distribution="PyYAML", import_names=("yaml",)),
        _Library(
            distribution="aws-lambda-powertools",
            import_names=("aws_lambda_powertools",),
            needs=("jmespath", "typing_extensions"),
        ),
        _Library(distribution="jmespath", import_names=("jmespath",)),
        _Library(distribution="typing-extensions", import_names=("typing_extensions",)),
    )
    for name in library.import_names
}
"""By import name."""

# Parts for HTTP APIs and for events that no handler here takes: two thirds of the library.
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

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""The fields of statements that hold further statements."""

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
        from aws_cdk import aws_lambda as lambda_  # the zip itself needs no CDK

        return lambda_.Code.from_asset(str(self.path), asset_hash=self.digest)


@cache
def lambda_zip(entry: str) -> LambdaZip:
    """Return the zip of an entry module, `adapter_fleet.lambdas.<name>`, made once a process.

    Raises ValueError for a library that is not installed, or that a zip cannot hold.
    """
    folder = Path(tempfile.mkdtemp(prefix="adapter-fleet-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / f"{entry}.zip"
    write_zip(entry, path)
    return LambdaZip(path=path, digest=hashlib.sha256(path.read_bytes()).hexdigest())


def write_zip(entry: str, target: Path) -> None:
    """Write the zip of an entry module to `target`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, file in sorted(_files(entry)):
            info = zipfile.ZipInfo(name.as_posix(), _TIME)
            info.create_system = _UNIX
            info.external_attr = _FILE_MODE
            archive.writestr(info, file.read_bytes())


def _files(entry: str) -> Iterator[tuple[PurePosixPath, Path]]:
    own = _closure(entry)
    for module, file in own.items():
        parts = module.split(".")
        folder = parts if file.name == "__init__.py" else parts[:-1]
        yield PurePosixPath(*folder, file.name), file
    for library in _libraries(own.values()):
        for import_name in library.import_names:
            yield from _modules(import_name)
        yield from _licences(library.distribution)


def _closure(entry: str) -> dict[str, Path]:
    """Return the files of `adapter_fleet` that an entry module imports, itself and its packages included."""
    found: dict[str, Path] = {}
    pending = [entry]
    while pending:
        module = pending.pop()
        file = None if module in found else _own_file(module)
        if file is not None:
            found[module] = file
            pending += [module.rpartition(".")[0], *_imports(file)]
    return found


def _own_file(module: str) -> Path | None:
    """Return the file of a module of `adapter_fleet`; None for any other name, such as that of a class."""
    if module.partition(".")[0] != _OWN:
        return None
    package = Path(_origin(_OWN)).parent.joinpath(*module.split(".")[1:])
    files = (package / "__init__.py", package.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


@cache
def _imports(file: Path) -> Sequence[str]:
    """Return every name that a file imports, with `a.b.c` for `from a.b import c`.

    Left out are imports under `if TYPE_CHECKING`, which are not executed, and those that the code can do
    without, in a `try` with `except ImportError`.
    """
    found: list[str] = []
    pending: list[ast.AST] = [ast.parse(file.read_bytes())]
    while pending:
        match pending.pop():
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=other):
                pending += other
            case ast.Try(handlers=[ast.ExceptHandler(type=ast.Name(id="ImportError")) as handler]):
                pending.append(handler)
            case ast.Import(names=names):
                found += (name.name for name in names)
            case ast.ImportFrom(module=str(module), names=names):
                found += (module, *(f"{module}.{name.name}" for name in names))
            case node:
                for block in _BLOCKS:  # expressions hold no imports
                    pending += getattr(node, block, ())
    return found


def _libraries(files: Iterable[Path]) -> list[_Library]:
    """Return the libraries that files import, and those that these need.

    Raises ValueError for any other library.
    """
    pending = sorted({name.partition(".")[0] for file in files for name in _imports(file)})
    found: dict[str, _Library] = {}
    while pending:
        name = pending.pop()
        if name in sys.stdlib_module_names or name in _OF_THE_RUNTIME or name == _OWN:
            continue
        if name not in _LIBRARIES:
            raise ValueError(f"a Lambda function should import only {', '.join(_LIBRARIES)}, got {name!r}")
        library = _LIBRARIES[name]
        if library.distribution not in found:
            found[library.distribution] = library
            pending += library.needs
    return list(found.values())


def _modules(import_name: str) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield the Python files of a module or package, wherever it is installed."""
    origin = Path(_origin(import_name))
    if origin.name != "__init__.py":
        yield PurePosixPath(origin.name), origin
        return
    for file in origin.parent.rglob("*.py"):
        name = PurePosixPath(import_name, *file.relative_to(origin.parent).parts)
        if not any(name.is_relative_to(left_out) for left_out in _LEFT_OUT):
            yield name, file


def _origin(import_name: str) -> str:
    """Return the file of a module or package. Raises ValueError if it is not installed."""
    spec = importlib.util.find_spec(import_name)
    if spec is None or spec.origin is None:
        raise ValueError(
            f"'{import_name}', which the Lambda functions need, should be installed, got nothing"
        )
    return spec.origin


def _licences(library: str) -> Iterator[tuple[PurePosixPath, Path]]:
    """Yield a library's licence, which must be distributed with its code."""
    try:
        files: Iterable[PurePosixPath] = distribution(library).files or ()
    except PackageNotFoundError:  # on the path, but not installed as a distribution
        return
    for file in files:
        if file.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE")):
            located = Path(str(distribution(library).locate_file(file)))
            if located.is_file():
                yield PurePosixPath("licenses", library, file.name), located

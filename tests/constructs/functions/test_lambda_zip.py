import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import boto3
import botocore
import dateutil
import jmespath
import pytest
import s3transfer
import six
import urllib3

from multi_adapter_inference.functions.lambda_zip import lambda_zip

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
MODULE = ROOT / "constructs" / "multi_adapter_inference" / "functions" / "lambda_zip.py"
FLEET, USAGE = ("adapter_fleet.lambdas.fleet", "adapter_fleet.lambdas.usage")
OF_THE_RUNTIME: tuple[Any, ...] = (boto3, botocore, dateutil, jmespath, s3transfer, six, urllib3)


def run(code: str, *path: Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run code in a process that imports from `path` and the standard library only."""
    return subprocess.run(
        [sys.executable, "-S", "-I", "-c", f"import sys; sys.path += {list(map(str, path))}\n{code}"],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the folder `lambda` with other times and modes."""
    # What Python compiled may be renamed meanwhile, by another test's process.
    compiled = shutil.ignore_patterns("__pycache__")
    copy = Path(shutil.copytree(ROOT / "lambda", tmp_path / "copy", ignore=compiled))
    for file in copy.rglob("*"):
        os.utime(file, (0, 0))
        file.chmod(0o700)
    return copy


def zip_of(entry: str, sources: Path, target: Path) -> bytes:
    """Return the zip of an entry module that a process makes of other sources."""
    # By its path: an import of the module loads its package, and so the CDK, which a zip does not need.
    code = (
        f"import pathlib, runpy; module = runpy.run_path({str(MODULE)!r});"
        f"module['write_zip']({entry!r}, pathlib.Path({str(target)!r}))"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        env={**os.environ, "PYTHONPATH": str(sources)},
        stderr=subprocess.PIPE,
        text=True,
    )
    return target.read_bytes()


def names_in(entry: str) -> list[str]:
    return zipfile.ZipFile(lambda_zip(entry).path).namelist()


def test_another_folder_another_time_and_another_copy_of_the_files_give_the_same_bytes(
    sources: Path, tmp_path: Path
) -> None:
    made = lambda_zip(FLEET)
    assert zip_of(FLEET, sources, tmp_path / "two.zip") == made.path.read_bytes()
    assert hashlib.sha256(made.path.read_bytes()).hexdigest() == made.digest


def test_a_change_of_what_callers_import_leaves_the_reconciler(sources: Path, tmp_path: Path) -> None:
    for changed in (
        "lambdas/usage.py",
        "aws/usage_counter.py",
        "aws/adapter_routes.py",
        "openai/bearer_auth.py",
    ):
        file = sources / "adapter_fleet" / changed
        file.write_text(file.read_text() + "\n# changed\n")
    assert zip_of(FLEET, sources, tmp_path / "fleet.zip") == lambda_zip(FLEET).path.read_bytes()


def test_a_change_of_the_plan_changes_the_reconciler_alone(sources: Path, tmp_path: Path) -> None:
    for file in (sources / "adapter_fleet" / "fleet" / "planning").glob("[!_]*.py"):
        file.write_text(file.read_text() + "\n# changed\n")
    assert zip_of(FLEET, sources, tmp_path / "fleet.zip") != lambda_zip(FLEET).path.read_bytes()
    assert zip_of(USAGE, sources, tmp_path / "usage.zip") == lambda_zip(USAGE).path.read_bytes()


@pytest.mark.parametrize(
    ("entry", "own_libraries", "left_out"),
    [
        (FLEET, {"PyYAML"}, ("aws/adapter_routes.py", "openai/")),
        (USAGE, set(), ("fleet/planning/", "openai/")),
    ],
    ids=["fleet", "usage"],
)
def test_it_holds_python_files_and_licences_of_what_its_code_needs(
    entry: str, own_libraries: set[str], left_out: tuple[str, ...]
) -> None:
    names = names_in(entry)
    assert names == sorted(set(names))
    assert [name for name in names if not name.endswith(".py") and not name.startswith("licenses/")] == []
    libraries = {name.split("/")[1] for name in names if name.startswith("licenses/")}
    common = {"attrs", "aws-lambda-powertools", "cattrs", "jmespath", "typing-extensions"}
    assert libraries == common | own_libraries
    assert not [
        name for name in names if name.startswith(tuple(f"adapter_fleet/{each}" for each in left_out))
    ]


def test_a_library_that_a_zip_cannot_hold_is_an_error(sources: Path, tmp_path: Path) -> None:
    file = sources / "adapter_fleet" / "common" / "clock.py"
    file.write_text(file.read_text() + "\nimport numpy\n")
    with pytest.raises(subprocess.CalledProcessError) as error:
        zip_of(FLEET, sources, tmp_path / "fleet.zip")
    assert "a Lambda function should import only attr, " in error.value.stderr
    assert "got 'numpy'" in error.value.stderr


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A folder with the libraries of the Lambda runtime."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    for module in OF_THE_RUNTIME:
        file = Path(module.__file__)
        link = file.parent if file.name == "__init__.py" else file
        (folder / link.name).symlink_to(link)
    return folder


def test_the_handlers_can_be_imported_from_it_and_the_runtimes_own_libraries(
    tmp_path: Path, runtime: Path
) -> None:
    file, handlers = lambda_zip(FLEET).path, ["on_event", "is_complete", "run_pass", "manifest_object"]
    done = run(
        f"import importlib; module = importlib.import_module({FLEET!r})\n"
        f"print(*(getattr(module, name).__name__ for name in {handlers}))\n"
        "import attrs, cattrs, jmespath\n"
        "print({module.__file__.split('.zip')[0] for module in (attrs, cattrs, jmespath)})",
        file,
        runtime,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    imported, places = done.stdout.splitlines()
    assert imported.split() == handlers
    assert places == str({str(file).removesuffix(".zip")})

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
import s3transfer
import six
import urllib3

from multi_adapter_inference._internal.lambda_asset import lambda_zip, write_zip

ROOT = Path(__file__).parents[3]
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


def test_another_folder_another_time_and_another_copy_of_the_files_give_the_same_bytes(
    tmp_path: Path,
) -> None:
    # What Python compiled may be renamed meanwhile, by another test's process.
    compiled = shutil.ignore_patterns("__pycache__")
    copy = Path(shutil.copytree(ROOT / "lambda", tmp_path / "copy", ignore=compiled))
    for file in copy.rglob("*"):
        os.utime(file, (0, 0))
        file.chmod(0o700)
    one, two = tmp_path / "one.zip", tmp_path / "two.zip"
    write_zip(one)
    code = (
        "import os; from pathlib import Path; import multi_adapter_inference._internal.lambda_asset as asset;"
        f"asset.write_zip(Path({str(two)!r}))"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        check=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(copy), str(ROOT / "constructs"))),
        },
    )
    assert one.read_bytes() == two.read_bytes()


def test_its_digest_is_that_of_its_bytes() -> None:
    made = lambda_zip()
    assert hashlib.sha256(made.path.read_bytes()).hexdigest() == made.digest


def test_it_holds_python_files_and_licences_and_nothing_for_one_processor_or_one_version_of_python() -> None:
    names = zipfile.ZipFile(lambda_zip().path).namelist()
    assert names == sorted(set(names))
    assert [name for name in names if not name.endswith(".py") and not name.startswith("licenses/")] == []
    assert len([name for name in names if name.startswith("licenses/")]) == 6


def test_it_leaves_out_what_needs_a_compiled_library() -> None:
    assert "adapter_fleet/artifacts/packing.py" not in zipfile.ZipFile(lambda_zip().path).namelist()


def test_its_libraries_can_be_imported_from_it_alone(tmp_path: Path) -> None:
    done = run(
        "import attrs, cattrs, jmespath, yaml\n"
        "from aws_lambda_powertools import Logger, Metrics\n"
        "import adapter_fleet.fleet.state.registry\n"
        "print({module.__file__.split('.zip')[0] for module in (attrs, cattrs, jmespath, yaml)})",
        lambda_zip().path,
        cwd=tmp_path,
    )
    assert done.stderr == ""
    assert done.stdout.strip() == str({str(lambda_zip().path).removesuffix(".zip")})


def test_the_handlers_can_be_imported_from_it_and_the_runtimes_own_libraries(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for module in OF_THE_RUNTIME:
        file = Path(module.__file__)
        link = file.parent if file.name == "__init__.py" else file
        (runtime / link.name).symlink_to(link)
    done = run(
        "from adapter_fleet.lambdas import fleet\n"
        "print(*(getattr(fleet, name).__name__"
        " for name in ('on_event', 'is_complete', 'run_pass', 'manifest_object')))",
        lambda_zip().path,
        runtime,
        cwd=tmp_path,
    )
    assert (done.stdout.split(), done.stderr) == (
        ["on_event", "is_complete", "run_pass", "manifest_object"],
        "",
    )

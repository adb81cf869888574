"""The distributions of a release: contents, metadata, the same bytes again, and types for consumers."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.release.sbom import MARK, REPORT, ROOT, SBOM, TOOLS, canonical, in_zips, licence, report, resolved


def build(checkout: Path, target: Path, *kinds: str) -> None:
    """Build what `kinds` say into a folder: `--wheel`, or the source distribution and a wheel from it."""
    options = ["--no-isolation", *kinds, "--outdir", str(target)]
    command = [sys.executable, "-m", "build", *options, str(checkout)]
    subprocess.run(command, check=True, capture_output=True, cwd=target)


def install(wheel: Path, folder: Path) -> Path:
    """Return a Python that has the wheel and what it needs, in the locked versions, and nothing else."""
    python = folder / "bin" / "python"
    locked = ["--constraint", str(ROOT / "requirements.txt")]
    project = f"cdk-multi-adapter-inference[local] @ {wheel.as_uri()}"
    for command in (
        ["uv", "venv", "--quiet", "--seed", "--python", sys.executable, str(folder)],
        ["uv", "pip", "install", "--quiet", "--python", str(python), *locked, project],
        [str(python), "-m", "pip", "check"],
    ):
        subprocess.run(command, check=True, cwd=folder.parent)
    return python


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSION = PROJECT["version"]
NAME = f"cdk_multi_adapter_inference-{VERSION}"
PACKAGES = {"multi_adapter_inference", "adapter_fleet", "adapter_rules", "adapters_cli", "local_sagemaker"}
CONSUMER = """
from aws_cdk import App, Size, Stack
from adapter_fleet.manifest.manifest import Manifest
from adapters_cli.product import product_version
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    AdapterManifest,
    BaseModel,
    ComputeRequirements,
    IAdapterFleet,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)


def fleet_of(stack: Stack) -> IAdapterFleet:
    endpoint = MultiAdapterEndpoint(
        stack,
        "Llm",
        base_model=BaseModel.from_directory("base"),
        container=LmiContainer(version=LmiVersion.V19),
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16),
        instance_type=InstanceType.ML_G5_2XLARGE,
        compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
    )
    return endpoint.add_fleet("Tenants", manifest=AdapterManifest.from_file("adapters.yaml"))


def url_of(cloud: LocalCloud) -> str:
    return cloud.url


def names_of(manifest: Manifest) -> list[str]:
    return [adapter.name for adapter in manifest.adapters]


version: str = product_version()
fleet_of(Stack(App(), "Inference"))
"""
VALIDATE = """
import sys
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator
print(make_schemabased_validator(OutputFormat.JSON, SchemaVersion.V1_6).validate_str(sys.stdin.read()))
"""
MISTAKES = {
    'AdapterManifest.from_file("adapters.yaml")': '"adapters.yaml"',
    "return cloud.url": "return cloud",
    "adapter.name for": "adapter for",
    "version: str": "version: int",
}


def checkout(folder: Path) -> Path:
    """Copy the tracked files, as a clone has them: with other times than here, and without ignored ones."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target)
    return folder


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build(ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def python(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(dist / f"{NAME}-py3-none-any.whl", tmp_path_factory.mktemp("elsewhere") / "venv")


def strict_mypy(python: Path, folder: Path) -> list[str]:
    """Return the errors that mypy finds in a consumer's files."""
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", str(python)]
    command = [*mypy, "right.py", "wrong.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if ": error: " in line]


def test_two_checkouts_build_the_same_bytes(dist: Path, tmp_path: Path) -> None:
    again = tmp_path / "dist"
    again.mkdir()
    build(checkout(tmp_path / "clone"), again)
    for name in (f"{NAME}.tar.gz", f"{NAME}-py3-none-any.whl"):
        assert (dist / name).read_bytes() == (again / name).read_bytes(), name


def test_wheel_of_the_checkout_is_the_one_of_the_source_distribution(dist: Path, tmp_path: Path) -> None:
    build(ROOT, tmp_path, "--wheel")
    name = f"{NAME}-py3-none-any.whl"
    assert (tmp_path / name).read_bytes() == (dist / name).read_bytes()


def test_source_distribution_holds_the_packages_and_no_tests(dist: Path) -> None:
    with tarfile.open(dist / f"{NAME}.tar.gz") as archive:
        names = [Path(*Path(name).parts[1:]) for name in archive.getnames()]
    assert {name.parts[0] for name in names} == {
        *("constructs", "lambda", "rules", "cli", "local", "hatch_build.py", "sbom.cdx.json"),
        *(".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"),
    }
    assert {name.parts[1] for name in names if len(name.parts) > 1} == PACKAGES
    assert not [name for name in names if "tests" in name.parts or name.suffix == ".pyc"]


def test_distributions_pass_the_checks_of_the_index(dist: Path) -> None:
    files = sorted(map(str, dist.iterdir()))
    done = subprocess.run(
        [str(TOOLS / "twine"), "check", "--strict", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("PASSED") == 2


def test_contents_of_the_wheel_pass_their_linter(dist: Path) -> None:
    command = [str(TOOLS / "check-wheel-contents"), "--toplevel", ",".join(sorted(PACKAGES)), str(dist)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_file_of_the_packages_is_in_the_wheel(dist: Path) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "constructs", "lambda", "rules", "cli", "local"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    expected = {name.partition("/")[2] for name in tracked}
    names = zipfile.ZipFile(dist / f"{NAME}-py3-none-any.whl").namelist()
    assert {name for name in names if ".dist-info/" not in name} == expected


def test_app_of_the_readme_synthesizes_elsewhere_with_the_hashes_of_the_checkout(
    python: Path, tmp_path: Path
) -> None:
    from_wheel, from_checkout = (
        hashes_of_assets(one, tmp_path / name)
        for name, one in (("wheel", python), ("checkout", sys.executable))
    )
    assert len(from_wheel) >= 3  # template, base model, adapter
    assert from_wheel == from_checkout


def hashes_of_assets(python: Path | str, folder: Path) -> dict[str, str]:
    """Synthesize the app of the README; return each asset's source hash by its display name."""
    shutil.copytree(ROOT / "examples" / "tickets", folder / "examples" / "tickets")
    app = (ROOT / "README.md").read_text().partition("```python\n")[2].partition("```\n")[0]
    environment = {**os.environ, "CDK_VALIDATION": "false", "CDK_OUTDIR": str(folder / "cdk.out")}
    environment.pop("PYTHONPATH", None)
    subprocess.run([str(python), "-c", app], cwd=folder, env=environment, check=True)
    assets = json.loads((folder / "cdk.out" / "Inference.assets.json").read_text())["files"]
    return {entry["displayName"]: name for name, entry in assets.items()}


def test_wheel_has_an_sbom_with_the_locked_versions_and_what_the_zips_hold(dist: Path) -> None:
    text = zipfile.ZipFile(dist / f"{NAME}-py3-none-any.whl").read(f"{NAME}.dist-info/sboms/{SBOM.name}")
    check = [str(TOOLS / "python"), "-c", VALIDATE]
    assert subprocess.run(check, input=text, capture_output=True, check=True).stdout == b"None\n"
    sbom = json.loads(text)
    assert sbom["metadata"]["component"]["version"] == VERSION
    found = {canonical(each["name"]): each for each in sbom["components"]}
    assert {f"{name}=={each['version']}" for name, each in found.items()} == resolved()
    assert resolved() <= {*re.findall(r"^[^#\s]+==[^\s;]+", (ROOT / "requirements.txt").read_text(), re.M)}
    assert {name for name, each in found.items() if MARK in each.get("properties", ())} == in_zips()


@pytest.mark.parametrize("version", ["3.11", "3.14"])
def test_locked_packages_have_wheels_for_the_oldest_and_the_newest_python(
    version: str, tmp_path: Path
) -> None:
    wheels = ["--only-binary", ":all:", "--no-binary", "rouge-score"]
    target = ["--dry-run", "--quiet", "--python-version", version, "--target", str(tmp_path)]
    command = ["uv", "pip", "install", *target, *wheels, "--requirement", "requirements.txt"]
    subprocess.run(command, cwd=ROOT, check=True)


def test_licences_of_what_the_zips_hold_ask_for_no_more_than_their_text() -> None:
    sbom = json.loads(SBOM.read_text())
    assert REPORT.read_text() == report(sbom)
    components = sbom["components"]
    assert not [each["name"] for each in components if "GPL" in licence(each)]
    copied = {licence(each) for each in components if MARK in each.get("properties", ())}
    assert copied <= {"MIT", "MIT, MIT-0", "PSF-2.0"}


def test_addresses_are_absolute_once_the_repository_has_one(tmp_path: Path) -> None:
    copy, address = checkout(tmp_path / "clone"), "https://code.example/team/name"
    settings = copy / "pyproject.toml"
    settings.write_text(settings.read_text().replace('repository = ""', f'repository = "{address}/"'))
    build(copy, tmp_path, "--wheel")
    metadata = (
        zipfile.ZipFile(tmp_path / f"{NAME}-py3-none-any.whl").read(f"{NAME}.dist-info/METADATA").decode()
    )
    assert f"Project-URL: Issues, {address}/issues\n" in metadata
    assert f"]({address}/blob/main/docs/start.md)" in metadata
    assert not re.findall(r"\]\((?!https://|#)", metadata)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["bin/adapters", "--version"], f"adapters {VERSION}\n"),
        (["bin/local-sagemaker", "--help"], "--help"),
        (["bin/python", "-c", "import sys, adapters_cli.main; print('jsii' in sys.modules)"], "False\n"),
    ],
    ids=["adapters", "local-sagemaker", "without the CDK"],
)
def test_wheel_installs_its_commands(python: Path, arguments: list[str], says: str) -> None:
    program, *more = arguments
    done = subprocess.run([python.parents[1] / program, *more], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert says in done.stdout


# mypy reads all of aws-cdk-lib, which takes a minute, so one run judges both files.
@pytest.mark.timeout(1200)
def test_strict_mypy_of_a_consumer_sees_the_types_of_every_package(python: Path, tmp_path: Path) -> None:
    (tmp_path / "right.py").write_text(CONSUMER)
    wrong = CONSUMER
    for right, mistake in MISTAKES.items():
        assert right in wrong
        wrong = wrong.replace(right, mistake)
    (tmp_path / "wrong.py").write_text(wrong)
    found = strict_mypy(python, tmp_path)
    assert [error for error in found if error.startswith("right.py")] == []
    assert [re.sub(r".*\[(.*)\]$", r"\1", error) for error in found] == [
        "arg-type",  # multi_adapter_inference
        "return-value",  # local_sagemaker
        "misc",  # adapter_fleet
        "assignment",  # adapters_cli
    ]

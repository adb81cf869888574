"""The zip of an example: what a reader unpacks."""

import zipfile
from pathlib import Path

import pytest

from docs.site.build import ROOT
from docs.site.example_archives import archive_of, write_archive

EXAMPLES = ROOT / "examples"
WITH_MODEL, ALONE = EXAMPLES / "01_one_adapter", EXAMPLES / "08_consumer_app"


def unpacked(example: Path, folder: Path) -> Path:
    write_archive(example, folder / "example.zip")
    with zipfile.ZipFile(folder / "example.zip") as archive:
        archive.extractall(folder)
    return folder


def test_unpacked_example_has_the_model_where_its_app_reads_it(tmp_path: Path) -> None:
    folder = unpacked(WITH_MODEL, tmp_path)
    assert (folder / WITH_MODEL.name / "app.py").read_bytes() == (WITH_MODEL / "app.py").read_bytes()
    weights = "tickets/base/model.safetensors"
    assert (folder / weights).read_bytes() == (EXAMPLES / weights).read_bytes()


def test_example_that_makes_its_own_model_is_alone(tmp_path: Path) -> None:
    folders = {path.name for path in unpacked(ALONE, tmp_path).iterdir() if path.is_dir()}
    assert folders == {ALONE.name}


def test_hidden_files_are_in_and_what_a_run_left_is_not(tmp_path: Path) -> None:
    example = EXAMPLES / "05_evaluation_in_ci"
    left = example / "__pycache__" / "left.pyc"
    left.parent.mkdir(exist_ok=True)
    left.touch()
    try:
        folder = unpacked(example, tmp_path) / example.name
    finally:
        left.unlink()
    assert (folder / ".github" / "workflows" / "adapters.yml").is_file()
    assert not (folder / "__pycache__").exists()


def test_two_zips_of_an_example_are_the_same(tmp_path: Path) -> None:
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    write_archive(ALONE, first)
    write_archive(ALONE, second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("folder", ["examples/tickets", "examples", "docs/01_one_adapter"])
def test_other_folders_have_no_zip(folder: str) -> None:
    assert archive_of(ROOT / folder, ROOT) is None

"""Pages that the site makes of files beside the documents, and the zips of examples."""

import zipfile
from pathlib import Path

import pytest

from docs.site.build import ROOT
from docs.site.example_archives import archive_of, write_archive
from docs.site.outward_links import SiteFolder


@pytest.fixture
def site(tmp_path: Path) -> SiteFolder:
    """A repository with a guide, a module, a folder, and a page beside the documents."""
    for name, text in {
        "docs/guides/fleets.md": "",
        "docs/guides/scaling.md": "",
        "examples/client.py": 'print("```")\n',
        "NOTES.md": "See [fleets](docs/guides/fleets.md#settings) and [a client](examples/client.py).\n",
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return SiteFolder(repository=tmp_path, documents=tmp_path / "docs")


def test_link_to_a_file_leads_to_the_page_with_its_text(site: SiteFolder) -> None:
    links = "[a](../../examples/client.py#L1), [`b`](../../examples/client.py)"
    text, wanted = site.rewrite(links, site.documents / "guides" / "fleets.md")

    assert text == "[a](../source/examples/client.py.md), [`b`](../source/examples/client.py.md)"
    assert wanted == {site.repository / "examples" / "client.py"}


@pytest.mark.parametrize(
    "text",
    [
        "[scaling](scaling.md#fleets)",
        "[here](#settings)",
        "[AWS](https://docs.aws.amazon.com/)",
        "[nothing](../../examples/missing.py)",
        "```sh\n[a client](../../examples/client.py)\n```\n",
        "1. step\n\n    ~~~\n    [a client](../../examples/client.py)\n    ~~~\n",
    ],
    ids=["document", "anchor", "host", "dead", "code", "code in a list"],
)
def test_everything_else_stays_as_it_is(site: SiteFolder, text: str) -> None:
    assert site.rewrite(text, site.documents / "guides" / "fleets.md")[0] == text


def test_page_of_a_hidden_file_is_not_hidden(site: SiteFolder) -> None:
    workflow = site.repository / ".github" / "check.yml"

    assert site.place(workflow).as_posix() == "source/github/check.yml.md"


def test_page_beside_the_documents_links_back_to_them(site: SiteFolder) -> None:
    text, wanted = site.source_page(site.repository / "NOTES.md")

    assert "[fleets](../guides/fleets.md#settings)" in text
    assert "[a client](examples/client.py.md)" in text
    assert wanted == {site.repository / "examples" / "client.py"}


def test_page_of_a_file_has_its_text_and_that_of_a_folder_its_files(site: SiteFolder) -> None:
    text, _ = site.source_page(site.repository / "examples" / "client.py")
    assert text.endswith(
        '# examples/client.py\n\nA file of the repository:\n\n````python\nprint("```")\n````\n'
    )
    text, _ = site.source_page(site.repository / "examples")
    assert text.endswith("```\nclient.py\n```\n")


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

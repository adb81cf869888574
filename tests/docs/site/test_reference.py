"""The generated pages of the reference: complete, and as the code is."""

from collections.abc import Mapping
from typing import Any

import pytest
import typer

from adapter_fleet.fleet.state.records import Event
from adapters_cli.command_group import CommandGroup
from adapters_cli.main import app
from docs.site.reference import commands, constructs
from docs.site.reference.docstrings import to_markdown
from docs.site.reference.pages import FOLDER, pages, stale

pytestmark = pytest.mark.documents


@pytest.fixture(scope="module")
def wanted() -> Mapping[str, str]:
    return pages()


def test_pages_are_as_the_code_is(wanted: Mapping[str, str]) -> None:
    assert list(stale(wanted)) == [], "run: make generate"


def test_every_public_name_has_a_section_on_one_page(wanted: Mapping[str, str]) -> None:
    sections = [
        line.removeprefix("## ")
        for group in constructs.GROUPS
        for line in wanted[f"{constructs.FOLDER}/{group.file}"].splitlines()
        if line.startswith("## ")
    ]

    # griffe reads them from `__all__`: an import would load the CDK for seconds.
    assert sorted(sections) == sorted(constructs.public_names())
    assert len(sections) > 40


def test_every_command_has_a_section(wanted: Mapping[str, str]) -> None:
    group: Any = typer.main.get_command(app)
    assert set(CommandGroup.modules) <= set(group.commands)
    for name in CommandGroup.modules:
        assert f"\n## adapters {name}\n" in wanted[commands.FILE]


def test_every_kind_of_event_is_explained() -> None:
    _, _, entry = (Event.__doc__ or "").partition("what:\n")
    whats = entry.strip().partition(".")[0].replace(" or ", ", ").split(", ")
    page = (FOLDER / "events.md").read_text("utf-8")

    assert "created" in whats
    assert [what for what in whats if f"| `{what}` |" not in page] == []


def test_docstring_becomes_paragraphs_entries_and_code() -> None:
    text = to_markdown(
        "Do it.\n\n"
        "one, other:\n    Both of `Thing`. Default: none.\n"
        "releases:\n    Came later.\n\n"
        "docs/guides/fleets.md has more.\n\n"
        "Example::\n\n    do(\n        1\n    )\n",
        "AdapterFleet",
        links={"Thing": "things.md#thing"}.get,
        root="../",
    )

    assert text == (
        "Do it.\n\n"
        "- **`one`**, **`other`**: Both of [`Thing`](things.md#thing). Default: none.\n"
        "- **`releases`**: Came later. Since 0.3.\n\n"
        "[Fleets](../guides/fleets.md) has more.\n\n"
        "```python\ndo(\n    1\n)\n```"
    )

"""The guide to divergences: its snippets show what it says, and everything on it is held by a test."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import Settings
from tests.docs.blocks import blocks_of
from tests.local.stacks import Bucket

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs/guides/divergences.md"
KIND_ONLY = "[kind only](divergences.md#only-under-kind)"
TESTS = re.compile(r"`tests/\S+?\.py(::\w+)?`")

KNOWN = {
    "profile",
    "time_scale",
    "dialect",
    "engine_command",
    "load_from_cpu_seconds",
    "load_from_disk_seconds",
    "component_create_seconds",
    "component_update_seconds",
    "component_delete_seconds",
    "endpoint_seconds",
}
"""The settings about which AWS leaves nothing open: what serves copies, and times."""

before, *_sections = re.split(r"^### ", GUIDE.read_text(), flags=re.MULTILINE)
SECTIONS = {section.partition("\n")[0]: section.partition("\n## ")[0] for section in _sections}


def snippets(text: str) -> str:
    """The Python of a text."""
    return "\n".join(block.text for block in blocks_of(GUIDE, text) if block.language == "python")


@pytest.fixture(scope="module")
def shell(cloud: LocalCloud, bucket: Bucket) -> Iterator[dict[str, Any]]:
    """What the snippets before have defined, from the first one on."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cloud.environment.items():
            patch.setenv(name, value)
        patch.setenv("AWS_MAX_ATTEMPTS", "1")  # a throttled call is a refusal
        names: dict[str, Any] = {
            "model": f"s3://{bucket.name}/model.tar.gz",
            "adapter": bucket.adapter("summary"),
        }
        run(before, names)
        yield names


def run(text: str, names: dict[str, Any]) -> None:
    exec(compile(snippets(text), str(GUIDE), "exec"), names)  # noqa: S102  # a guide of this repository


def test_snippets_show_the_differences_one_after_the_other(shell: dict[str, Any]) -> None:
    for heading, text in SECTIONS.items():
        try:
            run(text, shell)
        except Exception as error:
            error.add_note(f"in {heading!r} of {GUIDE.name}")
            raise


@pytest.mark.parametrize("heading", SECTIONS)
def test_difference_is_held_by_a_snippet_or_by_tests_and_has_its_source(heading: str) -> None:
    text = SECTIONS[heading]
    assert snippets(text) or TESTS.search(text)
    assert re.search(r"\[[VTI][],/ ]", text)


def tables(heading: str) -> list[list[tuple[str, ...]]]:
    """The tables below a heading, each with its rows, without their heads."""
    below = GUIDE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return [
        [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table.splitlines()[2:]]
        for table in re.findall(r"(?:^\|.*\n)+", below, flags=re.MULTILINE)
    ]


def test_every_setting_of_which_no_source_knows_the_right_one_is_listed_with_a_test() -> None:
    [table] = tables("What nobody knows")
    listed = [name for row in table for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(listed) == sorted({field.name for field in dataclasses.fields(Settings)} - KNOWN)


def test_what_holds_under_kind_only_is_marked_in_the_guides_that_the_list_names() -> None:
    [promises] = tables("Only under `kind`")
    named = {name for row in promises for name in re.findall(r"\(([\w-]+\.md)\)", row[2])}
    guides = [guide for guide in GUIDE.parent.glob("*.md") if KIND_ONLY in guide.read_text()]
    assert named == {guide.name for guide in guides}

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
from tests.local.stacks import Bucket

GUIDE = Path(__file__).parents[2] / "docs/guides/divergences.md"
TESTS = re.compile(r"`tests/\S+?\.py(::\w+)?`")

KNOWN = {
    "profile",
    "time_scale",
    "dialect",
    "engine",
    "engine_python",
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
    return "\n".join(re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL))


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


@pytest.mark.parametrize("heading", [heading for heading, text in SECTIONS.items() if snippets(text)])
def test_snippet_shows_the_difference(heading: str, shell: dict[str, Any]) -> None:
    run(SECTIONS[heading], shell)


@pytest.mark.parametrize("heading", SECTIONS)
def test_difference_is_held_by_a_snippet_or_by_tests_and_has_its_source(heading: str) -> None:
    text = SECTIONS[heading]
    assert snippets(text) or TESTS.search(text)
    assert re.search(r"\[[VTI][],/ ]", text)


def test_every_setting_of_which_no_source_knows_the_right_one_is_listed_with_a_test() -> None:
    table = GUIDE.read_text().partition("## What nobody knows")[2]
    rows = [row for row in table.splitlines() if row.startswith("| `")]
    listed = [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    assert sorted(listed) == sorted({field.name for field in dataclasses.fields(Settings)} - KNOWN)

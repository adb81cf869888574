"""Every block of Python that declares constructs runs, and its stack can be synthesized.

A block on a page of another test names this one in its mark, as in `docs/guides/evaluating.md`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from tests.docs.blocks import Block, Fate, Page, pages
from tests.docs.snippets import run


def is_snippet(block: Block) -> bool:
    ours = block.mark is None or block.mark.text == "tests/docs/test_snippets.py"
    return block.language == "python" and block.fate is Fate.RUN and ours


PAGES = [page for page in pages() if any(map(is_snippet, page.blocks))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_of_the_page_run(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cdk, "App", partial(cdk.App, outdir=str(tmp_path / "cdk.out")))
    names: dict[str, Any] = {}
    for block in filter(is_snippet, page.blocks):
        run(block, tmp_path, names)


def test_name_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    block = Block(path=Path(__file__), line=1, language="python", text="unheard_of()", mark=None)
    with pytest.raises(NameError, match="should import 'unheard_of'"):
        run(block, tmp_path, {})


def test_names_of_loops_and_functions_are_the_blocks_own(tmp_path: Path) -> None:
    text = "def double(number):\n    return 2 * number\n\n\nall_of = [double(each) for each in range(3)]\n"
    names: dict[str, Any] = {}
    run(Block(path=Path(__file__), line=1, language="python", text=text, mark=None), tmp_path, names)
    assert names["all_of"] == [0, 2, 4]

"""Every block of Python that declares constructs runs, and its stack can be synthesized.

A block on a page of another test names this one in its mark, as in `docs/guides/evaluating.md`.
"""

from functools import partial
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest

from tests.docs.blocks import Block, Fate, Page, pages
from tests.docs.snippets import run

pytestmark = pytest.mark.documents


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

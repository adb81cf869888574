"""Every block of code in the documents is run, read or checked, or says why not."""

from __future__ import annotations

import re

import pytest

from tests.docs.blocks import COMMANDS, DATA, ROOT, RUN_BY, Block, Fate, Page, pages
from tests.docs.command_lines import problem_of
from tests.docs.data_files import parse
from tests.docs.shell import commands, script

PAGES = pages()
BLOCKS = [block for page in PAGES for block in page.blocks]


def named(things: list[Page] | list[Block]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("it", things, ids=lambda it: it.name)


@named(PAGES)
def test_every_block_is_run_or_says_why_not(it: Page) -> None:
    assert [block.fate for block in it.blocks]


@named(PAGES)
def test_every_mark_has_its_reason_or_its_test(it: Page) -> None:
    assert not it.lost, "'not run' should be on the line before a block"
    for mark in it.marks:
        assert mark.text, f"{it.name}: a mark '{mark.kind}' without a reason"
        if mark.kind == RUN_BY:
            test = ROOT / mark.text
            assert it.path.name in test.read_text(), f"{mark.text} should name {it.path.name}"


@named([block for block in BLOCKS if block.language == "text"])
def test_output_has_no_commands(it: Block) -> None:
    assert "\n$ " not in f"\n{it.text}", "a block with commands after '$ ' should be 'console'"


@named([block for block in BLOCKS if block.language in COMMANDS])
def test_commands_have_options_targets_and_files_that_exist(it: Block) -> None:
    found = list(commands(script(it)))
    assert found, "a block of commands without a command: is it 'text'?"
    assert not [problem for problem in map(problem_of, found) if problem]


@named([block for block in BLOCKS if block.language in DATA and block.fate is Fate.PARSED])
def test_data_is_what_the_product_accepts(it: Block) -> None:
    parse(it)


@named([block for block in BLOCKS if "BaseModel.from_bucket(" in block.text])
def test_base_model_in_a_bucket_is_one_that_synth_can_check(it: Block) -> None:
    for arguments in re.findall(r"BaseModel\.from_bucket\(([^()]*)\)", it.text):
        assert re.search(r"\b(name|config)=", arguments)

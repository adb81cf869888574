"""Every block of code in the documents is run, read or checked, or says why not."""

from __future__ import annotations

import re
import shlex

import pytest

from tests.docs.blocks import COMMANDS, DATA, ROOT, RUN_BY, Block, Fate, Page, documents, pages
from tests.docs.command_lines import problem_of
from tests.docs.data_files import parse
from tests.docs.shell import commands, script

pytestmark = pytest.mark.documents

PAGES = pages()
BLOCKS = [block for page in PAGES for block in page.blocks]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_or_says_why_not(page: Page) -> None:
    assert [block.fate for block in page.blocks]
    assert not page.lost, "'not run' should be on the line before a block"
    for mark in page.marks:
        assert mark.text, f"{page.name}: a mark '{mark.kind}' without a reason"
        if mark.kind == RUN_BY:
            test = ROOT / mark.text
            assert page.path.name in test.read_text(), f"{mark.text} should name {page.path.name}"


def problems(block: Block) -> list[str]:
    """What is wrong with a block, found without running it."""
    if block.language == "text" and "\n$ " in f"\n{block.text}":
        return ["a block with commands after '$ ' should be 'console'"]
    if block.language in COMMANDS:
        found = list(commands(script(block)))
        return [each for each in map(problem_of, found) if each] if found else ["no command: is it 'text'?"]
    if block.language in DATA and block.fate is Fate.PARSED:
        try:
            parse(block)
        except ValueError as error:
            return [str(error)]
    return []


def test_commands_and_data_are_what_the_product_accepts() -> None:
    assert {block.name: found for block in BLOCKS if (found := problems(block))} == {}


@pytest.mark.parametrize(
    ("language", "text", "problem"),
    [
        ("sh", "adapters statsu", "there is no command 'statsu'"),
        ("sh", "adapters status --wiat", "No such option: --wiat"),
        ("sh", "cdk deploy -c environment=staging", "got 'staging'"),
        ("sh", "make tset", "the Makefile has no target 'tset'"),
        ("sh", "make qa SUITE='local hostlie'", "the Makefile has no target 'qa-hostlie'"),
        ("sh", "cat environments/lcal.toml", "the repository has no 'environments/lcal.toml'"),
        ("sh", "aws sagemaker list-endpoints --nam x", "has no option '--nam'"),
        ("text", "$ ls", "should be 'console'"),
        ("toml", "[scaling]\nmin_copy = 1\n", "unknown key"),
        ("yaml", "adapters:\n  - {name: acme, rnak: 8}\n", "unknown key"),
        ("jsonl", '{"a": 1}\n{"a"}\n', "Expecting"),
    ],
)
def test_mistake_is_found(language: str, text: str, problem: str) -> None:
    block = Block(path=ROOT / "README.md", line=1, language=language, text=text, mark=None)
    (found,) = problems(block)
    assert problem in found


def test_targets_that_sentences_name_exist() -> None:
    text = "".join(path.read_text() for path in documents() if path.name != "CHANGELOG.md")
    named = set(re.findall(r"`(make\s[^`]+)`", text))
    assert len(named) > 10
    assert [problem for words in sorted(named) if (problem := problem_of(shlex.split(words)))] == []


def test_base_model_in_a_bucket_is_one_that_synth_can_check() -> None:
    for block in BLOCKS:
        for arguments in re.findall(r"BaseModel\.from_bucket\(([^()]*)\)", block.text):
            assert re.search(r"\b(name|config)=", arguments), block.name

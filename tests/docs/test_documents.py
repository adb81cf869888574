"""Every block of code in the documents is run, read or checked, or says why not."""

import json
import re
import shlex
import tomllib
from typing import Any

import pytest
import yaml

from adapter_fleet.documents.schema import structure
from adapter_fleet.manifest.manifest import Manifest
from adapter_rules.environment import _WORDS, Environment, EnvironmentFileError, _converter
from tests.docs.blocks import COMMANDS, DATA, ROOT, RUN_BY, Block, Fate, Page, documents, pages
from tests.docs.command_lines import problem_of
from tests.docs.shell import commands, script

pytestmark = pytest.mark.documents

PAGES = pages()
BLOCKS = [block for page in PAGES for block in page.blocks]
_REST = tomllib.loads((ROOT / "environments/local.toml").read_text())
"""What a part of an environment file leaves out."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run_or_says_why_not(page: Page) -> None:
    assert [block.fate for block in page.blocks]
    assert not page.lost, "'not run' should be on the line before a block"
    for mark in page.marks:
        assert mark.text, f"{page.name}: a mark '{mark.kind}' without a reason"
        if mark.kind == RUN_BY:
            test = ROOT / mark.text
            assert page.path.name in test.read_text(), f"{mark.text} should name {page.path.name}"


def parse(block: Block) -> None:
    """Raise ValueError if the product would refuse the block.

    TOML is a part of an environment file and YAML is a manifest, except for `pyproject.toml` and workflows of
    CI, which their keys show.
    """
    if block.language == "json":
        json.loads(block.text)
    elif block.language == "jsonl":
        for line in block.text.splitlines():
            json.loads(line)
    elif block.language == "toml":
        _parse_toml(block.text)
    else:
        _parse_yaml(block.text)


def _parse_toml(text: str) -> None:
    if not tomllib.loads(text).keys() & {"tool", "project", "dependency-groups"}:
        _parse_environment(text)


def _parse_environment(text: str) -> None:
    """Read a part of an environment file: in place of the tables of `local.toml`, or else beside them."""
    part = tomllib.loads(text)
    problems = []
    for whole in (_REST | part, _merged(_REST, part)):
        try:
            structure(_converter(ROOT / "environments"), whole, Environment, words=_WORDS)
        except ValueError as error:
            problems.append(str(error))
        else:
            return
    raise EnvironmentFileError(problems[0])


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Return tables with those of `other` in them, at any depth."""
    both = one | other
    for name in one.keys() & other.keys():
        if isinstance(one[name], dict) and isinstance(other[name], dict):
            both[name] = _merged(one[name], other[name])
    return both


def _parse_yaml(text: str) -> None:
    loaded = yaml.safe_load(text)
    # A workflow of GitHub, or a configuration of LiteLLM.
    if not (isinstance(loaded, dict) and loaded.keys() & {"jobs", "litellm_settings"}):
        Manifest.parse(text.encode(), where="adapters.yaml", folder=ROOT)


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

"""Blocks of data are read as the product reads its files."""

import pytest

from tests.docs.blocks import ROOT, Block
from tests.docs.data_files import parse


def block(language: str, text: str) -> Block:
    return Block(path=ROOT / "README.md", line=1, language=language, text=text, mark=None)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("toml", "[scaling]\nmin_copies = 1\nmax_copies = 3\n"),
        ("toml", "[fleets.Tenants.smoke]\nprompt = 'Hello'\n"),
        ("toml", "[tool.pytest.ini_options]\nminversion = '8'\n"),
        ("yaml", "on: push\njobs: {}\n"),
        ("json", "[1]"),
        ("jsonl", '{"a": 1}\n{"a": 2}\n'),
    ],
)
def test_right_data_is_accepted(language: str, text: str) -> None:
    parse(block(language, text))


@pytest.mark.parametrize(
    ("language", "text", "problem"),
    [
        ("toml", "[scaling]\nmin_copy = 1\n", "unknown key"),
        ("yaml", "adapters:\n  - {name: acme, rnak: 8}\n", "unknown key"),
        ("json", "{a: 1}", "Expecting"),
        ("jsonl", '{"a": 1}\n{"a"}\n', "Expecting"),
    ],
)
def test_mistake_is_found(language: str, text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse(block(language, text))

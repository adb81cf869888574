"""Blocks of data are read as the product reads its files."""

import pytest

from tests.docs.blocks import ROOT, Block
from tests.docs.data_files import parse


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
        parse(Block(path=ROOT / "README.md", line=1, language=language, text=text, mark=None))

"""The report as Markdown."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from adapters_cli.reports.markdown import markdown
from adapters_cli.reports.markdown_text import code, plain
from tests.cli.reports.example_result import example_result, outcome


def test_the_verdict_is_the_first_line() -> None:
    failed = example_result(items=30, requirements=[outcome("summary", "rougeL >= 0.9", "0.7", met=False)])
    passed = example_result(items=30, requirements=[outcome("summary", "rougeL >= 0.1", "0.7", met=True)])

    assert markdown(failed).startswith("# ❌ Failed: the requirement is not met\n")
    assert markdown(passed).startswith("# ✅ Passed: the requirement is met\n")


def test_every_metric_is_a_row_with_its_basis_and_intervals() -> None:
    result = example_result(items=120)

    (row,) = re.findall(r"^\| METEOR .*$", markdown(result), re.MULTILINE)
    cells = [cell.strip() for cell in row.strip("|").split("|")]

    assert cells[0] == "METEOR (stemmed, without WordNet)"
    assert len(cells) == 8
    assert re.fullmatch(r"\+0\.\d{3} \(\+0\.\d{3} to \+0\.\d{3}\)", cells[3])
    assert cells[6] == "0.005"
    assert "On vllm 0.24.0 (CPU)." in markdown(result)
    assert "Median ÷ base" in markdown(result)


def test_all_rows_of_a_table_have_its_columns() -> None:
    reason = "a | b\n| c"
    result = example_result(
        items=40, special=True, requirements=[outcome("summary", "regex:a|b >= 1", reason, met=False)]
    )

    for table in re.findall(r"(?:^\|.*\n)+", markdown(result), re.MULTILINE):
        columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(columns) == 1, table


def test_no_text_of_an_item_leaves_its_block() -> None:
    result = example_result(items=1)
    item = replace(result.items[0], prompt="````\n</details>\n# not a heading", id="<b>`x`|\n# y")
    lines = markdown(replace(result, items=[item])).splitlines()

    at = lines.index("`````text")
    assert lines[at + 1 : at + 5] == ["````", "</details>", "# not a heading", "`````"]
    assert r"**<code>&lt;b&gt;\`x\`\| \# y</code>**" in "\n".join(lines)


@pytest.mark.parametrize("form", [plain, code])
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\r# b\r\n\rc", r"a \# b   c"),
        ("[here](https://example.com)", r"\[here\](https://example.com)"),
        ("<img src=x>", "&lt;img src=x&gt;"),
        ("for @everyone", "for @\N{ZERO WIDTH NON-JOINER}everyone"),
    ],
)
def test_text_is_no_line_end_link_tag_or_mention(form: Callable[[str], str], text: str, shown: str) -> None:
    assert form(text).removeprefix("<code>").removesuffix("</code>") == shown

"""The report as Markdown and as JUnit XML."""

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from adapters_cli.reports.markup import clean, code, escaped, plain
from adapters_cli.reports.text_reports import junit, markdown
from tests.cli.evaluation_results import example_result, outcome


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


def test_below_the_verdict_is_what_was_asked_when_and_on_which_engine() -> None:
    named = example_result(items=120)
    nameless = replace(named, engine=None)
    facts = "\n\n120 items of tickets/test.jsonl, 2026-11-26T17:20:04Z, on "

    assert f"{facts}vllm 0.24.0 (CPU).\n" in markdown(named)
    assert f"{facts}an engine that does not name itself.\n" in markdown(nameless)


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


def test_a_requirement_is_a_test_case_of_its_subject() -> None:
    result = example_result(
        items=40,
        skills={"triage": 0.9, "summary": 0.5},
        requirements=[
            outcome("triage", "rougeL >= base + 20%", "0.8 is at least 0.2", met=True),
            outcome("summary", "rougeL >= base + 20%", "0.1 is below 0.2 <by far>", met=False),
        ],
    )
    root = ET.fromstring(junit(result))

    assert (root.get("tests"), root.get("failures")) == ("2", "1")
    assert [suite.get("name") for suite in root] == ["evaluation of triage", "evaluation of summary"]
    (passed,) = root[0].findall("testcase")
    (failure,) = root[1].findall("testcase/failure")
    assert (passed.get("name"), passed.find("failure")) == ("rougeL >= base + 20%", None)
    assert failure.get("message") == "0.1 is below 0.2 <by far>"


def test_without_a_requirement_the_suite_says_what_was_found() -> None:
    result = example_result(items=40)
    (suite,) = ET.fromstring(junit(result))

    assert (suite.get("tests"), suite.findall("testcase")) == ("0", [])
    assert "summary is better than base" in (suite.findtext("system-out") or "")


def test_characters_that_xml_forbids_are_replaced() -> None:
    hostile = "\x00 \x1b[31m \ud800 \ufffe ]]> &amp; <x>"
    result = example_result(items=40, requirements=[outcome("summary", hostile, hostile, met=False)])

    (case,) = ET.fromstring(junit(result).encode()).iter("testcase")

    assert case.get("name") == "� �[31m � � ]]> &amp; <x>"


def test_text_is_escaped_and_characters_that_no_file_can_hold_are_replaced_one_by_one() -> None:
    assert escaped('<i> & "') == "&lt;i&gt; &amp; &quot;"
    assert clean("a\x00b\ud800c\n\t👩\u200d🔧") == "a�b�c\n\t👩\u200d🔧"

"""The report as JUnit XML."""

from xml.etree import ElementTree as ET

from adapters_cli.reports.junit import junit
from tests.cli.reports.example_result import example_result, outcome


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
    (failed,) = root[1].findall("testcase")
    assert (passed.get("name"), passed.find("failure")) == ("rougeL >= base + 20%", None)
    failure = failed.find("failure")
    assert failure is not None
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

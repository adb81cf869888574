"""The report as JUnit XML."""

from dataclasses import replace
from xml.etree import ElementTree as ET

from adapters_cli.evaluation.result import Judgement
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

    assert {key: root.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "2",
        "failures": "1",
        "errors": "0",
    }
    assert [suite.get("name") for suite in root] == ["evaluation of triage", "evaluation of summary"]
    (passed,) = root[0].findall("testcase")
    (failed,) = root[1].findall("testcase")
    assert (passed.get("name"), passed.find("failure")) == ("rougeL >= base + 20%", None)
    failure = failed.find("failure")
    assert failure is not None
    assert failure.get("message") == "0.1 is below 0.2 <by far>"


def test_without_a_requirement_the_figures_are_there() -> None:
    result = example_result(items=40)
    (suite,) = ET.fromstring(junit(result))

    properties = {found.get("name"): found.get("value") for found in suite.iter("property")}

    assert suite.get("tests") == "0"
    assert suite.findall("testcase") == []
    comparison = result.comparisons[1]
    assert properties["rougeL"] == repr(comparison.mean)
    assert properties["rougeL.gain.low"] == repr(comparison.interval.low)
    assert properties["Dataset digest"] == f"sha256:{result.dataset.digest}"
    assert properties["Engine"] == "vllm 0.24.0 (CPU)"


def test_a_judge_is_a_property() -> None:
    found = Judgement(
        judge="gpt-x", subject="summary", better=30, worse=8, equal=2, disagreements=0, unclear=0, p_value=0.1
    )
    result = replace(example_result(items=40), judgements=[found])

    properties = {
        part.get("name"): part.get("value") for part in ET.fromstring(junit(result)).iter("property")
    }

    assert properties["judge.gpt-x.better"] == "30"


def test_characters_that_xml_forbids_are_replaced() -> None:
    hostile = "\x00 \x1b[31m \ud800 \ufffe ]]> &amp; <x>"
    result = example_result(items=40, requirements=[outcome("summary", hostile, hostile, met=False)])

    (case,) = ET.fromstring(junit(result).encode()).iter("testcase")

    assert case.get("name") == "� �[31m � � ]]> &amp; <x>"


def test_a_judge_that_failed_is_an_error() -> None:
    found = Judgement(
        judge="bedrock:m",
        subject="triage",
        better=0,
        worse=0,
        equal=0,
        disagreements=0,
        unclear=40,
        p_value=1,
        failed=True,
        reasons=("access denied",),
    )
    result = replace(example_result(items=40, skills={"triage": 0.9}), judgements=[found])
    (suite,) = ET.fromstring(junit(result))
    assert [suite.get(key) for key in ("tests", "failures", "errors")] == ["1", "0", "1"]
    (error,) = suite.iter("error")
    assert "access denied" in error.get("message", "")

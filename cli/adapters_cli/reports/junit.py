"""An evaluation as JUnit XML, which GitHub, GitLab and Jenkins show beside the tests."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from adapters_cli.evaluation.result import EvaluationResult, RequirementOutcome
from adapters_cli.reports import verdict
from adapters_cli.reports.markup import clean


def junit(result: EvaluationResult) -> str:
    """Return a suite for each subject, with a test case for each requirement."""
    root = ET.Element("testsuites", name="adapters evaluate")
    _count(root, result.requirements)
    for subject in result.subjects:
        own = [outcome for outcome in result.requirements if outcome.subject == subject.name]
        name = clean(f"evaluation of {subject.name}")
        suite = ET.SubElement(root, "testsuite", name=name, timestamp=clean(result.made_at))
        _count(suite, own)
        for outcome in own:
            case = ET.SubElement(suite, "testcase", classname=name, name=clean(outcome.requirement))
            if not outcome.met:
                ET.SubElement(case, "failure", message=clean(outcome.reason), type="requirement")
        text = "\n".join([verdict.sentence(result, subject), *verdict.warnings(result)])
        ET.SubElement(suite, "system-out").text = clean(text)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _count(suite: ET.Element, outcomes: Sequence[RequirementOutcome]) -> None:
    suite.set("tests", str(len(outcomes)))
    suite.set("failures", str(sum(not outcome.met for outcome in outcomes)))

"""An evaluation as JUnit XML, which GitHub, GitLab and Jenkins show beside the tests."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from adapters_cli.evaluation.result import EvaluationResult, RequirementOutcome, Subject
from adapters_cli.reports import verdict
from adapters_cli.reports.markup import clean


def junit(result: EvaluationResult) -> str:
    """Return a suite a subject: its figures as properties, and a test case a requirement."""
    root = ET.Element("testsuites", name="adapters evaluate")
    outcomes = result.requirements
    _count(root, outcomes, errors=len(result.failed_judgements))
    for subject in result.subjects:
        own = [outcome for outcome in outcomes if outcome.subject == subject.name]
        name = clean(f"evaluation of {subject.name}")
        suite = ET.SubElement(root, "testsuite", name=name)
        failed = [found for found in result.failed_judgements if found.subject == subject.name]
        _count(suite, own, errors=len(failed))
        suite.set("timestamp", clean(result.made_at))
        suite.set("time", f"{_seconds(result, subject):.3f}")
        properties = ET.SubElement(suite, "properties")
        for key, value in _properties(result, subject):
            ET.SubElement(properties, "property", name=clean(key), value=clean(value))
        for outcome in own:
            _test_case(suite, name, outcome, verdict.sentence(result, subject))
        for found in failed:
            case = ET.SubElement(suite, "testcase", classname=name, name="the judge's verdicts", time="0")
            ET.SubElement(case, "error", message=clean(verdict.judgement(result, found)), type="judge")
        if verdict.warnings(result):
            ET.SubElement(suite, "system-out").text = clean("\n".join(verdict.warnings(result)))
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _count(suite: ET.Element, outcomes: Sequence[RequirementOutcome], *, errors: int) -> None:
    suite.set("tests", str(len(outcomes) + errors))
    suite.set("failures", str(sum(not outcome.met for outcome in outcomes)))
    suite.set("errors", str(errors))
    suite.set("skipped", "0")


def _test_case(suite: ET.Element, name: str, outcome: RequirementOutcome, sentence: str) -> None:
    case = ET.SubElement(suite, "testcase", classname=name, name=clean(outcome.requirement), time="0")
    if not outcome.met:
        failure = ET.SubElement(case, "failure", message=clean(outcome.reason), type="requirement")
        failure.text = clean(f"{outcome.requirement}: {outcome.reason}\n{sentence}")


def _seconds(result: EvaluationResult, subject: Subject) -> float:
    answers = (item.answers.get(subject.name) for item in result.items)
    return sum(answer.seconds or 0 for answer in answers if answer is not None)


def _properties(result: EvaluationResult, subject: Subject) -> list[tuple[str, str]]:
    rows = verdict.provenance(result)
    for comparison in verdict.comparisons_of(result, subject):
        name = comparison.metric
        rows += [
            (f"{name}.{result.baseline.name}", repr(comparison.baseline_mean)),
            (name, repr(comparison.mean)),
            (f"{name}.gain", repr(comparison.difference)),
            (f"{name}.gain.low", repr(comparison.interval.low)),
            (f"{name}.gain.high", repr(comparison.interval.high)),
            (f"{name}.p", repr(comparison.p_adjusted)),
        ]
    for found in result.judgements:
        if found.subject == subject.name:
            counts = {"better": found.better, "worse": found.worse, "equal": found.equal}
            rows += [(f"judge.{found.judge}.{word}", str(count)) for word, count in counts.items()]
    latency = verdict.latency_of(result, subject.name)
    if latency is not None:
        figures = {"p50": latency.p50, "p90": latency.p90, "p99": latency.p99, "ratio": latency.ratio}
        rows += [(f"latency.{name}", repr(value)) for name, value in figures.items() if value is not None]
        rows.append(("errors", str(latency.errors)))
    return rows

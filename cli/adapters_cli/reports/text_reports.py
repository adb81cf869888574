"""An evaluation as Markdown for a pull request, and as JUnit XML, which CI shows beside the tests."""

from collections.abc import Sequence
from xml.etree import ElementTree as ET

from adapter_fleet.common.counts import counted
from adapters_cli.evaluation.result import EvaluatedItem, EvaluationResult, RequirementOutcome, Subject
from adapters_cli.reports import figures, verdict
from adapters_cli.reports.item_ranking import gain, worst_first
from adapters_cli.reports.markup import clean, code, fenced, folded, plain, table

_WORST = 5
_SIGNS = {"passed": "✅ ", "failed": "❌ ", "open": ""}


def markdown(result: EvaluationResult) -> str:
    """Return the report of an evaluation as GitHub and GitLab render it."""
    base = result.baseline.name
    sign = _SIGNS[verdict.state(result)]
    parts = [f"# {sign}{plain(verdict.headline(result))}", plain(verdict.facts(result))]
    if result.requirements:
        rows = [
            (
                "met" if outcome.met else "**not met**",
                code(outcome.requirement),
                outcome.subject,
                outcome.reason,
            )
            for outcome in sorted(result.requirements, key=lambda outcome: outcome.met)
        ]
        parts.append(table(("", "Requirement", "Adapter", "Reason"), rows, left=4, raw=(0, 1)))
    findings = [verdict.sentence(result, subject) for subject in result.subjects]
    parts.append("\n".join(f"- {plain(line)}" for line in findings))
    warnings = verdict.warnings(result)
    if warnings:
        parts.append("\n".join(["**Before you believe it**", "", *(f"- {plain(line)}" for line in warnings)]))
    for subject in result.subjects:
        parts += [f"## {plain(subject.name)} beside {plain(base)}", _metric_table(result, subject)]
    for subject in result.subjects:
        items = [item for item in worst_first(result, [subject])[:_WORST] if item.prompt or item.reference]
        if items:
            title = f"The {counted(len(items), 'item')} that {subject.name} answered worst"
            parts.append(folded(title, "\n\n".join(_item(result, subject, item) for item in items)))
    return "\n\n".join(parts) + "\n"


def _metric_table(result: EvaluationResult, subject: Subject) -> str:
    metrics = verdict.metrics_by_name(result)
    rows = []
    for comparison in verdict.comparisons_of(result, subject):
        relative, interval = comparison.relative, comparison.relative_interval
        rows.append(
            (
                metrics[comparison.metric].title,
                figures.score(comparison.baseline_mean),
                figures.score(comparison.mean),
                f"{figures.gain(comparison.difference)} ({figures.gain_interval(comparison.interval)})",
                figures.NONE if relative is None else figures.percent(relative),
                figures.NONE if interval is None else figures.percent_interval(interval),
                figures.p_value(comparison.p_adjusted),
                f"{comparison.better} / {comparison.worse} / {comparison.equal}",
            )
        )
    headings = (
        "Metric",
        result.baseline.name,
        subject.name,
        "Gain (95 % interval)",
        "Relative gain",
        "95 % interval",
        "p (Holm)",
        "Better / worse / equal",
    )
    return table(headings, rows, left=1)


def _item(result: EvaluationResult, subject: Subject, item: EvaluatedItem) -> str:
    found = gain(item, subject.name, result.baseline.name, result.metrics)
    lines = [f"**{code(item.id)}**" + ("" if found is None else f", mean gain {figures.gain(found)}")]
    texts = [("Prompt", item.prompt), ("Reference", item.reference)]
    for name in (result.baseline.name, subject.name):
        answer = item.answers.get(name)
        if answer is not None:
            texts.append((name, f"error: {answer.error}" if answer.error is not None else answer.text))
    for title, text in texts:
        if text:
            lines += ["", f"{plain(title)}:", "", fenced(text)]
    return "\n".join(lines)


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

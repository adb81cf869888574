"""An evaluation as Markdown, for a pull request or a job's summary."""

import html
import re
from collections.abc import Iterable, Sequence

from adapters_cli.evaluation.result import EvaluatedItem, EvaluationResult, Subject
from adapters_cli.reports import figures, verdict
from adapters_cli.reports.item_ranking import gain, worst_first
from adapters_cli.reports.markup import clean, escaped

_WORST = 5
_LONGEST = 600
_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")


def markdown(result: EvaluationResult) -> str:
    """Return the report of an evaluation as GitHub and GitLab render it."""
    base = result.baseline.name
    sign = "" if not result.requirements else "✅ " if result.passed else "❌ "
    parts = [f"# {sign}{_plain(verdict.headline(result))}"]
    if result.requirements:
        rows = [
            (
                "met" if outcome.met else "**not met**",
                _code(outcome.requirement),
                outcome.subject,
                outcome.reason,
            )
            for outcome in sorted(result.requirements, key=lambda outcome: outcome.met)
        ]
        parts.append(_table(("", "Requirement", "Adapter", "Reason"), rows, left=4, raw=(0, 1)))
    findings = [verdict.sentence(result, subject) for subject in result.subjects]
    findings += [verdict.judgement(result, found) for found in result.judgements]
    parts.append("\n".join(f"- {_plain(line)}" for line in findings))
    warnings = verdict.warnings(result)
    if warnings:
        parts.append(
            "\n".join(["**Before you believe it**", "", *(f"- {_plain(line)}" for line in warnings)])
        )
    for subject in result.subjects:
        parts += [f"## {_plain(subject.name)} beside {_plain(base)}", _metric_table(result, subject)]
    if result.latency:
        parts += ["## Latency", f"On {_plain(verdict.engine(result))}.", _latency_table(result)]
    for subject in result.subjects:
        items = [item for item in worst_first(result, subject)[:_WORST] if item.prompt or item.reference]
        if items:
            title = f"The {len(items)} items that {escaped(subject.name)} answered worst"
            parts.append(_folded(title, "\n\n".join(_item(result, subject, item) for item in items)))
    provenance = _table(("", ""), verdict.provenance(result), left=2)
    parts.append(_folded("Provenance", provenance))
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
    return _table(headings, rows, left=1)


def _latency_table(result: EvaluationResult) -> str:
    rows = []
    for latency in result.latency:
        interval, tokens = latency.ratio_interval, latency.mean_completion_tokens
        quotient = figures.NONE if latency.ratio is None else figures.ratio(latency.ratio)
        if interval is not None:
            quotient += f" ({interval.low:.2f} to {interval.high:.2f})"
        rows.append(
            (
                latency.subject,
                figures.seconds(latency.p50),
                figures.seconds(latency.p90),
                figures.seconds(latency.p99),
                quotient,
                figures.NONE if tokens is None else f"{tokens:.1f}",
                f"{latency.answers}",
                f"{latency.errors}",
            )
        )
    ratio = f"Median ÷ {result.baseline.name}"
    headings = ("", "Median", "p90", "p99", ratio, "Tokens of an answer", "Answers", "Errors")
    return _table(headings, rows, left=1)


def _item(result: EvaluationResult, subject: Subject, item: EvaluatedItem) -> str:
    found = gain(item, subject.name, result.baseline.name, result.metrics)
    lines = [f"**{_code(item.id)}**" + ("" if found is None else f", mean gain {figures.gain(found)}")]
    texts = [("Prompt", item.prompt), ("Reference", item.reference)]
    for name in (result.baseline.name, subject.name):
        answer = item.answers.get(name)
        if answer is not None:
            texts.append((name, f"error: {answer.error}" if answer.error is not None else answer.text))
    for title, text in texts:
        if text:
            lines += ["", f"{_plain(title)}:", "", _fenced(text)]
    return "\n".join(lines)


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{content}\n\n</details>"


def _fenced(text: str) -> str:
    """Return a text as a block of code, which nothing in it can end."""
    shown = clean(text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …")
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"


def _code(text: str) -> str:
    """Return a text as code on one line."""
    shown = escaped(text).replace("|", "&#124;").replace("\n", " ")
    return f"<code>{shown}</code>"


def _plain(text: str) -> str:
    """Return a text on one line that Markdown shows as it is."""
    return html.escape(_SPECIAL.sub(r"\\\1", clean(text)), quote=False).replace("\n", " ")


def _table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, left: int, raw: Sequence[int] = ()
) -> str:
    """Return a table. The first `left` columns are aligned left; the cells of `raw` are Markdown already."""

    def line(cells: Iterable[str]) -> str:
        return f"| {' | '.join(cells)} |"

    return "\n".join(
        [
            line(_plain(heading) for heading in headings),
            line("---" if column < left else "---:" for column in range(len(headings))),
            *(
                line(cell if column in raw else _plain(cell) for column, cell in enumerate(row))
                for row in rows
            ),
        ]
    )

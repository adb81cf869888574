"""A result in the terminal: the verdict, then a table of the comparisons."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from adapters_cli.evaluation.result import Comparison, EvaluationResult
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import print_error, print_note, printable
from adapters_cli.reports import figures, verdict

_HEADINGS = (
    "ADAPTER",
    "METRIC",
    "BASE",
    "ADAPTER'S",
    "GAIN",
    "RELATIVE",
    "95 % OF GAIN",
    "P",
    "VERDICT",
    "ITEMS +/-/=",
)
_STYLES = {"passed": "bold green", "failed": "bold red", "open": "bold"}
_SPARE = ("ITEMS +/-/=", "P", "GAIN", "RELATIVE")


def screen(result: EvaluationResult) -> RenderableType:
    """Return the verdict and the table of the comparisons."""
    headline = Text(printable(verdict.headline(result)), style=_STYLES[verdict.state(result)])
    found = [_row(comparison, side) for comparison, side in _sides(result)]
    styled = _HEADINGS.index("VERDICT")
    return Group(headline, RowTable(headings=_HEADINGS, rows=found, styled=styled, spare=_SPARE, text=False))


def rows(result: EvaluationResult) -> Iterator[tuple[str, ...]]:
    """Yield the fields of each comparison for programs: plain numbers.

    These are the subject, the metric, the means of baseline and subject, the gain, the relative gain, both
    ends of the gain's interval, the adjusted p-value, the verdict, and how many items are better, worse and
    equal.
    """
    for comparison, side in _sides(result):
        numbers = (
            comparison.baseline_mean,
            comparison.mean,
            comparison.difference,
            comparison.relative,
            comparison.interval.low,
            comparison.interval.high,
            comparison.p_adjusted,
        )
        yield (
            comparison.subject,
            comparison.metric,
            *("-" if number is None else f"{number:.6g}" for number in numbers),
            side,
            *map(str, (comparison.better, comparison.worse, comparison.equal)),
        )


def print_notes(result: EvaluationResult) -> None:
    """Print warnings and requirements. Those that are not met are errors."""
    for line in verdict.warnings(result):
        print_note(f"warning: {line}")
    for outcome in result.requirements:
        if outcome.met:
            print_note(f"met: {outcome.reason}")
        else:
            print_error(f"not met: {outcome.reason}")


def _sides(result: EvaluationResult) -> Iterator[tuple[Comparison, str]]:
    metrics = verdict.metrics_by_name(result)
    for comparison in result.comparisons:
        yield comparison, verdict.side(comparison, metrics[comparison.metric])


def _row(comparison: Comparison, side: str) -> tuple[str, ...]:
    """Return a comparison's fields for people."""
    return (
        comparison.subject,
        comparison.metric,
        figures.score(comparison.baseline_mean),
        figures.score(comparison.mean),
        figures.gain(comparison.difference),
        "-" if comparison.relative is None else figures.percent(comparison.relative),
        figures.gain_interval(comparison.interval),
        figures.p_value(comparison.p_adjusted),
        side,
        f"{comparison.better}/{comparison.worse}/{comparison.equal}",
    )

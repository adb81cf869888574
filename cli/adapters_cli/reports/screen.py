"""A result in the terminal: the verdict, then a table of the comparisons."""

import sys

import typer
from rich.console import Console
from rich.text import Text

from adapters_cli.evaluation.result import Comparison, EvaluationResult, Judgement, Latency
from adapters_cli.output.tables import print_rows
from adapters_cli.output.text import one_line, print_error, print_note, printable
from adapters_cli.reports import figures, verdict

_HEADINGS = (
    "ADAPTER",
    "METRIC",
    "BASE",
    "ITS OWN",
    "GAIN",
    "RELATIVE",
    "95 % OF GAIN",
    "P",
    "VERDICT",
    "ITEMS +/-/=",
)
_SPARE = ("P", "95 % OF GAIN", "GAIN")


def print_result(result: EvaluationResult) -> None:
    """Print a verdict and a table on a terminal; else a line for each comparison, with tabs between fields.

    Requirements that are not met are errors.
    """
    if sys.stdout.isatty():
        style = "bold" if not result.requirements else "bold green" if result.passed else "bold red"
        Console().print(Text(printable(verdict.headline(result)), style=style))
    rows = [_row(comparison) for comparison in result.comparisons]
    print_rows(_HEADINGS, rows, styled=_HEADINGS.index("VERDICT"), spare=_SPARE)
    for latency in result.latency:
        if latency.ratio is not None:
            print_note(_latency_line(latency, result))
    for judgement in result.judgements:
        print_note(_judgement_line(judgement, result))
    for line in verdict.warnings(result):
        print_note(f"warning: {line}")
    for outcome in result.requirements:
        if outcome.met:
            print_note(f"met: {outcome.reason}")
        else:
            print_error(f"not met: {outcome.reason}")


def print_summary(result: EvaluationResult) -> None:
    """Print the verdict alone, on standard error."""
    typer.echo(printable(one_line(verdict.headline(result))), err=True)


def _row(comparison: Comparison) -> tuple[str, ...]:
    believable = verdict.believable(comparison)
    return (
        comparison.subject,
        comparison.metric,
        figures.score(comparison.baseline_mean),
        figures.score(comparison.mean),
        figures.gain(comparison.difference),
        "-" if comparison.relative is None else figures.percent(comparison.relative),
        figures.gain_interval(comparison.interval),
        figures.p_value(comparison.p_adjusted),
        "unclear" if not believable else "better" if comparison.difference > 0 else "worse",
        f"{comparison.better}/{comparison.worse}/{comparison.equal}",
    )


def _latency_line(latency: Latency, result: EvaluationResult) -> str:
    interval = latency.ratio_interval
    between = "" if interval is None else f" ({interval.low:.2f} to {interval.high:.2f})"
    tokens = latency.mean_completion_tokens
    base = verdict.latency_of(result, result.baseline.name)
    lengths = ""
    if tokens is not None and base is not None and base.mean_completion_tokens is not None:
        lengths = f"; {tokens:.0f} tokens an answer, and {base.mean_completion_tokens:.0f} of the baseline"
    return (
        f"{latency.subject}: median latency {figures.seconds(latency.p50)}, {latency.ratio:.2f} times that of"
        f" {result.baseline.name}{between}{lengths}"
    )


def _judgement_line(judgement: Judgement, result: EvaluationResult) -> str:
    unclear = f", {judgement.unclear} without a verdict" if judgement.unclear else ""
    return (
        f"{judgement.subject}: {judgement.judge} finds {judgement.better} answers better than those of"
        f" {result.baseline.name}, {judgement.worse} worse and {judgement.equal} equal"
        f" ({judgement.disagreements} because its two orders disagree{unclear}), p"
        f" {figures.p_value(judgement.p_value)}"
    )

"""The report of a benchmark, for a terminal and for a pipe."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from adapter_fleet.common.counts import counted
from adapters_cli.load.benchmark_result import (
    INTER_TOKEN_LATENCY,
    OUTPUT_LENGTH,
    REQUEST_LATENCY,
    TIME_TO_FIRST_TOKEN,
    BenchmarkResult,
    Level,
    Series,
)
from adapters_cli.load.latency_statistics import Distribution
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import one_line

LATENCY_HEADINGS = ("LOAD", "ADAPTERS", "WHO", "FIRST TOKEN", "BETWEEN", "WHOLE")
WORK_HEADINGS = ("LOAD", "ADAPTERS", "WHO", "ANSWERS", "ERRORS", "TOKENS", "REQUESTS/s", "TOKENS/s")
RATIO_HEADINGS = ("LOAD", "ADAPTERS", "ADAPTER ÷ BASE, p50", "RATIO", "95 % INTERVAL")

_SHORT_NAMES = {
    TIME_TO_FIRST_TOKEN: "first token",
    INTER_TOKEN_LATENCY: "between tokens",
    REQUEST_LATENCY: "whole latency",
}
_LEAST_FOR_ALL_PERCENTILES = 368
"""Of fewer values, the 99th percentile has no upper end of an interval."""

_FEW_ANSWERS = 30

Rows = list[tuple[str, ...]]


def latency_rows(result: BenchmarkResult) -> Rows:
    """Return the latencies of base and adapters at each level: three percentiles of each metric."""
    found: Rows = []
    for level, who, series in _sides(result):
        metrics = series.distributions()
        found.append(
            (
                level.load,
                str(level.adapters),
                who,
                *(text for metric in _SHORT_NAMES for text in _percentiles(metrics.get(metric))),
            )
        )
    return found


def work_rows(result: BenchmarkResult) -> Rows:
    """Return how much base and adapters answered at each level."""
    found: Rows = []
    for level, who, series in _sides(result):
        lengths = series.distributions().get(OUTPUT_LENGTH)
        found.append(
            (
                level.load,
                str(level.adapters),
                who,
                str(len(series.answered)),
                str(len(series.measurements) - len(series.answered)),
                "-" if lengths is None else f"{lengths.avg:.4g}",
                f"{series.request_throughput:.4g}",
                f"{series.output_token_throughput:.4g}",
            )
        )
    return found


def _sides(result: BenchmarkResult) -> Iterator[tuple[Level, str, Series]]:
    for level in result.levels:
        yield level, "base", level.base
        yield level, "adapters", level.subject


def ratio_rows(result: BenchmarkResult) -> Rows:
    """Return the ratios of adapters and base at each level, each with its interval's ends; `-` for none."""
    found: Rows = []
    for level in result.levels:
        for metric, ratio in level.ratios.items():
            found.append(
                (
                    level.load,
                    str(level.adapters),
                    _SHORT_NAMES[metric],
                    f"{ratio.value:.3f}",
                    *("-" if end is None else f"{end:.3f}" for end in (ratio.low, ratio.high)),
                )
            )
    return found


def tables(result: BenchmarkResult) -> Iterator[tuple[str, Sequence[str], Rows]]:
    """Yield the tables that have rows: title, headings, rows."""
    latencies = [(*row[:3], *(_joined(row[at : at + 3]) for at in (3, 6, 9))) for row in latency_rows(result)]
    ratios = [(*row[:4], " to ".join(row[4:])) for row in ratio_rows(result)]
    for title, headings, found in (
        ("Latency in ms: p50 / p90 / p99", LATENCY_HEADINGS, latencies),
        ("Throughput", WORK_HEADINGS, work_rows(result)),
        ("Adapters beside the base", RATIO_HEADINGS, ratios),
    ):
        if found:
            yield title, headings, found


def summary(result: BenchmarkResult) -> list[str]:
    """Return what a reader has to know before the figures."""
    engine = result.engine or "an engine that does not name itself"
    bounds = result.bounds
    lines = [
        f"{result.endpoint} on {engine}",
        f"{counted(result.prompts, 'prompt')}; answers of"
        f" {counted(result.max_tokens, 'token')}; {result.form}",
        f"{counted(result.answered, 'answer')} in {result.seconds:.1f} s; at most"
        f" {counted(bounds['requests'], 'request')} to each side of a level, and {bounds['seconds']:g} s",
    ]
    if result.interrupted:
        lines.append("interrupted: the figures are of what was measured until then")
    return lines


def notes(result: BenchmarkResult) -> list[str]:
    """Return what limits the figures."""
    found = [note for level in result.levels for note in _notes_of_level(level)]
    counts = [len(level.subject.answered) for level in result.levels]
    if any(0 < count < _LEAST_FOR_ALL_PERCENTILES for count in counts):
        found.append(
            f"of fewer than {_LEAST_FOR_ALL_PERCENTILES} answers, p99 is nearly the largest value, and its"
            " interval has no upper end"
        )
    return found


def _notes_of_level(level: Level) -> Iterator[str]:
    if level.ended_by == "seconds":
        yield f"{level.title}: the time ended before the requests"
    if level.base.answered and level.subject.answered and not level.equal_lengths:
        yield (
            f"{level.title}: base and adapters wrote answers of different lengths, so only the first token"
            " and the time between tokens are compared"
        )
    if len(level.rounds) == 1:
        yield (
            f"{level.title}: base and adapters were asked once each, so that there is no ratio; more"
            " --requests make more rounds"
        )
    sides = (("base", level.base), ("adapters", level.subject))
    if level.in_bursts:
        counts = zip(reversed(level.bursts), sides, strict=True)
        counted = " and ".join(f"{bursts} of {len(each.answered)} of {who}" for bursts, (who, each) in counts)
        yield (
            f"{level.title}: {counted} came in one burst: something between the engine and this command held"
            " them up, such as a busy machine or a proxy; so the first token and the time between tokens say"
            " nothing of the engine, and the whole latency counts"
        )
    if few := [f"{len(each.answered)} of {who}" for who, each in sides if len(each.answered) < _FEW_ANSWERS]:
        yield (
            f"{level.title}: {' and '.join(few)} are fewer than {_FEW_ANSWERS} answers, so that all figures"
            " are rough; give more --requests"
        )
    for who, series in sides:
        for error, count in series.errors:
            yield f"{level.title}: {count} x {who}: {error.kind}: {error.message}"


def screen(result: BenchmarkResult) -> RenderableType:
    """Return the report for a terminal."""
    lines: list[RenderableType] = [Text(one_line(line)) for line in summary(result)]
    for title, headings, found in tables(result):
        lines += ["", Text(title, style="italic")]
        lines.append(RowTable(headings=headings, rows=found, styled=None, text=False))
    return Group(*lines, *(Text(f"note: {one_line(line)}", style="yellow") for line in notes(result)))


def rows(result: BenchmarkResult) -> Iterator[tuple[str, ...]]:
    """Yield the report for a pipe, a number a field. The first field says what the row is about."""
    yield from (("latency", *row) for row in latency_rows(result))
    yield from (("throughput", *row) for row in work_rows(result))
    yield from (("ratio", *row) for row in ratio_rows(result))
    yield from (("note", line) for line in notes(result))


def _percentiles(each: Distribution | None) -> list[str]:
    return ["-" if each is None else _short(each.percentiles[number]) for number in (50, 90, 99)]


def _joined(percentiles: Sequence[str]) -> str:
    return "-" if "-" in percentiles else " / ".join(percentiles)


def _short(value: float) -> str:
    """Return three digits, or all of a larger whole number."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"

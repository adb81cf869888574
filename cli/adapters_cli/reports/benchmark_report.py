"""The report of a benchmark: one table of base and adapters, and notes."""

from collections.abc import Iterator

from adapter_fleet.common.counts import counted
from adapters_cli.load.benchmark_result import BenchmarkResult
from adapters_cli.load.latency_requirement import ERROR_RATE, FIGURES
from adapters_cli.output.tables import RowTable

_HEADINGS = ("FIGURE", "BASE", "ADAPTERS", "ADAPTERS ÷ BASE", "95 % INTERVAL")


def table(result: BenchmarkResult) -> RowTable:
    """Return each figure of base and adapters, their quotient and its interval; `-` for none."""
    rows = []
    for figure in FIGURES:
        ratio = result.ratio(figure)
        ends = (None, None) if ratio is None else (ratio.low, ratio.high)
        rows.append(
            (
                figure,
                _text(result.base.value(figure), ".4g"),
                _text(result.adapters.value(figure), ".4g"),
                _text(None if ratio is None else ratio.value, ".3f"),
                "-" if ends == (None, None) else " to ".join(_text(end, ".3f") for end in ends),
            )
        )
    return RowTable(headings=_HEADINGS, rows=rows, styled=None, numbers=_HEADINGS[1:4], text=False)


def notes(result: BenchmarkResult) -> Iterator[str]:
    """Yield what was measured, and what limits the figures."""
    plan = result.plan
    engine = plan.engine or "an engine that does not name itself"
    yield (
        f"{plan.endpoint} on {engine}: {counted(len(plan.adapters), 'adapter')} beside {plan.base},"
        f" {plan.concurrency} at once"
    )
    if not result.is_complete:
        yield "the time ended before the requests"
    flaws = (result.flaw(figure, of_base=True) for figure in FIGURES if figure != ERROR_RATE)
    yield from dict.fromkeys(flaw for flaw in flaws if flaw is not None)
    for who, side in (("base", result.base), ("adapters", result.adapters)):
        for error, count in side.errors:
            yield f"{count} x {who}: {error.kind}: {error.message}"


def _text(value: float | None, digits: str) -> str:
    return "-" if value is None else f"{value:{digits}}"

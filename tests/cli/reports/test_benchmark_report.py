"""The report of a benchmark."""

import io
from dataclasses import replace

from rich.console import Console

from adapters_cli.load.benchmark_result import BenchmarkResult
from adapters_cli.load.latency_requirement import LatencyRequirement
from adapters_cli.load.measurement import RequestError
from adapters_cli.reports.benchmark_report import rows, screen, tables
from tests.cli.load.test_benchmark import plan, run


def text_of(result: BenchmarkResult) -> str:
    """Return the report on a wide terminal."""
    console = Console(width=400, file=io.StringIO())
    with console.capture() as captured:
        console.print(screen(result))
    return captured.get()


def test_one_round_and_few_answers_are_noted() -> None:
    assert "base and adapters were asked once each" in text_of(run(plan(requests=1))[0])
    of_eight = text_of(run(plan(requests=8))[0])
    assert "base and adapters were asked once each" not in of_eight
    assert "8 of base and 8 of adapters are fewer than 30 answers" in of_eight
    assert "fewer than 30" not in text_of(run(plan(requests=30))[0])


def with_bursts(result: BenchmarkResult, count: int) -> BenchmarkResult:
    """Let so many answers of the adapters come at once, when the last token is ready."""
    [level] = result.levels
    own = level.subject.measurements
    own[:count] = [
        replace(one, times=replace(one.times, first=one.times.ended - 1e-4)) for one in own[:count]
    ]
    level.ratios.clear()
    level.compare()
    return result


def test_answers_in_bursts_are_noted_and_their_tokens_are_not_compared() -> None:
    result = with_bursts(run(plan(requests=40))[0], 5)
    assert "0 of 40 of base and 5 of 40 of adapters came in one burst" in text_of(result)
    [level] = result.levels
    assert level.ratios.keys() == {"time_to_first_token", "request_latency"}
    rule = LatencyRequirement.parse("inter_token_latency.p50 <= base * 9")
    assert (level.judge(rule).met, "one burst" in level.judge(rule).reason) == (False, True)
    few = with_bursts(run(plan(requests=40))[0], 4)
    assert "burst" not in text_of(few)
    assert "inter_token_latency" in few.levels[0].ratios


def test_error_of_a_container_is_text_in_the_report() -> None:
    result, _ = run(plan(requests=4))
    error = RequestError(kind="ModelError 400", message="a | b\n\n# <b>[here](https://example.com)")
    failed = replace(result.levels[0].subject.measurements[0].times, error=error)
    result.levels[0].subject.measurements[0] = replace(result.levels[0].subject.measurements[0], times=failed)
    (line,) = [line for line in text_of(result).splitlines() if "ModelError" in line]
    assert line.endswith("ModelError 400: a | b # <b>[here](https://example.com)")


def test_tables_have_as_many_cells_as_headings_and_rows_a_number_a_field() -> None:
    result, _ = run(plan())
    for _, headings, cells in tables(result):
        assert {len(row) for row in cells} == {len(headings)}
    assert "an engine" in text_of(result)
    found = [row for row in rows(result) if row[0] != "note"]
    assert {row[0]: len(row) for row in found} == {"latency": 13, "throughput": 9, "ratio": 7}
    assert all(field == "-" or float(field) >= 0 for row in found for field in row[4:])
    [(_, _, latencies), (_, _, work), (_, _, ratios)] = tables(result)
    percentiles = [
        [" / ".join(row[at : at + 3]) for at in (4, 7, 10)] for row in found if row[0] == "latency"
    ]
    assert percentiles == [list(cells[3:]) for cells in latencies]
    assert [row[1:] for row in found if row[0] == "throughput"] == work
    assert [(*row[1:5], " to ".join(row[5:])) for row in found if row[0] == "ratio"] == ratios

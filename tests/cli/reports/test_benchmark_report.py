"""The report of a benchmark, and its curves."""

import math
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from adapters_cli.load.benchmark_result import BenchmarkResult
from adapters_cli.load.latency_requirement import LatencyRequirement
from adapters_cli.load.load_generator import ClosedLoop
from adapters_cli.load.measurement import RequestError
from adapters_cli.reports.benchmark_report import markdown, tables
from adapters_cli.reports.curve_picture import curve_picture
from tests.cli.load.test_benchmark import plan, run

SVG = "{http://www.w3.org/2000/svg}"


def test_one_round_is_noted() -> None:
    assert "base and adapters were asked once each" in markdown(run(plan(requests=1))[0])
    assert "base and adapters were asked once each" not in markdown(run(plan(requests=8))[0])


def with_bursts(result: BenchmarkResult, count: int) -> BenchmarkResult:
    """Let so many answers of the adapters come at once, when the last token is ready."""
    [level] = result.levels
    own = level.subject.measurements
    own[:count] = [
        replace(one, times=replace(one.times, first=one.times.ended - 1e-4)) for one in own[:count]
    ]
    level.ratios.clear()
    level.compare(seed=0)
    return result


def test_answers_in_bursts_are_noted_and_their_tokens_are_not_compared() -> None:
    result = with_bursts(run(plan(requests=40))[0], 5)
    assert "0 of 40 of base and 5 of 40 of adapters came in one burst" in markdown(result)
    [level] = result.levels
    assert level.ratios.keys() == {"time_to_first_token", "request_latency"}
    rule = LatencyRequirement.parse("inter_token_latency.p50 <= base * 9")
    assert (level.judge(rule).met, "one burst" in level.judge(rule).reason) == (False, True)


def test_few_bursts_do_not_count() -> None:
    result = with_bursts(run(plan(requests=40))[0], 4)
    assert "burst" not in markdown(result)
    assert "inter_token_latency" in result.levels[0].ratios


def test_few_answers_are_noted() -> None:
    few = "8 of base and 8 of adapters are fewer than 30 answers"
    assert few in markdown(run(plan(requests=8))[0])
    assert "fewer than 30" not in markdown(run(plan(requests=30))[0])


def test_curve_is_one_picture_without_links_and_its_text_is_escaped() -> None:
    result, _ = run(plan(counts=[1, 4, 12], loops=[ClosedLoop(clients=1)]))
    result.engine = "<engine & co>"
    picture = curve_picture(result)
    assert picture is not None
    root = ET.fromstring(picture)
    assert root.findtext(f"{SVG}title") == "llm on <engine & co>, mix uniform"
    assert picture.count("<polyline") == 2 * 2 * 2
    assert "href" not in picture
    assert len(picture) < 20_000


def test_curve_rises_from_left_to_right_on_a_logarithmic_axis() -> None:
    picture = curve_picture(run(plan(counts=[12, 1, 4], loops=[ClosedLoop(clients=1)]))[0])
    assert picture is not None
    texts = [(text.text, text.attrib) for text in ET.fromstring(picture).iter(f"{SVG}text")]
    labels = [(text, float(at["x"])) for text, at in texts if at.get("y") == "222"][:3]
    assert [text for text, _ in labels] == ["1", "4", "12"]
    left, middle, right = (x for _, x in labels)
    assert (middle - left) / (right - left) == pytest.approx(math.log(4) / math.log(12), abs=0.01)


def test_lines_of_a_curve_have_no_area_in_the_dark_either() -> None:
    picture = curve_picture(run(plan(counts=[1, 4]))[0])
    assert picture is not None
    colours, lines = picture.index("@media(prefers-color-scheme:dark)"), picture.index(".line{fill:none")
    assert colours < lines  # of rules that are as specific, the last one counts


def test_levels_that_are_the_same_have_no_curve() -> None:
    assert curve_picture(run(plan(loops=[ClosedLoop(clients=1), ClosedLoop(clients=1)]))[0]) is None


def test_error_of_a_container_is_text_in_the_report() -> None:
    result, _ = run(plan(requests=4))
    error = RequestError(kind="ModelError 400", message="a | b\n\n# <b>[here](https://example.com)")
    failed = replace(result.levels[0].subject.measurements[0].times, error=error)
    result.levels[0].subject.measurements[0] = replace(result.levels[0].subject.measurements[0], times=failed)
    (line,) = [line for line in markdown(result).splitlines() if "ModelError" in line]
    assert line.endswith(r"ModelError 400: a \| b  \# &lt;b&gt;\[here\](https://example.com)")


def test_one_level_has_no_curve() -> None:
    assert curve_picture(run(plan())[0]) is None


def test_report_has_every_table_with_as_many_cells_as_headings() -> None:
    result, _ = run(plan(cold=30, counts=[1, 12]))
    found = list(tables(result))
    assert len(found) == 5
    for _, headings, rows in found:
        assert {len(row) for row in rows} == {len(headings)}
    assert "an engine" in markdown(result)

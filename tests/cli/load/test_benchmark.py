"""What a benchmark asks in which order, on an endpoint in memory with a clock of its own, and its report."""

import io
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from rich.console import Console

from adapters_cli.load.benchmark import Benchmark
from adapters_cli.load.benchmark_plan import BenchmarkPlan
from adapters_cli.load.benchmark_result import BenchmarkResult, Side
from adapters_cli.load.latency_requirement import FIGURES, LatencyRequirement, Verdict
from adapters_cli.load.latency_statistics import OUTSIDE
from adapters_cli.load.streaming_client import RequestError, StreamTimes
from adapters_cli.reports.benchmark_report import notes, table
from tests.adapter_fleet.fake_service import FakeClock
from tests.nightly import NIGHTLY

ADAPTERS = [f"llm-{number}" for number in range(12)]
FIRST_TOKEN = 0.010


class FakeClient:
    """Answers as an engine would, with a first token after the same time for all."""

    def __init__(
        self, clock: FakeClock, *, base_tokens: int | None = None, noise: Callable[[], float] = lambda: 1.0
    ) -> None:
        self._clock, self._base_tokens, self._noise = clock, base_tokens, noise
        self.fixed_length = True
        self.asked: list[str] = []
        self.prompts: list[str] = []

    def settle(self, component: str, prompt: str, tokens: int) -> None:
        """Every form of a request is taken."""

    def ask(self, component: str, prompt: str, tokens: int) -> StreamTimes:
        self.asked.append(component)
        self.prompts.append(prompt)
        sent = self._clock.now()
        self._clock.sleep(FIRST_TOKEN)
        first = self._clock.now()
        if component == "base" and self._base_tokens is not None:
            tokens = self._base_tokens
        between = 0.001 if component == "base" else 0.0012
        self._clock.sleep((tokens - 1) * between * self._noise())
        return StreamTimes(sent=sent, first=first, ended=self._clock.now(), output_tokens=tokens)


WARM_UP = 24
"""Requests to each side that do not count: two for each adapter."""


def plan(**changes: Any) -> BenchmarkPlan:
    usual: dict[str, Any] = {
        "endpoint": "llm",
        "engine": "an engine",
        "base": "base",
        "adapters": ADAPTERS,
        "concurrency": 1,
        "prompts": ["a", "b"],
        "max_tokens": 11,
        "requests": 40,
        "seconds": 1e6,
    }
    return BenchmarkPlan(**{**usual, **changes})


def run(
    asked: BenchmarkPlan, *, base_tokens: int | None = None, noise: Callable[[], float] = lambda: 1.0
) -> tuple[BenchmarkResult, FakeClient]:
    clock = FakeClock(start=0.0)
    client = FakeClient(clock, base_tokens=base_tokens, noise=noise)
    as_client: Any = client
    return Benchmark(asked, as_client, clock.now).run(), client


def judged(result: BenchmarkResult, text: str) -> Verdict:
    return result.judge(LatencyRequirement.parse(text)).verdict


def test_base_and_adapters_are_asked_in_turn_and_never_mixed() -> None:
    _, client = run(plan(requests=32))
    measured = client.asked[2 * WARM_UP :]
    blocks = [(who, len(list(asked))) for who, asked in groupby(each == "base" for each in measured)]
    # Rounds of 4 requests each, in the order base, adapters, adapters, base …
    assert blocks == [(True, 4), *[(False, 8), (True, 8)] * 3, (False, 8), (True, 4)]


def test_base_and_adapters_are_asked_the_same_prompts_in_every_round() -> None:
    """Else a round would compare short prompts with long ones."""
    _, client = run(plan(prompts=list("abcdefg")))
    asked = list(zip(client.asked, client.prompts, strict=True))[2 * WARM_UP :]
    of_base = [prompt for component, prompt in asked if component == "base"]
    assert of_base == [prompt for component, prompt in asked if component != "base"]
    # The first prompt is the one after those of the warm-up.
    assert "".join(of_base) == ("abcdefg" * 10)[WARM_UP:][:40]


def test_no_side_is_asked_a_prompt_twice_while_there_are_others() -> None:
    """An engine's prefix cache would answer the second one."""
    prompts = [str(number) for number in range(1_000)]
    _, client = run(plan(prompts=prompts))
    of_base = [prompt for who, prompt in zip(client.asked, client.prompts, strict=True) if who == "base"]
    assert len(of_base) == len(set(of_base)) == WARM_UP + 40


def test_warm_up_opens_a_connection_for_each_client() -> None:
    _, client = run(plan(adapters=ADAPTERS[:1], concurrency=20, requests=1))
    assert client.asked.count("base") == 20 + 1


def test_error_rate_of_no_request_is_undecided() -> None:
    result, _ = run(plan(seconds=0))
    assert result.adapters.sent == []
    assert judged(result, "request_error_rate <= 1") is Verdict.UNDECIDED


@pytest.mark.parametrize(
    ("requests", "clients", "rounds"), [(1_000, 1, 25), (100, 8, 5), (400, 8, 12), (16, 8, 2), (3, 8, 1)]
)
def test_rounds_are_as_many_as_leave_each_client_some_requests(
    requests: int, clients: int, rounds: int
) -> None:
    assert plan(requests=requests, concurrency=clients).rounds == rounds


def test_requests_bound_each_side_beside_its_warm_up() -> None:
    result, client = run(plan())
    assert len(client.asked) == 2 * (WARM_UP + 40)
    assert result.is_complete
    assert len(result.adapters.sent) == len(result.base.sent) == 40


def test_time_bounds_the_whole_and_both_sides_get_their_share() -> None:
    result, _ = run(plan(requests=100_000, seconds=20))
    assert sum(each.latency for side in (result.base, result.adapters) for each in side.sent) < 20
    assert not result.is_complete
    assert "the time ended before the requests" in notes_of(result)
    for side in (result.adapters, result.base):
        assert sum(each.latency for each in side.sent) == pytest.approx(10, rel=0.2)


def test_latency_is_compared_at_equal_lengths_and_throughput_is_of_answers_and_their_time() -> None:
    result, _ = run(plan(adapters=ADAPTERS[:1]))
    ratio = result.ratio("request_latency.p50")
    assert ratio is not None
    assert ratio.value == pytest.approx(0.022 / 0.020)
    assert (ratio.low, ratio.high) == pytest.approx((ratio.value, ratio.value))
    assert result.base.value("request_throughput") == pytest.approx(1 / 0.020)
    assert result.base.value("output_token_throughput") == pytest.approx(11 / 0.020)


def test_requirement_has_three_outcomes() -> None:
    """An adapter takes 1.2 times as long for the tokens after the first."""
    source = random.Random(1)
    result, _ = run(plan(), noise=lambda: source.lognormvariate(0, 0.3))
    assert [judged(result, f"inter_token_latency.p50 <= base * {bound}") for bound in (0.5, 1.15, 2)] == [
        Verdict.MISSED,
        Verdict.UNDECIDED,
        Verdict.MET,
    ]


def result_of(source: random.Random, rounds: int, *, slow: float = 0.0) -> BenchmarkResult:
    """A result of some rounds. Rounds differ by 15 %, and answers within one by 35 %.

    `slow` is the share of the adapters' answers that take four times as long, as those that wait for a slot.
    """
    result = BenchmarkResult(plan=plan(), fixed_length=True)
    for _ in range(rounds):
        speed = source.lognormvariate(0, 0.15)
        for side, share in ((result.adapters, slow), (result.base, 0.0)):
            side.blocks.append(
                [
                    measured(speed * source.lognormvariate(0, 0.35) * (4 if source.random() < share else 1))
                    for _ in range(20)
                ]
            )
    return result


def measured(seconds: float, error: RequestError | None = None) -> StreamTimes:
    return StreamTimes(sent=0, first=seconds / 3, ended=seconds, output_tokens=32, error=error)


@pytest.mark.slow
@pytest.mark.parametrize(("beside", "slow"), [("", 0.0), ("base * ", 0.3)])
@pytest.mark.parametrize("percentile", ["p50", "p90"])
def test_verdict_at_the_bound_is_wrong_as_seldom_as_the_guide_says(
    percentile: str, beside: str, slow: float
) -> None:
    """The bound is the true figure."""
    benchmarks = 400 if NIGHTLY else 200
    source = random.Random(percentile + beside)
    large = result_of(source, 3_000, slow=slow)
    figure = f"request_latency.{percentile}"
    own, base = large.adapters.value(figure), large.base.value(figure)
    assert own is not None
    assert base is not None
    rule = f"{figure} <= {beside}{own / base if beside else own}"
    verdicts = Counter(judged(result_of(source, 20, slow=slow), rule) for _ in range(benchmarks))
    # Each side is wrong in about 2.5 %.
    assert max(verdicts[Verdict.MET], verdicts[Verdict.MISSED]) <= 2 * OUTSIDE * benchmarks
    assert verdicts[Verdict.UNDECIDED] > 0.85 * benchmarks


def test_outage_counts_by_its_time() -> None:
    """Every fifth round of the adapters takes 30 times as long: 0.147 times the base's throughput."""
    result = BenchmarkResult(plan=plan(), fixed_length=True)
    for number in range(25):
        result.adapters.blocks.append([measured(30.0 if number % 5 == 4 else 1.0) for _ in range(4)])
        result.base.blocks.append([measured(1.0) for _ in range(4)])
    for text in ("request_throughput >= base * 0.5", "request_throughput >= 3"):
        assert judged(result, text) is Verdict.MISSED


def test_adapters_that_answer_nothing_miss_what_is_required() -> None:
    gone = measured(1.0, RequestError(kind="ModelError", message="gone"))
    result = replace(result_of(random.Random(1), 4), adapters=Side(blocks=[[gone] * 20] * 4))
    for text in ("request_latency.p50 <= base * 9", "request_throughput >= base * 0.1"):
        outcome = result.judge(LatencyRequirement.parse(text))
        assert (outcome.verdict, outcome.reason) == (
            Verdict.MISSED,
            "no request to the adapters was answered",
        )


def test_base_that_answers_nothing_leaves_what_is_beside_it_undecided() -> None:
    gone = measured(1.0, RequestError(kind="ModelError", message="gone"))
    result = replace(result_of(random.Random(1), 4), base=Side(blocks=[[gone] * 20] * 4))
    for text in ("request_latency.p50 <= base * 9", "request_throughput >= base * 0.1"):
        outcome = result.judge(LatencyRequirement.parse(text))
        assert (outcome.verdict, "not measured on both sides" in outcome.reason) == (Verdict.UNDECIDED, True)


def test_only_tokens_are_compared_if_the_base_stops_early() -> None:
    result, _ = run(plan(), base_tokens=4)
    assert {figure.partition(".")[0] for figure in result.document()["adapters_by_base"]} == {
        "time_to_first_token",
        "inter_token_latency",
    }
    assert judged(result, "request_latency.p50 <= base * 9") is Verdict.UNDECIDED
    assert judged(result, "inter_token_latency.p50 <= base * 9") is Verdict.MET
    assert "answers of different lengths" in notes_of(result)


def test_document_has_every_figure_of_both_sides() -> None:
    document = run(plan())[0].document()
    for side in ("base", "adapters"):
        counts = {"request_count", "output_sequence_length", "error_summary"}
        assert document[side].keys() == {*FIGURES, *counts}
        assert (document[side]["request_count"], document[side]["error_summary"]) == (40, [])
    ratio = document["adapters_by_base"]["request_latency.p50"]
    assert ratio["low"] <= ratio["value"] <= ratio["high"]


def notes_of(result: BenchmarkResult) -> str:
    return "\n".join(notes(result))


def with_bursts(result: BenchmarkResult, count: int) -> BenchmarkResult:
    """Let so many answers of the adapters come at once, when the last token is ready."""
    own = result.adapters.sent
    held_up = [replace(each, first=each.ended - 1e-4) for each in own[:count]] + own[count:]
    blocks = [held_up[at : at + 4] for at in range(0, len(held_up), 4)]
    return replace(result, adapters=Side(blocks=blocks))


def test_answers_in_bursts_are_noted_and_their_tokens_are_not_compared() -> None:
    result = with_bursts(run(plan(requests=40))[0], 5)
    assert "many answers came in one burst" in notes_of(result)
    assert result.ratio("request_latency.p50") is not None
    for metric in ("inter_token_latency", "time_to_first_token"):
        assert result.ratio(f"{metric}.p50") is None
        assert judged(result, f"{metric}.p50 <= base * 9") is Verdict.UNDECIDED
    few = with_bursts(run(plan(requests=40))[0], 4)
    assert "burst" not in notes_of(few)
    assert few.ratio("inter_token_latency.p50") is not None


def test_error_of_a_container_is_a_note() -> None:
    result, _ = run(plan(requests=4))
    error = RequestError(kind="ModelError 400", message="out of memory")
    result.adapters.blocks[0][0] = replace(result.adapters.blocks[0][0], error=error)
    assert "1 x adapters: ModelError 400: out of memory" in notes_of(result)


def test_table_has_a_row_for_each_figure_and_a_number_or_nothing_in_each_field() -> None:
    result, _ = run(plan())
    found = table(result)
    assert [row[0] for row in found.rows] == list(FIGURES)
    assert {len(row) for row in found.rows} == {len(found.headings)}
    assert all(field == "-" or float(field) >= 0 for row in found.rows for field in row[1:4])
    assert found.rows[-1] == ("request_error_rate", "0", "0", "-", "-")
    console = Console(width=400, file=io.StringIO())
    with console.capture() as captured:
        console.print(found)
    assert "ADAPTERS ÷ BASE" in captured.get()


def test_ratio_of_one_round_has_no_interval() -> None:
    rows = {row[0]: row for row in table(run(plan(requests=1))[0]).rows}
    assert rows["request_latency.p50"][3:] == ("1.100", "-")

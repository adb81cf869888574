"""The result of a benchmark, with the names of metrics that AIPerf writes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from adapter_fleet.common.counts import counted
from adapters_cli.load.latency_requirement import COUNTED, LatencyOutcome, LatencyRequirement
from adapters_cli.load.latency_statistics import Distribution, Estimate, percentile
from adapters_cli.load.load_generator import ClosedLoop, Loop, OpenLoop
from adapters_cli.load.measurement import Measurement, RequestError

FORMAT = "adapters-benchmark/1"

TIME_TO_FIRST_TOKEN = "time_to_first_token"
INTER_TOKEN_LATENCY = "inter_token_latency"
REQUEST_LATENCY = "request_latency"
LATENCIES = (TIME_TO_FIRST_TOKEN, INTER_TOKEN_LATENCY, REQUEST_LATENCY)
REQUEST_THROUGHPUT = "request_throughput"
INPUT_LENGTH = "input_sequence_length"
OUTPUT_LENGTH = "output_sequence_length"

LOOKS = 4
"""How often a level is held against its requirements, at most, while more requests are sent in between."""
ERROR = 0.05
"""How often a verdict may be wrong. Each look has its part of that."""

_EQUAL_LENGTHS = 0.01
"""How much the mean lengths of answers may differ, as a share, to count as equal."""
_FASTEST_TOKEN = 0.2
"""Milliseconds between two tokens that no engine goes below."""
_BURST = 0.25
"""An answer whose tokens come in so small a share of the usual time was held up, and came at once."""
_MANY_BURSTS = 0.1
"""Of so large a share of bursts, figures of tokens are those of whatever held the answers up."""


@dataclass(kw_only=True)
class Series:
    """The requests to the base or to adapters under one load.

    seconds:
        How long the load lasted, over all its blocks.
    """

    measurements: list[Measurement] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def answered(self) -> list[Measurement]:
        """Requests with a whole answer."""
        return [each for each in self.measurements if each.times.error is None]

    def values(self, metric: str) -> list[float]:
        """Return a metric of each answered request. Latencies are in milliseconds."""
        return metric_values(self.measurements, metric)

    def distributions(self) -> dict[str, Distribution]:
        """Describe each metric that has values."""
        units = dict.fromkeys((*LATENCIES, "send_delay"), "ms")
        units |= dict.fromkeys((INPUT_LENGTH, OUTPUT_LENGTH), "tokens")
        found = {metric: Distribution.of(unit, self.values(metric)) for metric, unit in units.items()}
        return {metric: each for metric, each in found.items() if each is not None}

    @property
    def request_throughput(self) -> float:
        """Answered requests a second."""
        return len(self.answered) / self.seconds if self.seconds else 0.0

    @property
    def output_token_throughput(self) -> float:
        """Tokens of answers a second."""
        tokens = sum(each.times.output_tokens for each in self.answered)
        return tokens / self.seconds if self.seconds else 0.0

    @property
    def bursts(self) -> int:
        """How many answers came in one burst, although an engine writes them token by token."""
        between = sorted(self.values(INTER_TOKEN_LATENCY))
        limit = max(_FASTEST_TOKEN, _BURST * percentile(between, 0.75)) if between else 0.0
        return sum(each < limit for each in between)

    @property
    def errors(self) -> list[tuple[RequestError, int]]:
        """The first error of each kind, and how many there are of it."""
        every = [each.times.error for each in self.measurements if each.times.error is not None]
        first = {error.kind: error for error in reversed(every)}
        return [(first[kind], count) for kind, count in Counter(error.kind for error in every).most_common()]

    def figure(self, metric: str, statistic: str) -> float | None:
        """Return one figure of the document; None if it was not measured."""
        asked = self.measurements if metric == "request_error_rate" else self.answered
        return self.document().get(metric, {}).get(statistic) if asked else None

    def document(self) -> dict[str, Any]:
        """Return the metrics as AIPerf writes them."""
        answered, asked = len(self.answered), len(self.measurements)
        found: dict[str, Any] = {
            name: distribution_document(each) for name, each in self.distributions().items()
        }
        rate = 100 * (asked - answered) / asked if asked else 0.0
        return {
            **found,
            "request_throughput": {"unit": "requests/sec", "avg": self.request_throughput},
            "output_token_throughput": {"unit": "tokens/sec", "avg": self.output_token_throughput},
            "request_count": {"unit": "requests", "avg": float(answered)},
            "request_error_rate": {"unit": "%", "avg": rate},
            "benchmark_duration": {"unit": "sec", "avg": self.seconds},
            "error_summary": [
                {"error_details": {"type": error.kind, "message": error.message}, "count": count}
                for error, count in self.errors
            ],
        }


@dataclass(kw_only=True)
class Level:
    """One load: a loop and a number of adapters in the mix, on adapters and on the base.

    ended_by:
        What ended it: `requests`, `seconds` or `interrupt`.
    rounds:
        The requests to adapters and to the base, by the round in which both were asked.
    ratios:
        Adapters divided by base, by metric. `compare` fills it.
    """

    loop: Loop
    adapters: int
    subject: Series = field(default_factory=Series)
    base: Series = field(default_factory=Series)
    ended_by: str = "requests"
    rounds: list[tuple[Sequence[Measurement], Sequence[Measurement]]] = field(default_factory=list)
    ratios: dict[str, Estimate] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The level in reports."""
        return f"{self.loop.text}, {counted(self.adapters, 'adapter')}"

    @property
    def equal_lengths(self) -> bool:
        """True if base and adapters wrote answers of the same length."""
        own, other = (series.values(OUTPUT_LENGTH) for series in (self.subject, self.base))
        if not own or not other:
            return False
        own_mean, other_mean = sum(own) / len(own), sum(other) / len(other)
        return abs(own_mean - other_mean) <= _EQUAL_LENGTHS * other_mean

    @property
    def in_bursts(self) -> bool:
        """True if so many answers came in one burst that times of tokens say nothing of the engine."""
        sides = (self.subject, self.base)
        return any(each.bursts > _MANY_BURSTS * len(each.answered) for each in sides)

    def judge(self, rule: LatencyRequirement) -> LatencyOutcome:
        """Hold the level against a requirement."""
        of_tokens = rule.metric in (TIME_TO_FIRST_TOKEN, INTER_TOKEN_LATENCY)
        if of_tokens and self.in_bursts:
            reason = "many answers came in one burst, so that times of tokens say nothing of the engine"
            return rule.undecided(self.title, reason)
        if self.subject.measurements and not self.subject.answered and rule.metric not in COUNTED:
            return rule.missed(self.title, "no request to the adapters was answered")
        own, base = (self._estimate(rule, side) for side in (self.subject, self.base))
        if own is None or (rule.of_base and base is None):
            who = "" if own is None else " of the base"
            return rule.undecided(self.title, f"{rule.metric}.{rule.statistic}{who} was not measured")
        if base is None or not rule.of_base:
            return rule.judge(own, self.title)
        if rule.metric in COUNTED:
            return rule.judge_counted(own.value, base.value, self.title)
        if not of_tokens and not self.equal_lengths:
            reason = "base and adapters wrote answers of different lengths, so their times do not compare"
            return rule.undecided(self.title, reason)
        ratio = self._ratio(rule, own, base)
        if ratio is None:
            return rule.undecided(self.title, f"no round has a {rule.metric}.{rule.statistic} of both")
        return rule.judge(ratio, self.title)

    def _estimate(self, rule: LatencyRequirement, side: Series) -> Estimate | None:
        """Estimate the figure of one side; None if it was not measured."""
        value = side.figure(rule.metric, rule.statistic)
        if value is None or rule.metric in COUNTED or rule.statistic in ("min", "max", "std"):
            return None if value is None else Estimate.exactly(value)
        blocks = [each[0 if side is self.subject else 1] for each in self.rounds]
        if rule.statistic != "avg":
            values = [metric_values(block, rule.metric) for block in blocks]
            return Estimate.of_percentile(values, int(rule.statistic[1:]) / 100, ERROR / LOOKS)
        figures = [_figure_of_block(block, rule.metric, rule.statistic) for block in blocks]
        found = Estimate.of_mean([each for each in figures if each is not None] or [value], ERROR / LOOKS)
        return Estimate(value=value, low=found.low, high=found.high)

    def _ratio(self, rule: LatencyRequirement, own: Estimate, base: Estimate) -> Estimate | None:
        """Return the ratio to the base: of medians and means round by round, of others as a whole."""
        if rule.metric not in LATENCIES:
            return Estimate.of_totals(self._pairs(rule.metric, rule.statistic), ERROR / LOOKS)
        if rule.statistic in ("avg", "p50"):
            return Estimate.of_ratio(self._pairs(rule.metric, rule.statistic), ERROR / LOOKS)
        return own.over(base)

    def _pairs(self, metric: str, statistic: str) -> list[tuple[float, float]]:
        """Return the figures of adapters and base in each round that has both."""
        pairs = [[_figure_of_block(side, metric, statistic) for side in each] for each in self.rounds]
        return [(own, base) for own, base in pairs if own is not None and base is not None]

    def compare(self) -> None:
        """Divide the medians of the adapters by those of the base.

        The whole latency of answers that differ in length is left out, and so is the time between tokens of
        answers that came in one burst.
        """
        for metric in LATENCIES:
            if metric == REQUEST_LATENCY and not self.equal_lengths:
                continue
            if metric == INTER_TOKEN_LATENCY and self.in_bursts:
                continue
            ratio = Estimate.of_ratio(self._pairs(metric, "p50"))
            if ratio is not None and ratio.low is not None:
                self.ratios[metric] = ratio


@dataclass(kw_only=True)
class BenchmarkResult:
    """A benchmark.

    engine:
        What served the requests; None if nothing tells it.
    interrupted:
        True if Ctrl-C ended it.
    """

    made_at: str
    product_version: str
    endpoint: str
    base: str | None
    engine: str | None
    copies: int | None
    prompts: int
    max_tokens: int
    bounds: Mapping[str, Any]
    form: str = ""
    levels: list[Level] = field(default_factory=list)
    requirements: Sequence[LatencyOutcome] = ()
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def answered(self) -> int:
        """Answered requests of all levels."""
        return sum(len(each.answered) for level in self.levels for each in (level.subject, level.base))

    def document(self) -> dict[str, Any]:
        """Return the result as JSON."""
        return {
            "format": FORMAT,
            "made_at": self.made_at,
            "product_version": self.product_version,
            "endpoint": self.endpoint,
            "base": self.base,
            "engine": self.engine,
            "copies": self.copies,
            "prompts": self.prompts,
            "request_form": self.form,
            "max_tokens": self.max_tokens,
            "bounds": dict(self.bounds),
            "benchmark_duration": {"unit": "sec", "avg": self.seconds},
            "interrupted": self.interrupted,
            "levels": [self._level(level) for level in self.levels],
            "requirements": [
                {
                    "requirement": each.requirement,
                    "level": each.level,
                    "verdict": each.verdict,
                    "reason": each.reason,
                }
                for each in self.requirements
            ],
        }

    def _level(self, level: Level) -> dict[str, Any]:
        return {
            "concurrency": level.loop.clients if isinstance(level.loop, ClosedLoop) else None,
            "request_rate": level.loop.rate if isinstance(level.loop, OpenLoop) else None,
            "adapters": level.adapters,
            "ended_by": level.ended_by,
            "adapter": level.subject.document(),
            "base": level.base.document(),
            "equal_output_length": level.equal_lengths,
            "in_bursts": level.in_bursts,
            "adapter_by_base": {
                f"{metric}.p50": _ratio_document(ratio) for metric, ratio in level.ratios.items()
            },
        }


def _figure_of_block(block: Sequence[Measurement], metric: str, statistic: str) -> float | None:
    """Return a median, a mean or a throughput of the requests of one side in one round."""
    if metric in LATENCIES:
        values = sorted(metric_values(block, metric))
        if not values:
            return None
        return fmean(values) if statistic == "avg" else percentile(values, 0.5)
    if not block:
        return None
    seconds = max(each.times.ended for each in block) - min(each.intended for each in block)
    series = Series(measurements=list(block), seconds=seconds)
    return series.request_throughput if metric == REQUEST_THROUGHPUT else series.output_token_throughput


def _ratio_document(ratio: Estimate) -> dict[str, float | None]:
    return {"ratio": ratio.value, "low": ratio.low, "high": ratio.high}


def metric_values(measurements: Sequence[Measurement], metric: str) -> list[float]:
    """Return a metric of each answered request. Latencies are in milliseconds."""
    found: list[float | None] = []
    for each in measurements:
        if each.times.error is not None:
            continue
        match metric:
            case "time_to_first_token":
                found.append(_milliseconds(each.first_token))
            case "inter_token_latency":
                found.append(_milliseconds(each.inter_token))
            case "request_latency":
                found.append(_milliseconds(each.latency))
            case "send_delay":
                found.append(_milliseconds(each.times.sent - each.intended))
            case "input_sequence_length":
                found.append(each.times.input_tokens)
            case _:
                found.append(each.times.output_tokens)
    return [float(value) for value in found if value is not None]


def distribution_document(each: Distribution) -> dict[str, Any]:
    """Return a distribution as AIPerf writes it, and its intervals beside it."""
    return {
        "unit": each.unit,
        "avg": each.avg,
        **{f"p{number}": value for number, value in each.percentiles.items()},
        "min": each.min,
        "max": each.max,
        "std": each.std,
        "count": each.count,
        "intervals": {f"p{number}": list(interval) for number, interval in each.intervals.items()},
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1000 * seconds

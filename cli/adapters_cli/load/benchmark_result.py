"""The result of a benchmark, with the names of metrics that AIPerf writes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import pstdev
from typing import Any

from adapter_fleet.common.counts import counted
from adapters_cli.load.latency_requirement import COUNTED, LatencyOutcome, LatencyRequirement
from adapters_cli.load.latency_statistics import OUTSIDE, Distribution, Estimate, Total, percentile
from adapters_cli.load.measurement import Measurement, RequestError

FORMAT = "adapters-benchmark/1"

TIME_TO_FIRST_TOKEN = "time_to_first_token"
INTER_TOKEN_LATENCY = "inter_token_latency"
REQUEST_LATENCY = "request_latency"
LATENCIES = (TIME_TO_FIRST_TOKEN, INTER_TOKEN_LATENCY, REQUEST_LATENCY)
REQUEST_THROUGHPUT = "request_throughput"
INPUT_LENGTH = "input_sequence_length"
OUTPUT_LENGTH = "output_sequence_length"

_EXACT: Mapping[str, Callable[[Sequence[float]], float]] = {"min": min, "max": max, "std": pstdev}
"""Statistics of the requests that were sent, which have no interval."""

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
        units = dict.fromkeys(LATENCIES, "ms") | dict.fromkeys((INPUT_LENGTH, OUTPUT_LENGTH), "tokens")
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

    def bursts(self, usual: float) -> int:
        """Return how many answers came in one burst, although an engine writes them token by token.

        usual:
            The milliseconds that usually are between two tokens.
        """
        return sum(each < max(_FASTEST_TOKEN, _BURST * usual) for each in self.values(INTER_TOKEN_LATENCY))

    @property
    def errors(self) -> list[tuple[RequestError, int]]:
        """The first error of each kind, and how many there are of it."""
        every = [each.times.error for each in self.measurements if each.times.error is not None]
        first = {error.kind: error for error in reversed(every)}
        return [(first[kind], count) for kind, count in Counter(error.kind for error in every).most_common()]

    def has(self, metric: str) -> bool:
        """Return whether there are answers that have a metric."""
        return bool(self.values(metric) if metric in LATENCIES else self.answered)

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
    """One load: a number of clients and of adapters in the mix, on adapters and on the base.

    concurrency:
        Clients that each send a request when the answer to their last one is there.
    ended_by:
        What ended it: `requests`, `seconds` or `interrupt`.
    rounds:
        The requests to adapters and to the base, by the round in which both were asked.
    ratios:
        Adapters divided by base, by metric. `compare` fills it.
    outcomes:
        What `look` said of each requirement, by its text. A verdict stays, whatever is measured later.
    """

    concurrency: int
    adapters: int
    subject: Series = field(default_factory=Series)
    base: Series = field(default_factory=Series)
    ended_by: str = "requests"
    rounds: list[tuple[Sequence[Measurement], Sequence[Measurement]]] = field(default_factory=list)
    ratios: dict[str, Estimate] = field(default_factory=dict)
    outcomes: dict[str, LatencyOutcome] = field(default_factory=dict)

    @property
    def load(self) -> str:
        """The number of clients in reports."""
        return f"{self.concurrency} at once"

    @property
    def title(self) -> str:
        """The level in reports."""
        return f"{self.load}, {counted(self.adapters, 'adapter')}"

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
        counts = zip(self.bursts, self._sides, strict=True)
        return any(bursts > _MANY_BURSTS * len(side.answered) for bursts, side in counts)

    @property
    def bursts(self) -> tuple[int, int]:
        """How many answers of adapters and of the base came in one burst.

        The base says what is usual: of adapters that are slow for a part of their answers, the rest is fast.
        """
        between = sorted(self.base.values(INTER_TOKEN_LATENCY) or self.subject.values(INTER_TOKEN_LATENCY))
        usual = percentile(between, 0.75) if between else 0.0
        return self.subject.bursts(usual), self.base.bursts(usual)

    def look(self, rules: Sequence[LatencyRequirement]) -> bool:
        """Hold the level against what is undecided; return True if more requests may help."""
        for rule in rules:
            if rule.text not in self.outcomes or self.outcomes[rule.text].more_helps:
                self.outcomes[rule.text] = self.judge(rule)
        return any(each.more_helps for each in self.outcomes.values())

    def judge(self, rule: LatencyRequirement) -> LatencyOutcome:
        """Hold the level against a requirement."""
        of_tokens = rule.metric in (TIME_TO_FIRST_TOKEN, INTER_TOKEN_LATENCY)
        if of_tokens and self.in_bursts:
            reason = "many answers came in one burst, so that times of tokens say nothing of the engine"
            return rule.undecided(self.title, reason)
        if rule.metric in COUNTED:
            own, base = (
                (len(each.measurements) - len(each.answered), len(each.measurements)) for each in self._sides
            )
            return rule.judge_errors(own, base, self.title, ERROR / LOOKS)
        if self.subject.measurements and not self.subject.answered:
            return rule.missed(self.title, "no request to the adapters was answered")
        for side, who in zip(self._sides, ("", " of the base"), strict=True):
            if not side.has(rule.metric) and (rule.of_base or side is self.subject):
                return rule.undecided(self.title, f"{rule.metric}.{rule.statistic}{who} was not measured")
        if rule.of_base and not of_tokens and not self.equal_lengths:
            reason = "base and adapters wrote answers of different lengths, so their times do not compare"
            return rule.undecided(self.title, reason)
        found = self._estimate(rule.metric, rule.statistic, of_base=rule.of_base)
        if found is None:
            reason = f"{rule.metric}.{rule.statistic} is 0 on a side, or no round has it on both"
            return rule.undecided(self.title, reason)
        return rule.judge(found, self.title)

    @property
    def _sides(self) -> tuple[Series, Series]:
        return self.subject, self.base

    def _estimate(
        self, metric: str, statistic: str, *, of_base: bool, outside: float = ERROR / LOOKS
    ) -> Estimate | None:
        """Estimate a figure of the adapters, or its quotient by the base's; None if there is no quotient."""
        sides = self._sides if of_base else (self.subject,)
        if (exact := _EXACT.get(statistic)) is not None:
            own, *base = (exact(side.values(metric)) for side in sides)
            return None if base == [0] else Estimate.exactly(own / base[0] if base else own)
        blocks = [[each[number] for each in self.rounds] for number in range(len(sides))]
        if statistic == "avg":
            totals = [[_total(block, metric) for block in each] for each in blocks]
            return Estimate.of_totals(*totals, outside=outside)
        values = [[metric_values(block, metric) for block in each] for each in blocks]
        return Estimate.of_percentile(int(statistic[1:]) / 100, *values, outside=outside)

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
            ratio = self._estimate(metric, "p50", of_base=True, outside=OUTSIDE)
            if ratio is not None and len(self.rounds) > 1:
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
            "concurrency": level.concurrency,
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


def _total(block: Sequence[Measurement], metric: str) -> Total:
    """Return what one side did in a round: latencies and answers, or answers or tokens and seconds."""
    if metric in LATENCIES:
        values = metric_values(block, metric)
        return sum(values), len(values)
    if not block:
        return 0.0, 0.0
    seconds = max(each.times.ended for each in block) - min(each.times.sent for each in block)
    answered = [each for each in block if each.times.error is None]
    if metric == REQUEST_THROUGHPUT:
        return len(answered), seconds
    return sum(each.times.output_tokens for each in answered), seconds


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

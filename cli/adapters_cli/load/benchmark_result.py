"""The result of a benchmark, with names of metrics that AIPerf writes."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

from adapters_cli.load.benchmark_plan import BenchmarkPlan
from adapters_cli.load.latency_requirement import (
    ERROR_RATE,
    FIGURES,
    INTER_TOKEN_LATENCY,
    LATENCIES,
    REQUEST_LATENCY,
    REQUEST_THROUGHPUT,
    TIME_TO_FIRST_TOKEN,
    LatencyOutcome,
    LatencyRequirement,
    Verdict,
)
from adapters_cli.load.latency_statistics import Estimate, Total
from adapters_cli.load.streaming_client import RequestError, StreamTimes

FORMAT = "adapters-benchmark/2"

_EQUAL_LENGTHS = 0.01
"""How much the mean lengths of answers may differ, as a share, to count as equal."""
_FASTEST_TOKEN = 0.2
"""Milliseconds between two tokens that no engine goes below."""
_MANY_BURSTS = 0.1
"""Of so large a share of bursts, figures of tokens are those of whatever held the answers up."""

_SECONDS: Mapping[str, Callable[[StreamTimes], float | None]] = {
    TIME_TO_FIRST_TOKEN: lambda times: times.first_token,
    INTER_TOKEN_LATENCY: lambda times: times.inter_token,
    REQUEST_LATENCY: lambda times: times.latency,
}


@dataclass(kw_only=True)
class Side:
    """The requests to the base or to adapters, in a block for each round."""

    blocks: list[list[StreamTimes]] = field(default_factory=list)

    @property
    def sent(self) -> list[StreamTimes]:
        """All requests."""
        return list(chain.from_iterable(self.blocks))

    @property
    def answered(self) -> list[StreamTimes]:
        """Requests with a whole answer."""
        return [each for each in self.sent if each.error is None]

    @property
    def failed(self) -> tuple[int, int]:
        """How many requests failed, and how many were sent."""
        return len(self.sent) - len(self.answered), len(self.sent)

    @property
    def mean_tokens(self) -> float | None:
        """The mean length of answers in tokens; None if there is none."""
        answered = self.answered
        return sum(each.output_tokens for each in answered) / len(answered) if answered else None

    @property
    def errors(self) -> list[tuple[RequestError, int]]:
        """The first error of each kind, and how many there are of it."""
        every = [each.error for each in self.sent if each.error is not None]
        first = {error.kind: error for error in reversed(every)}
        return [(first[kind], count) for kind, count in Counter(error.kind for error in every).most_common()]

    def estimate(self, figure: str, beside: "Side | None" = None) -> Estimate | None:
        """Estimate a figure, or its quotient by another side's; None if there is no such quotient."""
        metric, _, statistic = figure.partition(".")
        sides = (self,) if beside is None else (self, beside)
        if metric in LATENCIES:
            values = [[latencies(block, metric) for block in side.blocks] for side in sides]
            return Estimate.of_percentile(int(statistic[1:]) / 100, *values)
        totals = [[_total(block, metric) for block in side.blocks] for side in sides]
        return Estimate.of_totals(*totals)

    def value(self, figure: str) -> float | None:
        """Return a figure; None if there are no answers that have it."""
        if figure == ERROR_RATE:
            failed, sent = self.failed
            return 100 * failed / sent if sent else None
        found = self.estimate(figure)
        return None if found is None else found.value

    def document(self) -> dict[str, Any]:
        """Return the figures as JSON."""
        return {
            "request_count": len(self.answered),
            "output_sequence_length": self.mean_tokens,
            **{figure: self.value(figure) for figure in FIGURES},
            "error_summary": [
                {"type": error.kind, "message": error.message, "count": count} for error, count in self.errors
            ],
        }


@dataclass(frozen=True, kw_only=True)
class BenchmarkResult:
    """A benchmark.

    fixed_length:
        True if the engine was asked for answers of the same length.
    """

    plan: BenchmarkPlan
    fixed_length: bool
    adapters: Side = field(default_factory=Side)
    base: Side = field(default_factory=Side)

    @property
    def is_complete(self) -> bool:
        """True if all requests were sent before the time ended."""
        return min(len(self.adapters.sent), len(self.base.sent)) >= self.plan.requests

    @property
    def equal_lengths(self) -> bool:
        """True unless base and adapters wrote answers of different lengths."""
        own, base = self.adapters.mean_tokens, self.base.mean_tokens
        return own is None or base is None or abs(own - base) <= _EQUAL_LENGTHS * base

    @property
    def in_bursts(self) -> bool:
        """True if so many answers came in one burst that times of tokens say nothing of the engine."""
        return any(
            sum(each < _FASTEST_TOKEN for each in latencies(side.sent, INTER_TOKEN_LATENCY))
            > _MANY_BURSTS * len(side.answered)
            for side in (self.adapters, self.base)
        )

    def flaw(self, figure: str, *, of_base: bool) -> str | None:
        """Return why a figure of the adapters, or its quotient by the base's, says nothing; else None."""
        metric, _, _ = figure.partition(".")
        of_tokens = metric in (TIME_TO_FIRST_TOKEN, INTER_TOKEN_LATENCY)
        if of_tokens and self.in_bursts:
            return "many answers came in one burst, so that times of tokens say nothing of the engine"
        if of_base and not of_tokens and not self.equal_lengths:
            return "base and adapters wrote answers of different lengths, so their times do not compare"
        return None

    def judge(self, rule: LatencyRequirement) -> LatencyOutcome:
        """Hold the result against a requirement."""
        if rule.figure == ERROR_RATE:
            return rule.judge_errors(self.adapters.failed, self.base.failed)
        if self.adapters.sent and not self.adapters.answered:
            return rule.outcome(Verdict.MISSED, "no request to the adapters was answered")
        if (flaw := self.flaw(rule.figure, of_base=rule.of_base)) is not None:
            return rule.outcome(Verdict.UNDECIDED, flaw)
        found = self.adapters.estimate(rule.figure, self.base if rule.of_base else None)
        if found is None:
            return rule.outcome(Verdict.UNDECIDED, f"{rule.figure} was not measured on both sides, or is 0")
        return rule.judge(found)

    @property
    def outcomes(self) -> list[LatencyOutcome]:
        """The verdict on each requirement."""
        return [self.judge(rule) for rule in self.plan.requirements]

    def ratio(self, figure: str) -> Estimate | None:
        """Divide a figure of the adapters by the base's; None if the quotient says nothing."""
        if figure == ERROR_RATE or self.flaw(figure, of_base=True) is not None:
            return None
        return self.adapters.estimate(figure, self.base)

    def document(self) -> dict[str, Any]:
        """Return the result as JSON."""
        plan = self.plan
        return {
            "format": FORMAT,
            "endpoint": plan.endpoint,
            "engine": plan.engine,
            "base_component": plan.base,
            "components": list(plan.adapters),
            "concurrency": plan.concurrency,
            "prompts": len(plan.prompts),
            "fixed_length": self.fixed_length,
            "max_tokens": plan.max_tokens,
            "complete": self.is_complete,
            "adapters": self.adapters.document(),
            "base": self.base.document(),
            "equal_output_length": self.equal_lengths,
            "in_bursts": self.in_bursts,
            "adapters_by_base": {
                figure: asdict(ratio) for figure in FIGURES if (ratio := self.ratio(figure)) is not None
            },
            "requirements": [
                {"requirement": each.requirement, "verdict": each.verdict, "reason": each.reason}
                for each in self.outcomes
            ],
        }


def latencies(block: Sequence[StreamTimes], metric: str) -> list[float]:
    """Return a latency of each answered request in milliseconds."""
    found = [_SECONDS[metric](each) for each in block if each.error is None]
    return [1000 * seconds for seconds in found if seconds is not None]


def _total(block: Sequence[StreamTimes], metric: str) -> Total:
    """Return the answers or tokens of one side in a round, and the seconds that they took."""
    if not block:
        return 0.0, 0.0
    seconds = max(each.ended for each in block) - min(each.sent for each in block)
    answered = [each for each in block if each.error is None]
    if metric == REQUEST_THROUGHPUT:
        return len(answered), seconds
    return sum(each.output_tokens for each in answered), seconds

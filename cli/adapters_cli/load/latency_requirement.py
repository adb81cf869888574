"""What a benchmark is required to show, such as `request_latency.p50 <= base * 1.10`."""

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import ge, gt, le, lt

from adapter_fleet.common.naming import did_you_mean
from adapter_fleet.evaluation import Requirement
from adapters_cli.load.latency_statistics import Estimate, binomial_quantile, t_quantile

METRICS = (
    "time_to_first_token",
    "inter_token_latency",
    "request_latency",
    "request_throughput",
    "output_token_throughput",
    "request_error_rate",
)
STATISTICS = ("avg", "min", "max", "std", "p1", "p5", "p10", "p25", "p50", "p75", "p90", "p95", "p99")
_OF_DISTRIBUTIONS = METRICS[:3]
_SPARE = 1.2
"""So many more requests than a percentile needs where rounds do not differ."""
COUNTED = ("request_error_rate",)
"""What is counted of the requests that were sent, and has no interval."""
_COMPARISONS = {"<=": le, ">=": ge, "<": lt, ">": gt}


class Verdict(StrEnum):
    """What a benchmark says of a requirement."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"
    """The bound lies within the figure's interval, or there is no figure to hold against it."""


@dataclass(frozen=True, kw_only=True)
class LatencyOutcome:
    """A requirement, the level that it was held against, the verdict and why.

    more_helps:
        True if more requests may decide what is undecided.
    """

    requirement: str
    level: str
    verdict: Verdict
    reason: str
    more_helps: bool = False


@dataclass(frozen=True, kw_only=True)
class LatencyRequirement:
    """A bound for one figure: a number, or that of the base times a factor.

    number:
        In the metric's own unit; None if the base's figure counts.
    """

    text: str
    metric: str
    statistic: str
    comparison: str
    factor: float = 1.0
    number: float | None = None

    @classmethod
    def parse(cls, text: str) -> "LatencyRequirement":
        """Read a requirement. Raises ValueError if it is none."""
        try:
            read = Requirement.parse(text)
        except ValueError:
            raise _form_error(text) from None
        metric, _, statistic = read.metric.partition(".")
        if metric in STATISTICS and not statistic:
            raise ValueError(
                f"a requirement's metric should be one of {', '.join(METRICS)}, got {metric!r}; did you mean"
                f" 'request_latency.{text.strip()}'?"
            )
        statistic = statistic or "avg"
        _check("metric", metric, METRICS)
        _check("statistic", statistic, STATISTICS if metric in _OF_DISTRIBUTIONS else STATISTICS[:1])
        found = cls(text=text.strip(), metric=metric, statistic=statistic, comparison=read.comparison)
        share = read.number / 100 if read.percent else read.number
        match read.sign:
            case None if not read.percent or metric == "request_error_rate":
                return replace(found, number=read.number)
            case "*" if share > 0:
                return replace(found, factor=share)
            case "+" | "-" if metric in COUNTED and read.number:
                raise ValueError(
                    f"a requirement of {metric} should be like 'base * 1.5', as a per cent of a rate may be a"
                    f" point or a part of it, got {text!r}"
                )
            case "+" | "-" if (read.percent or not read.number) and (read.sign == "+" or share < 1):
                return replace(found, factor=1 + share if read.sign == "+" else 1 - share)
        raise _form_error(text)

    @property
    def of_base(self) -> bool:
        """True if the base's figure counts."""
        return self.number is None

    def fewest_requests(self, rounds: int, outside: float) -> int:
        """Return from how many requests on the percentile of the rule has the end that has to keep to it.

        0 for what is no percentile. `rounds` is how many there are, and `outside` the error on that side.
        """
        if not re.fullmatch(r"p\d+", self.statistic):
            return 0
        share = int(self.statistic[1:]) / 100
        odds = share / (1 - share) if self.comparison in ("<=", "<") else (1 - share) / share
        return math.ceil(_SPARE * t_quantile(max(1, rounds - 1), 1 - outside) ** 2 * odds)

    def judge(self, figure: Estimate, level: str) -> LatencyOutcome:
        """Hold a figure, or its ratio to the base's, against the bound: both ends of its interval decide."""
        bound = self.factor if self.number is None else self.number
        low = self._compared(-math.inf if figure.low is None else figure.low, bound)
        high = self._compared(math.inf if figure.high is None else figure.high, bound)
        verdict = Verdict.UNDECIDED if low != high else Verdict.MET if low else Verdict.MISSED
        reason = f"{self.metric}.{self.statistic} is {_text(figure, times=self.of_base)}"
        return self._outcome(level, verdict, reason)

    def judge_errors(
        self, own: tuple[int, int], base: tuple[int, int], level: str, outside: float
    ) -> LatencyOutcome:
        """Hold the share of failed requests, as (failed, sent), against the bound.

        What was counted meets the bound or not. It is missed where so many failures are no chance: of a true
        rate at the bound, they are as many in less than `outside` of all benchmarks. Else it is undecided.
        """
        (failed, sent), (base_failed, base_sent) = own, base
        if not sent or (self.of_base and not base_sent):
            return self.undecided(level, f"{self.metric} was not measured")
        rate, of_base = 100 * failed / sent, 100 * base_failed / base_sent if base_sent else 0.0
        bound = self.factor * of_base if self.number is None else self.number
        reason = f"{self.metric} is {rate:.4g} %" + (
            f", and {of_base:.4g} % of the base" if self.of_base else ""
        )
        if self._compared(rate, bound):
            return self._outcome(level, Verdict.MET, reason)
        if self.number is None:
            # Of all failures, how many are the adapters'.
            every, share = failed + base_failed, self.factor * sent / (self.factor * sent + base_sent)
        else:
            every, share = sent, min(1.0, self.number / 100)
        too_many = self.comparison in ("<=", "<")
        chance = too_many and 0 < share < 1 and failed <= binomial_quantile(every, share, 1 - outside)
        verdict = Verdict.UNDECIDED if chance else Verdict.MISSED
        return self._outcome(level, verdict, reason)

    def _outcome(self, level: str, verdict: Verdict, reason: str) -> LatencyOutcome:
        return LatencyOutcome(
            requirement=self.text,
            level=level,
            verdict=verdict,
            reason=reason,
            more_helps=verdict is Verdict.UNDECIDED,
        )

    def missed(self, level: str, reason: str) -> LatencyOutcome:
        """Return that nothing can meet the bound."""
        return LatencyOutcome(requirement=self.text, level=level, verdict=Verdict.MISSED, reason=reason)

    def undecided(self, level: str, reason: str) -> LatencyOutcome:
        """Return that nothing can be held against the bound."""
        return LatencyOutcome(requirement=self.text, level=level, verdict=Verdict.UNDECIDED, reason=reason)

    def _compared(self, figure: float, bound: float) -> bool:
        return bool(_COMPARISONS[self.comparison](figure, bound))


def _text(figure: Estimate, *, times: bool) -> str:
    digits = ".3f" if times else ".4g"
    value = f"{figure.value:{digits}}" + (" times the base's" if times else "")
    if figure.low == figure.high is not None:
        return value
    low, high = ("?" if end is None else f"{end:{digits}}" for end in (figure.low, figure.high))
    return f"{value}, between {low} and {high}"


def _form_error(text: str) -> ValueError:
    return ValueError(
        "a requirement should be like 'request_latency.p50 <= base * 1.10', 'request_latency.p50 <= base +"
        f" 10%' or 'request_error_rate <= 1', got {text!r}"
    )


def _check(what: str, name: str, known: tuple[str, ...]) -> None:
    if name in known:
        return
    raise ValueError(
        f"a requirement's {what} should be one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}"
    )

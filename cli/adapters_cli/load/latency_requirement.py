"""What a benchmark is required to show, such as `request_latency.p50 <= base * 1.10`."""

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from operator import ge, gt, le, lt

from adapter_fleet.common.naming import did_you_mean
from adapter_fleet.evaluation import Requirement
from adapters_cli.load.latency_statistics import OUTSIDE, Estimate, binomial_quantile

TIME_TO_FIRST_TOKEN = "time_to_first_token"
INTER_TOKEN_LATENCY = "inter_token_latency"
REQUEST_LATENCY = "request_latency"
LATENCIES = (TIME_TO_FIRST_TOKEN, INTER_TOKEN_LATENCY, REQUEST_LATENCY)
REQUEST_THROUGHPUT = "request_throughput"
OUTPUT_TOKEN_THROUGHPUT = "output_token_throughput"
ERROR_RATE = "request_error_rate"
FIGURES = (
    *(f"{latency}.{percentile}" for latency in LATENCIES for percentile in ("p50", "p90")),
    REQUEST_THROUGHPUT,
    OUTPUT_TOKEN_THROUGHPUT,
    ERROR_RATE,
)
"""Latencies are in milliseconds, throughputs per second, and the error rate in percent."""

_COMPARISONS = {"<=": le, ">=": ge, "<": lt, ">": gt}


class Verdict(StrEnum):
    """What a benchmark says of a requirement."""

    MET = "met"
    MISSED = "missed"
    UNDECIDED = "undecided"
    """The bound lies within the figure's interval, or there is no figure to hold against it."""


@dataclass(frozen=True, kw_only=True)
class LatencyOutcome:
    """A requirement, the verdict and why."""

    requirement: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, kw_only=True)
class LatencyRequirement:
    """A bound for one figure: a number, or that of the base times a factor.

    number:
        In the figure's own unit; None if the base's figure counts.
    """

    text: str
    figure: str
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
        figure = read.metric
        if figure not in FIGURES:
            raise ValueError(
                f"a requirement's figure should be one of {', '.join(FIGURES)},"
                f" got {figure!r}{did_you_mean(figure, FIGURES)}"
            )
        found = cls(text=text.strip(), figure=figure, comparison=read.comparison)
        share = read.number / 100 if read.percent else read.number
        match read.sign:
            case None if not read.percent or figure == ERROR_RATE:
                return replace(found, number=read.number)
            case "*" if share > 0:
                return replace(found, factor=share)
            # A per cent of a rate may be a point or a part of it.
            case "+" | "-" if read.number and (figure == ERROR_RATE or not read.percent):
                raise _form_error(text)
            case "+" | "-" if read.sign == "+" or share < 1:
                return replace(found, factor=1 + share if read.sign == "+" else 1 - share)
        raise _form_error(text)

    @property
    def of_base(self) -> bool:
        """True if the base's figure counts."""
        return self.number is None

    def judge(self, figure: Estimate) -> LatencyOutcome:
        """Hold a figure, or its ratio to the base's, against the bound: both ends of its interval decide."""
        bound = self.factor if self.number is None else self.number
        low = self._compared(-math.inf if figure.low is None else figure.low, bound)
        high = self._compared(math.inf if figure.high is None else figure.high, bound)
        verdict = Verdict.UNDECIDED if low != high else Verdict.MET if low else Verdict.MISSED
        return self.outcome(verdict, f"{self.figure} is {_text(figure, times=self.of_base)}")

    def judge_errors(self, own: tuple[int, int], base: tuple[int, int]) -> LatencyOutcome:
        """Hold the share of failed requests, as (failed, sent), against the bound.

        A rate within the bound is met. A rate beyond it is missed if chance explains so many failures in less
        than `OUTSIDE` of all benchmarks. Else it is undecided.
        """
        (failed, sent), (base_failed, base_sent) = own, base
        if not sent or (self.of_base and not base_sent):
            return self.outcome(Verdict.UNDECIDED, f"{self.figure} was not measured")
        rate, of_base = 100 * failed / sent, 100 * base_failed / base_sent if base_sent else 0.0
        bound = self.factor * of_base if self.number is None else self.number
        reason = f"{self.figure} is {rate:.4g} %" + (
            f", and {of_base:.4g} % of the base" if self.of_base else ""
        )
        if self._compared(rate, bound):
            return self.outcome(Verdict.MET, reason)
        if self.number is None:
            # Of all failures, how many are the adapters'.
            every, share = failed + base_failed, self.factor * sent / (self.factor * sent + base_sent)
        else:
            every, share = sent, min(1.0, self.number / 100)
        too_many = self.comparison in ("<=", "<")
        chance = too_many and 0 < share < 1 and failed <= binomial_quantile(every, share, 1 - OUTSIDE)
        return self.outcome(Verdict.UNDECIDED if chance else Verdict.MISSED, reason)

    def outcome(self, verdict: Verdict, reason: str) -> LatencyOutcome:
        """Return a verdict on this requirement."""
        return LatencyOutcome(requirement=self.text, verdict=verdict, reason=reason)

    def _compared(self, figure: float, bound: float) -> bool:
        return bool(_COMPARISONS[self.comparison](figure, bound))


def _text(figure: Estimate, *, times: bool) -> str:
    digits = ".3f" if times else ".4g"
    value = f"{figure.value:{digits}}" + (" times the base's" if times else "")
    low, high = ("?" if end is None else f"{end:{digits}}" for end in (figure.low, figure.high))
    return f"{value}, between {low} and {high}"


def _form_error(text: str) -> ValueError:
    return ValueError(
        "a requirement should be like 'request_latency.p50 <= base * 1.10', 'request_latency.p50 <= base +"
        f" 10%' or 'request_error_rate <= 1', got {text!r}"
    )

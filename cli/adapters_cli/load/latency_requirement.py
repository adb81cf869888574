"""What a benchmark is required to show, such as `request_latency.p50 <= base * 1.10`."""

from dataclasses import dataclass, replace
from operator import ge, gt, le, lt

from adapter_fleet.common.near_names import did_you_mean
from adapter_fleet.evaluation.requirement import Requirement
from adapters_cli.load.latency_statistics import Ratio

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
_DIFFERENT_LENGTHS = "base and adapters wrote answers of different lengths, so their times do not compare"
_COMPARISONS = {"<=": le, ">=": ge, "<": lt, ">": gt}


@dataclass(frozen=True, kw_only=True)
class LatencyOutcome:
    """A requirement, the level that it was held against, and why it is met or not."""

    requirement: str
    level: str
    met: bool
    reason: str


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
        statistic = statistic or "avg"
        _check("metric", metric, METRICS)
        _check("statistic", statistic, STATISTICS if metric in _OF_DISTRIBUTIONS else STATISTICS[:1])
        found = cls(text=text.strip(), metric=metric, statistic=statistic, comparison=read.comparison)
        share = read.number / 100 if read.percent else read.number
        match read.sign:
            case None if not read.percent or metric == "request_error_rate":
                return replace(found, number=read.number)
            case "*":
                return replace(found, factor=share)
            case "+" | "-" if read.percent or not read.number:
                return replace(found, factor=1 + share if read.sign == "+" else 1 - share)
        raise _form_error(text)

    @property
    def of_base(self) -> bool:
        """True if the base's figure counts."""
        return self.number is None

    def judge(
        self,
        figure: float | None,
        base: float | None,
        *,
        level: str,
        comparable: bool,
        ratio: Ratio | None = None,
    ) -> LatencyOutcome:
        """Hold a figure against the bound.

        `comparable` is False if base and adapters did different work. `ratio` is that of the medians, round
        by round, which counts more than the figures of the whole.
        """
        met, reason = self._judged(figure, base, comparable=comparable, ratio=ratio)
        return LatencyOutcome(requirement=self.text, level=level, met=met, reason=reason)

    def _judged(
        self, figure: float | None, base: float | None, *, comparable: bool, ratio: Ratio | None
    ) -> tuple[bool, str]:
        name = f"{self.metric}.{self.statistic}"
        if figure is None:
            return False, f"{name} was not measured"
        if self.number is not None:
            return self._compared(figure, self.number), f"{name} is {figure:.4g}"
        if not comparable:
            return False, _DIFFERENT_LENGTHS
        if base is None:
            return False, f"{name} of the base was not measured"
        if ratio is not None and self.statistic == "p50":
            times = f"{ratio.value:.3f} times the base's, 95 % interval {ratio.low:.3f} to {ratio.high:.3f}"
            return self._compared(ratio.value, self.factor), f"{name} is {times}"
        by = f", {figure / base:.3f} times the base's" if base else ""
        return self._compared(figure, base * self.factor), f"{name} is {figure:.4g}{by} {base:.4g}"

    def _compared(self, figure: float, bound: float) -> bool:
        return bool(_COMPARISONS[self.comparison](figure, bound))


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

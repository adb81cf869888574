"""A bar that the scores of an evaluation should reach, such as `rougeL >= base + 20%`."""

import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from adapter_fleet.common.near_names import known_or_meant

_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
# The metric's name may have any of these signs, as a regular expression is a metric. The bar has none, so
# that only one reading fits.
_FORM = re.compile(
    rf"\s*(?P<metric>\S.*?)\s*(?<![<>=!])(?P<comparison>>=|<=|>|<)\s*"
    rf"(?:(?P<base>base)(?:\s*(?P<sign>[-+*])\s*)?)?(?P<number>{_NUMBER})?\s*(?P<percent>%)?\s*",
    re.ASCII,
)
_COMPARISONS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_WORDS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
_EXAMPLES = "'exact_match >= 0.9' or 'rougeL >= base + 20%'"
_PRECISION = 1e-6
"""Means that differ by less are equal: 0.1 + 0.2 reaches a bar of 0.3, and no metric is more precise."""


@dataclass(frozen=True, kw_only=True)
class Requirement:
    """A metric's mean beside a number, or beside the mean of the base model.

    Example:
        >>> requirement = Requirement.parse("rougeL >= base + 20%")
        >>> requirement.judge({"rougeL": (0.5, 0.7)}, subject="triage")
        (True, "rougeL of 'triage' is 0.7 and should be at least 0.6 (base 0.5 + 20%)")

    comparison:
        One of `>=`, `>`, `<=` and `<`.
    sign:
        How the number changes the base model's mean: `+`, `-` or `*`. None if the number stands alone.
    percent:
        True if the number is a percentage: of the base model's mean after `+` and `-`, else of 1.
    """

    metric: str
    comparison: str
    number: float
    sign: str | None = None
    percent: bool = False

    @classmethod
    def parse(cls, text: str) -> "Requirement":
        """Read `METRIC COMPARISON NUMBER`, `METRIC COMPARISON base`, or `base` changed by a number.

        Any metric's name is accepted: `check_metric` compares it with those of an evaluation.
        """
        found = _FORM.fullmatch(text)
        if found is None:
            raise _form_error(text)
        base, sign, number = found["base"], found["sign"], found["number"]
        percent = found["percent"] is not None
        if base is None:
            well_formed = number is not None
        elif number is None:
            well_formed = sign is None and not percent
        else:
            well_formed = sign is not None
        if not well_formed or not math.isfinite(value := float(number or 0)):
            raise _form_error(text)
        return cls(
            metric=found["metric"],
            comparison=found["comparison"],
            number=value,
            sign="+" if base and sign is None else sign,
            percent=percent,
        )

    def __str__(self) -> str:
        """Return the requirement as `parse` reads it."""
        return f"{self.metric} {self.comparison} {self._bar_text('base')}"

    def check_metric(self, known: Iterable[str]) -> None:
        """Raise ValueError, with the closest name, unless the metric is one of the known."""
        known = list(known)
        if self.metric not in known:
            hint = known_or_meant(self.metric, known)
            raise ValueError(f"'{self}' should name a metric of the evaluation ({hint}), got {self.metric!r}")

    def check_range(self, lowest: float, highest: float) -> None:
        """Raise ValueError for a number that no score in this range meets, such as 90 where 1 is the best."""
        if self.sign is not None and (self.percent or self.sign == "*"):
            return
        number = self.number / 100 if self.percent else self.number
        change = -number if self.sign == "-" else number
        if self.comparison in (">=", ">"):
            met = (number if self.sign is None else lowest + change) <= highest
        else:
            met = (number if self.sign is None else highest + change) >= lowest
        if not met:
            meant = f"; did you mean {self.number:g} %?" if not self.percent and 1 < number <= 100 else ""
            raise ValueError(
                f"'{self}' should have a number that {self.metric} reaches ({lowest:g} to {highest:g}), got"
                f" {self.number:g}{meant}"
            )

    def judge(
        self, figures: Mapping[str, tuple[float, float]], *, subject: str = "the adapter"
    ) -> tuple[bool, str]:
        """Return whether the subject meets the requirement, and a sentence with the figures.

        `figures` has the mean of the base model and of the subject by metric. A metric without figures is
        not met. A gain in percent over a mean of 0 is met by any gain, but not by none.
        """
        base, mean = figures.get(self.metric, (math.nan, math.nan))
        if not math.isfinite(mean) or (self.sign and not math.isfinite(base)):
            return False, f"{self.metric} of {subject!r} has no figure: no item has a score of both"
        bar = self._bar(base)
        equal = abs(mean - bar) <= _PRECISION
        no_gain = equal and bar == base and self.percent and self.number != 0
        compare = _COMPARISONS[self.comparison]
        met = not no_gain and compare(0.0 if equal else mean - bar, 0.0)
        share = f" ({self._bar_text(f'base {base:.4g}')})" if self.sign else ""
        nothing = "; a share of 0 asks for nothing, so give a number" if no_gain else ""
        return met, (
            f"{self.metric} of {subject!r} is {_shown(mean, bar)} and should be {_WORDS[self.comparison]}"
            f" {_shown(bar, mean)}{share}{nothing}"
        )

    def _bar(self, base: float) -> float:
        number = self.number / 100 if self.percent else self.number
        if self.sign is None:
            return number
        if self.sign == "*":
            return base * number
        # Of the mean's size: 20 % above -0.5 is -0.4.
        change = abs(base) * number if self.percent else number
        return base + change if self.sign == "+" else base - change

    def _bar_text(self, base: str) -> str:
        number = f"{self.number!r}".removesuffix(".0") + ("%" if self.percent else "")
        if self.sign is None:
            return number
        return base if (self.sign, number) == ("+", "0") else f"{base} {self.sign} {number}"


def _shown(value: float, other: float) -> str:
    """Return a figure with enough digits to tell it from the other one."""
    digits = next((digits for digits in range(4, 17) if f"{value:.{digits}g}" != f"{other:.{digits}g}"), 4)
    return f"{value:.{digits}g}"


def _form_error(text: str) -> ValueError:
    return ValueError(
        "a requirement should be a metric, one of >=, >, <= and <, and a number, 'base' or 'base' with"
        f" +, - or * and a number, such as {_EXAMPLES}, got {text!r}"
    )

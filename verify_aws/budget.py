"""What a run may cost: a price that the caller gives, and the time that the cap leaves."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date

MOST_INSTANCES = 2
"""The endpoint has one instance, and a second one while there are two copies."""

TEARDOWN_MINUTES = 30
"""How long the removal of everything may take in the worst case; its cost is part of the cap."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """The bounds of a run.

    price_per_hour:
        Of one instance, as the caller's own source has it; the tool knows no price.
    price_date:
        The day on which that price was read, as 2026-11-20.
    cost_cap:
        The most that the instances may cost, in the price's currency.
    time_limit_minutes:
        The most that the experiments may take. The removal comes after it.

    Raises ValueError if a bound is wrong, or if the cap is too small for the time limit.
    """

    price_per_hour: float
    price_date: str
    cost_cap: float
    time_limit_minutes: float

    def __post_init__(self) -> None:
        for name in ("price_per_hour", "cost_cap", "time_limit_minutes"):
            value = getattr(self, name)
            if not math.isfinite(value) or value <= 0:
                raise ValueError(f"'{name}' should be above 0, got {value:g}")
        try:
            wrong = not re.fullmatch(r"\d{4}-\d\d-\d\d", self.price_date)
            day = date.fromisoformat(self.price_date)
        except ValueError:
            wrong = True
        if wrong or day > date.today():
            raise ValueError(
                f"'price_date' should be a day up to today as 2026-11-20, got {self.price_date!r}"
            )
        if self.highest_cost > self.cost_cap:
            raise ValueError(
                f"'time_limit_minutes' should be at most {self._affordable_minutes()} with a cap of"
                f" {self.cost_cap:g}, got {self.time_limit_minutes:g}: {self.statement}"
            )

    @property
    def highest_cost(self) -> float:
        """The cost if every instance runs from the first second to the last one that is allowed."""
        return self.cost_of((self.time_limit_minutes + TEARDOWN_MINUTES) * 60)

    def cost_of(self, seconds: float) -> float:
        """Return what every instance costs in some seconds."""
        return self.price_per_hour * MOST_INSTANCES * seconds / 3600

    def _affordable_minutes(self) -> int:
        minutes = self.cost_cap * 60 / (self.price_per_hour * MOST_INSTANCES) - TEARDOWN_MINUTES
        return max(0, math.floor(minutes))

    @property
    def statement(self) -> str:
        """How the highest cost comes about, for the person who pays."""
        return (
            f"{MOST_INSTANCES} instances x {self.price_per_hour:g} an hour (price of {self.price_date}) x"
            f" ({self.time_limit_minutes:g} + {TEARDOWN_MINUTES} minutes to remove everything) ="
            f" {self.highest_cost:.2f} at most"
        )

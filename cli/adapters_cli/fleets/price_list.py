"""The price list of `adapters usage`: a file of the user's, with its date. No price is known here."""

import datetime
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adapters_cli.output.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class PriceList:
    """Prices of an hour of an instance, by its type.

    date:
        The day of the price list, as the file says.
    """

    date: datetime.date
    currency: str
    hourly: Mapping[str, float]

    @classmethod
    def read(cls, path: Path) -> "PriceList":
        """Read a TOML file with `date`, `currency` and a table `hourly`. Raises UsageError."""
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"{path}: no list of prices: {error}") from None
        date, currency, hourly = data.get("date"), data.get("currency"), data.get("hourly")
        if not isinstance(date, datetime.date):
            raise UsageError(
                f"{path}: 'date' should be the day of the prices, such as 2026-11-01, got {date!r}"
            )
        if not isinstance(currency, str) or not currency:
            raise UsageError(f"{path}: 'currency' should be a word such as \"USD\", got {currency!r}")
        if not isinstance(hourly, dict) or not hourly:
            raise UsageError(f"{path}: 'hourly' should be a table of instance types, got {hourly!r}")
        for name, price in hourly.items():
            if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
                raise UsageError(
                    f"{path}: the price of an hour of {name!r} should be a number, at least 0, got {price!r}"
                )
        return cls(date=date, currency=currency, hourly=hourly)

    def of(self, instance_type: str) -> float:
        """Return the price of an hour. Raises UsageError if the list has none."""
        if instance_type not in self.hourly:
            raise UsageError(f"the list of prices has none of {instance_type!r}")
        return float(self.hourly[instance_type])

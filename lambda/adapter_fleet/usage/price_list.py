"""A list of prices of instances, with its date. No price is known here."""

import datetime
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class PriceList:
    """Prices of an hour of an instance, by its type.

    date:
        The day on which the prices were read.
    currency:
        Their currency, such as "USD".
    hourly:
        The price of an hour by the instance type, such as `ml.g5.12xlarge`.

    Example::

        from datetime import date

        PriceList(date=date(2026, 11, 1), currency="EUR", hourly={"ml.g5.12xlarge": 10.0})
    """

    date: datetime.date
    currency: str
    hourly: Mapping[str, float]

    def __post_init__(self) -> None:
        if not isinstance(self.date, datetime.date):
            raise ValueError(f"'date' should be the day of the prices, such as 2026-11-01, got {self.date!r}")
        if not isinstance(self.currency, str) or not self.currency:
            raise ValueError(f"'currency' should be a word such as \"USD\", got {self.currency!r}")
        if not isinstance(self.hourly, Mapping) or not self.hourly:
            raise ValueError(f"'hourly' should be a table of instance types, got {self.hourly!r}")
        for name, price in self.hourly.items():
            if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
                raise ValueError(
                    f"the price of an hour of {name!r} should be a number, at least 0, got {price!r}"
                )

    @classmethod
    def from_file(cls, path: str | Path) -> "PriceList":
        """Return the list of a TOML file with `date`, `currency` and a table `hourly`. Raises ValueError."""
        try:
            document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            # The checks name what is missing.
            date, currency, hourly = map(document.get, ("date", "currency", "hourly"))
            return cls(date=date, currency=currency, hourly=hourly)  # type: ignore[arg-type]
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from None
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"{path}: no list of prices: {error}") from None
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def of(self, instance_type: str) -> float:
        """Return the price of an hour. Raises ValueError if the list has none."""
        if instance_type not in self.hourly:
            raise ValueError(f"the list of prices has none of {instance_type!r}")
        return float(self.hourly[instance_type])

"""How requests spread over adapters: all alike, or a few popular ones (Zipf)."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from adapter_fleet.common.near_names import did_you_mean

_FORMS = "uniform or zipf:S, such as zipf:1.1"
_EXAMPLES = ("uniform", "zipf:S")


@dataclass(frozen=True, kw_only=True)
class Mix:
    """A distribution of requests over adapters.

    exponent:
        S of Zipf's law: the adapter of rank r gets a share that is proportional to 1 / r^S. 0 is uniform.
    """

    text: str
    exponent: float = 0

    @classmethod
    def parse(cls, text: str) -> "Mix":
        """Read `uniform` or `zipf:S`. Raises ValueError for anything else."""
        kind, colon, exponent = text.partition(":")
        if kind == "zipf" and colon:
            try:
                value = float(exponent)
            except ValueError:
                value = -1
            if 0 < value < 100:
                return cls(text=text, exponent=value)
        elif text == "uniform":
            return cls(text=text)
        raise ValueError(f"'mix' should be {_FORMS}, got {text!r}{did_you_mean(text, _EXAMPLES)}")

    def shares(self, adapters: int) -> tuple[float, ...]:
        """Return the share of each adapter's requests, by rank."""
        weights = [(rank + 1) ** -self.exponent for rank in range(adapters)]
        total = sum(weights)
        return tuple(weight / total for weight in weights)

    def draws(self, names: Sequence[str], source: random.Random) -> Iterator[str]:
        """Draw names without an end. The first name has rank 1."""
        limits = list(accumulate(self.shares(len(names))))
        while True:
            yield from source.choices(names, cum_weights=limits, k=256)

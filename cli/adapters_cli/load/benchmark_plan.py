"""The plan of a benchmark."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters_cli.load.latency_requirement import LatencyRequirement

_ROUNDS = 25
"""The most rounds. The shorter a round, the more both of its sides meet the same machine."""
_FEW_ROUNDS = 5
"""As many rounds even if their blocks are short: of fewer, a ratio has hardly an interval."""
_REQUESTS_OF_A_CLIENT = 4
"""Requests of each client in a block. The fewer, the more of them are sent while other clients are done."""
_WARM_UP = 5
_LONGEST_WARM_UP = 100


@dataclass(frozen=True, kw_only=True)
class BenchmarkPlan:
    """What a benchmark sends, and what it requires.

    engine:
        Name of the engine; None if it is unknown.
    adapters:
        Components. Each request picks one of them.
    concurrency:
        Clients that each send a request when the answer to their last one is there.
    requests:
        Maximum requests to base and adapters each.
    seconds:
        Maximum seconds of the whole benchmark.
    """

    endpoint: str
    engine: str | None
    base: str
    adapters: Sequence[str]
    concurrency: int
    prompts: Sequence[str]
    max_tokens: int
    requests: int
    seconds: float
    requirements: Sequence[LatencyRequirement] = ()

    @property
    def rounds(self) -> int:
        """Number of rounds, each with a block of requests to both sides."""
        fewest = min(_FEW_ROUNDS, self.requests // self.concurrency)
        return max(1, fewest, min(_ROUNDS, self.requests // (_REQUESTS_OF_A_CLIENT * self.concurrency)))

    @property
    def warm_up(self) -> int:
        """Requests to each side that do not count: two for each adapter, and one for each client."""
        return max(_WARM_UP, self.concurrency, min(_LONGEST_WARM_UP, 2 * len(self.adapters)))

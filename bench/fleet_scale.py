"""A fleet of 3,000 where SageMaker allows few reads: what each change takes, beside its bound.

A change cannot take less than its bound: writes ÷ rate + two listings ÷ read rate + one delay. All times are
those of a simulated clock: 10 writes a second, 5 s for each write, 30 ms for each read. One adapter of ten
changes in place and, in a second fleet, as a release, which ends when all new versions are routed to. Other
sizes and rates: `--adapters`, `--read-rates`.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from adapter_fleet.fleet.reconcile.observation import PAGE
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FleetSettings, ReleaseSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.sagemaker_port import WRITE_OPERATIONS
from bench.harness import Claim, publish
from tests.adapter_fleet.fake_service import Faults
from tests.adapter_fleet.fleet_world import World, adapter, artifact

RATE, DELAY_SECONDS = 10.0, 5.0  # writes a second, and of each write
READ_SECONDS = 0.03
DRAIN_SECONDS = 900.0
MOST = 1.15


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one change took.

    needed:
        Pages of the two listings that a run needs.
    """

    change: str
    writes: int
    seconds: float
    bound: float
    needed: int
    listings: int
    describes: int

    @property
    def figures(self) -> dict[str, str]:
        return {
            "change": self.change,
            "s": f"{self.seconds:.1f}",
            "bound": f"{self.bound:.1f}",
            "writes": f"{self.writes:,}",
            "pages listed": f"{self.listings:,}",
            "pages of two listings": f"{self.needed:,}",
            "describes": f"{self.describes:,}",
        }


def pages(adapters: int) -> int:
    """Return the pages of a listing of so many adapters and their base."""
    return math.ceil((adapters + 1) / PAGE)


class Fleet:
    """A fleet in memory whose service allows so many reads a second."""

    def __init__(self, read_rate: float, releases: ReleaseSettings | None = None) -> None:
        settings = FleetSettings(request_rate=RATE, deletions=DeletionLimit(share=1.0), releases=releases)
        self._world, self._read_rate = World(settings=settings, seconds=DELAY_SECONDS), read_rate
        self._world.service.read_seconds = 0.0  # archives are read beside the writes
        self._world.service.faults = Faults(read_rate=read_rate, read_seconds=READ_SECONDS)

    def deploy(self, change: str, adapters: int, versions: Sequence[int] = (), *, needed: int) -> Row:
        """Deploy so many adapters; the first ones have these versions, and the others the first."""
        wanted = []
        for number in range(adapters):
            version = versions[number] if number < len(versions) else 1
            sent = artifact(name := f"t{number:05}", version, digest=f"{version}" * 64)
            wanted.append(replace(adapter(name), artifact=sent))
        return self._measure(change, lambda: self._world.deploy(*wanted), needed=needed)

    def delete(self, change: str, *, needed: int) -> Row:
        return self._measure(change, self._world.destroy, needed=needed)

    def drain(self, change: str, *, needed: int) -> Row:
        """Delete the versions that nobody is sent to any more, once they are drained."""
        calls, began = self._world.service.calls.copy(), self._world.clock.now()
        self._world.settle(passes=2000)
        return self._row(change, calls, self._world.clock.now() - began, needed, drain=DRAIN_SECONDS)

    def _measure(self, change: str, begin: Callable[[], object], *, needed: int) -> Row:
        world = self._world
        calls, began = world.service.calls.copy(), world.clock.now()
        begin()
        while world.newest().ended is None and world.step():
            pass
        if world.newest().outcome is not Outcome.CONVERGED:
            raise RuntimeError(f"{change}: {world.newest()}")
        return self._row(change, calls, (world.newest().ended or math.nan) - began, needed)

    def _row(
        self, change: str, before: Counter[str], seconds: float, needed: int, *, drain: float = 0.0
    ) -> Row:
        calls = self._world.service.calls - before
        writes = sum(count for name, count in calls.items() if name in WRITE_OPERATIONS)
        return Row(
            change=f"{change}, {self._read_rate:g} reads a second",
            writes=writes,
            seconds=seconds,
            bound=writes / RATE + needed / self._read_rate + DELAY_SECONDS + drain,
            needed=needed,
            listings=calls["ListInferenceComponents"],
            describes=calls["DescribeInferenceComponent"],
        )


def in_place(size: int, read_rate: float) -> list[Row]:
    """Create a fleet, change one adapter, remove one of a hundred, change one of ten, and delete all."""
    fleet, left = Fleet(read_rate), size - size // 100
    wave = size // 10
    return [
        fleet.deploy(f"create {size:,}", size, needed=1 + pages(size)),
        fleet.deploy(f"change 1 of {size:,}", size, [2], needed=2 * pages(size)),
        fleet.deploy(f"remove 1 % of {size:,}", left, [2], needed=pages(size) + pages(left)),
        fleet.deploy(f"change {wave:,} of {left:,}", left, [3] * wave, needed=2 * pages(left)),
        fleet.delete(f"delete {left:,}", needed=pages(left) + 1),
    ]


def released(size: int, read_rate: float) -> list[Row]:
    """Release one adapter of ten; an earlier release has left the versions that go after the drain."""
    fleet, wave = Fleet(read_rate, ReleaseSettings(drain_seconds=DRAIN_SECONDS)), size // 10
    fleet.deploy("create", size, needed=0)
    fleet.deploy("release", size, [2] * wave, needed=0)
    both = pages(size + wave) + pages(size + 2 * wave)
    return [
        fleet.deploy(f"release {wave:,} of {size:,}", size, [3] * wave, needed=both),
        fleet.drain(f"drain for {DRAIN_SECONDS:g} s, and delete {wave:,}", needed=both),
    ]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet_scale", description=__doc__)
    parser.add_argument("--adapters", type=int, nargs="+", default=[3_000])
    parser.add_argument("--read-rates", type=float, nargs="+", default=[10.0])
    options = parser.parse_args(arguments)
    rows, claims = [], []
    for size in options.adapters:
        for read_rate in options.read_rates:
            changed, wave = in_place(size, read_rate), released(size, read_rate)
            rows += [*changed, *wave]
            claims += [
                Claim.at_most(MOST, f"{one.change}: s (other: bound)", ours=one.seconds, other=one.bound)
                for one in changed
            ]
            beside = f"{wave[0].change}: s (other: in place)"
            claims.append(Claim.at_most(MOST, beside, ours=wave[0].seconds, other=changed[3].seconds))
    return publish("fleet-scale", claims, figures=[one.figures for one in rows])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

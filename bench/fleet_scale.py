"""Fleets of 3,000 and 10,000 where SageMaker allows few reads: what each change takes, beside its bound.

A change cannot take less than its bound: writes ÷ rate + two listings ÷ read rate + one delay. In memory all
times are those of a simulated clock: 10 writes a second, 5 s for each write, 30 ms for each read. On the
embedded cloud they are the custom resource's own, and scaled: 50 writes a second (`--write-rate`), 1 s for
each write. There a fleet is created at the first read rate and deleted at the last one.
"""

import argparse
import json
import math
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from bench.fleet import DELAY_SECONDS, RATE, Bench, Versions  # isort: skip - before the rest of the CDK

from adapter_fleet.fleet.reconcile.observation import PAGE
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.sagemaker_port import WRITE_OPERATIONS
from adapter_fleet.manifest.desired import DesiredAdapter
from bench.harness import Claim, publish
from local_sagemaker.server import LocalCloud
from tests.adapter_fleet.fleet_world import World, adapter

SIZES = (3_000, 10_000)
READ_RATES = (3.0, 10.0, 20.0)
READ_SECONDS = 0.03
EMBEDDED_WRITE_RATE = 50.0
EMBEDDED_DELAY_SECONDS = 1.0
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
            "ratio": f"{self.seconds / self.bound:.2f}",
            "writes": f"{self.writes:,}",
            "pages listed": f"{self.listings:,}",
            "pages of two listings": f"{self.needed:,}",
            "describes": f"{self.describes:,}",
        }


def pages(adapters: int) -> int:
    """Return the pages of a listing of so many adapters and their base."""
    return math.ceil((adapters + 1) / PAGE)


def row(
    change: str,
    calls: Counter[str],
    seconds: float,
    *,
    needed: int,
    read_rate: float,
    rate: float,
    delay: float,
) -> Row:
    """Return the row of a change."""
    writes = sum(count for name, count in calls.items() if name in WRITE_OPERATIONS)
    return Row(
        change=f"{change}, {read_rate:g} reads a second",
        writes=writes,
        seconds=seconds,
        bound=writes / rate + needed / read_rate + delay,
        needed=needed,
        listings=calls["ListInferenceComponents"],
        describes=calls["DescribeInferenceComponent"],
    )


# --- in memory


def in_memory(size: int, read_rate: float) -> list[Row]:
    """Create a fleet, change one adapter, remove one of a hundred, and delete all."""
    world = World(
        settings=FleetSettings(request_rate=RATE, deletions=DeletionLimit(share=1.0)), seconds=DELAY_SECONDS
    )
    world.service.faults.read_rate, world.service.faults.read_seconds = read_rate, READ_SECONDS
    left = size - size // 100

    def measure(change: str, begin: Callable[[], object], needed: int) -> Row:
        calls, began = world.service.calls.copy(), world.clock.now()
        begin()
        world.settle(passes=2000)
        if world.newest().outcome is not Outcome.CONVERGED:
            raise RuntimeError(f"{change}: {world.newest()}")
        made, seconds = world.service.calls - calls, world.clock.now() - began
        return row(change, made, seconds, needed=needed, read_rate=read_rate, rate=RATE, delay=DELAY_SECONDS)

    def wanted(count: int, changed: int) -> list[DesiredAdapter]:
        return [adapter(f"t{number:05}", 2 if number < changed else 1) for number in range(count)]

    return [
        measure(f"create {size:,}", lambda: world.deploy(*wanted(size, 0)), 1 + pages(size)),
        measure(f"change 1 of {size:,}", lambda: world.deploy(*wanted(size, 1)), 2 * pages(size)),
        measure(
            f"remove 1 % of {size:,}",
            lambda: world.deploy(*wanted(left, 1)),
            pages(size) + pages(left),
        ),
        measure(f"delete {left:,}", world.destroy, pages(left) + 1),
    ]


# --- on the embedded cloud


def embedded(size: int, read_rates: Sequence[float], rate: float) -> list[Row]:
    """Create a fleet; at each read rate change one adapter and remove one of a hundred; delete all."""
    settings = {
        "write_rate": rate,
        "component_create_seconds": EMBEDDED_DELAY_SECONDS,
        "component_update_seconds": EMBEDDED_DELAY_SECONDS,
        "component_delete_seconds": EMBEDDED_DELAY_SECONDS,
    }
    versions = {f"t{number:05}": number % 3 for number in range(size)}
    rows = []
    with LocalCloud(settings=settings) as cloud:
        bench = Bench(cloud, rate=rate)

        def measure(change: str, wanted: Versions | None, needed: int, read_rate: float) -> None:
            cloud.admin.change_settings(read_rate=read_rate)
            cloud.admin.reset_calls()
            since = time.time()
            seconds = bench.deploy(wanted)
            calls = Counter(cloud.admin.calls())
            if wanted is not None:  # what is removed has no events there
                seconds = bench.custom_resource_seconds(since)
            cloud.admin.change_settings(read_rate=0.0)
            measured = row(
                change,
                calls,
                seconds,
                needed=needed,
                read_rate=read_rate,
                rate=rate,
                delay=EMBEDDED_DELAY_SECONDS,
            )
            print(json.dumps(asdict(measured)), file=sys.stderr, flush=True)
            rows.append(measured)

        measure(f"create {size:,}", versions, 1 + pages(size), read_rates[0])
        for read_rate in read_rates:
            there = len(versions)
            versions = {name: (number + (name == "t00000")) % 3 for name, number in versions.items()}
            measure(f"change 1 of {there:,}", versions, 2 * pages(there), read_rate)
            left = there - size // 100
            versions = dict(list(versions.items())[:left])
            both = pages(there) + pages(left)
            measure(f"remove {there - left} of {there:,}", versions, both, read_rate)
        both = pages(len(versions)) + 1
        measure(f"delete {len(versions):,}", None, both, read_rates[-1])
    return rows


# --- the command


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("where", choices=["memory", "embedded"])
    parser.add_argument("--adapters", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--read-rates", type=float, nargs="+", default=list(READ_RATES))
    parser.add_argument("--write-rate", type=float, default=EMBEDDED_WRITE_RATE, help="of the embedded cloud")
    parser.add_argument("--rows", action="store_true", help="print the rows as JSON, and publish nothing")
    options = parser.parse_args(arguments)
    rows = []
    for size in options.adapters:
        if options.where == "memory":
            for read_rate in options.read_rates:
                rows += in_memory(size, read_rate)
        else:
            rows += embedded(size, options.read_rates, options.write_rate)
    if options.rows:
        for one in rows:
            print(json.dumps(one.figures))
        return 0
    claims = [
        Claim.at_most(MOST, f"{one.change}: s (other: bound)", ours=one.seconds, other=one.bound)
        for one in rows
        if options.where == "memory"
    ]
    return publish(f"fleet-{options.where}", claims, figures=[one.figures for one in rows])

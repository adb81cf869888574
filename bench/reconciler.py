"""The reconciler by itself: 10,000 adapters in memory.

SageMaker is in memory, on a clock of its own, so what is measured is the control plane's own work: processor
time, memory and calls of one process. Each scene runs in a process of its own, so that its peak of memory is
its own. The smallest function that runs passes has 1,024 MiB.
"""

import json
import math
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from adapter_fleet.fleet.reconcile.observation import PAGE
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, FleetSettings
from adapter_fleet.fleet.state.generations import Outcome
from adapter_fleet.fleet.state.records import Order, OrderKind
from adapter_fleet.fleet.state.sagemaker_port import READ_OPERATIONS, WRITE_OPERATIONS
from adapter_fleet.manifest.desired import DesiredAdapter
from bench.harness import Claim
from tests.adapter_fleet.fleet_world import World, adapter, artifact

IN_MEMORY = 10_000
FUNCTION_MIB = 1024
_MEBIBYTE = 1024


def measure(change: str, world: World, begin: Callable[[], object]) -> dict[str, float | str]:
    """Begin a change, let the fleet settle, and return what that took."""
    calls = world.service.calls.copy()
    cpu, started = time.process_time(), time.perf_counter()
    begin()
    world.settle(passes=2000)
    newest = world.newest()
    if newest.outcome is not Outcome.CONVERGED or newest.in_service != newest.desired:
        raise RuntimeError(f"{change}: {newest}")
    made = world.service.calls - calls
    return {
        "change": change,
        "cpu": time.process_time() - cpu,
        "seconds": time.perf_counter() - started,
        "peak": peak_mib(),
        "writes": sum(count for name, count in made.items() if name in WRITE_OPERATIONS),
        "reads": sum(count for name, count in made.items() if name in READ_OPERATIONS),
        "listings": made["ListInferenceComponents"],
        "passes": newest.passes,
    }


def peak_mib() -> float:
    """Return the peak memory of this process; `getrusage` would include its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / _MEBIBYTE


def fleet(size: int, changed: int = 0) -> list[DesiredAdapter]:
    """Return what a manifest of so many adapters wants; the first `changed` are in another version."""
    return [adapter(f"t{number:05}", 2 if number < changed else 1) for number in range(size)]


def new_world() -> World:
    settings = FleetSettings(request_rate=1000, deletions=DeletionLimit(share=1.0))
    return World(settings=settings, seconds=5.0)


def deployments(size: int) -> list[dict[str, float | str]]:
    """Deploy a fleet from nothing, and change one of it."""
    world = new_world()
    return [
        measure(f"{size:,} from nothing, in memory", world, lambda: world.deploy(*fleet(size))),
        measure(f"change 1 of {size:,}, in memory", world, lambda: world.deploy(*fleet(size, 1))),
    ]


def take_over(size: int) -> list[dict[str, float | str]]:
    """Take over a fleet that someone made by hand."""
    world = new_world()
    wanted = fleet(size)
    made = [world.service.make(want.component, artifact(want.name).uri) for want in wanted]

    def begin() -> None:
        world.registry.orders.add(
            Order(kind=OrderKind.CLAIM, component=there.name, at=world.clock.now(), created=there.created)
            for there in made
        )
        world.deploy(*wanted)

    return [measure(f"take over {size:,}, in memory", world, begin)]


SCENES: dict[str, Callable[[], list[dict[str, float | str]]]] = {
    "deployments": lambda: deployments(IN_MEMORY),
    "take-over": lambda: take_over(IN_MEMORY),
}


def rows() -> list[dict[str, float | str]]:
    """Run every scene in a process of its own; return what each change took."""
    measured = []
    for scene in SCENES:
        command = [sys.executable, "-m", "bench.reconciler", scene]
        answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        measured += json.loads(answer.splitlines()[-1])
    return measured


def claims(measured: list[dict[str, float | str]]) -> list[Claim]:
    """Return what is promised of these changes."""
    by_change = {str(row["change"]): row for row in measured}
    first = by_change[f"{IN_MEMORY:,} from nothing, in memory"]
    one = by_change[f"change 1 of {IN_MEMORY:,}, in memory"]
    pages = math.ceil((IN_MEMORY + 1) / PAGE)
    return [
        Claim.at_most(
            1,
            f"peak MiB of any change, {IN_MEMORY:,} in memory (other: the function's)",
            ours=max(float(row["peak"]) for row in measured),
            other=FUNCTION_MIB,
        ),
        Claim.at_most(1, f"change 1 of {IN_MEMORY:,}: writes", ours=float(one["writes"]), other=1),
        Claim.at_most(
            1,
            f"change 1 of {IN_MEMORY:,}: listing reads (other: 2 x pages)",
            ours=float(one["listings"]),
            other=2 * pages,
        ),
        # Each deployment reads all records and decides on each adapter; only the writes are fewer.
        Claim.at_most(
            0.35,
            f"change 1 of {IN_MEMORY:,}: CPU s (other: from nothing)",
            ours=float(one["cpu"]),
            other=float(first["cpu"]),
        ),
        Claim.at_most(
            1,
            f"take over {IN_MEMORY:,}: writes (other: one tag each)",
            ours=float(by_change[f"take over {IN_MEMORY:,}, in memory"]["writes"]),
            other=IN_MEMORY,
        ),
    ]


def figures(measured: list[dict[str, float | str]]) -> list[dict[str, str]]:
    """Return the rows of the table, with the columns that `bench.fleet` has."""
    return [
        {
            "change": str(row["change"]),
            "s": f"{float(row['seconds']):.1f}",
            "of it reconciling": "",
            "bound": "",
            "CPU s": f"{float(row['cpu']):.1f}",
            "peak MiB": f"{float(row['peak']):.0f}",
            "passes": f"{float(row['passes']):.0f}",
            "API calls": f"{float(row['writes']):,.0f} writes, {float(row['reads']):,.0f} reads",
        }
        for row in measured
    ]


if __name__ == "__main__":
    print(json.dumps(SCENES[sys.argv[1]]()))

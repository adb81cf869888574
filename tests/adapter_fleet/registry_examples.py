"""Examples of what a registry holds, and helpers of its tests."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Request, Source, Target
from adapter_fleet.fleet.state.records import AdapterRecord, FleetRecord
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.rows.leased_table import Lease
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter, DesiredFleet

FLEET = FleetRecord(uid="c8a1-4f2e", name="Llm/Tenants", machine="arn:aws:states:machine")
TARGET = Target(endpoint="llm", base="llm-base", prefix="llm", settings=FleetSettings())


def take(registry: Registry, owner: str, *, now: float) -> Lease:
    lease = registry.acquire(owner, now, 60)
    assert lease is not None
    return lease


def request(delivery: str = "", **changes: Any) -> Request:
    made = Request(
        delivery=delivery or uuid.uuid4().hex, source=Source.DEPLOYMENT, target=TARGET, at=1_764_000_000.25
    )
    return replace(made, **changes)


def wanting(*names: str) -> DesiredFleet:
    return DesiredFleet(
        adapters=tuple(
            DesiredAdapter(name=name, component=f"llm-{name}", artifact=Artifact(uri=f"s3://b/{name}"))
            for name in names
        )
    )


def record(name: str, **changes: Any) -> AdapterRecord:
    return replace(AdapterRecord(name=name, component=f"llm-{name}"), **changes)


def at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """What a call gives in that many threads, which all begin together."""
    ready = threading.Barrier(count, timeout=60)

    def one(index: int) -> Any:
        ready.wait()
        return call(index)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))

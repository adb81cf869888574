"""A fleet of 1,000 adapters on the embedded cloud with limits: what each change takes, beside what it must.

The cloud takes 10 writes a second, and 5 s for every creation, update and deletion; no wait is shortened. A
change of so many adapters cannot take less than its bound: writes ÷ rate + one delay. All are deployments by
CloudFormation, and a time is the custom resource's own: from the event that CloudFormation sends to the
response that it gets.

Then the same fleet where one write may be in flight at a time, and the deployment's timeout passes; and the
reconciler by itself with ten times as many (`bench/reconciler.py`).

`bench/fleet_scale.py` has a fleet of 3,000 in memory, where SageMaker allows few reads.
"""

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from bench.cloud import STACK, Account, Synthesized, endpoint_in, synthesize  # isort: skip - before the CDK

import aws_cdk as cdk
from aws_cdk import aws_sagemaker as sagemaker

from adapter_fleet.fleet.state.generations import Generation
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.lambdas.fleet import MAX_LOOK_SECONDS
from bench import reconciler
from bench.harness import Claim, publish
from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    DeletionGuard,
    FleetAdapter,
)
from multi_adapter_inference.fleet.control_plane import QUERY_INTERVAL

ADAPTERS = int(os.environ.get("BENCH_ADAPTERS", "1000"))
RATE = 10.0
DELAY_SECONDS = 5.0
TIMEOUT = cdk.Duration.minutes(30)
INTERVAL_SECONDS = MAX_LOOK_SECONDS + QUERY_INTERVAL.to_seconds()
"""How often the CDK's framework asks whether the fleet is done: each time it is looked for some seconds."""
LIMITS = {
    "write_rate": RATE,
    "component_create_seconds": DELAY_SECONDS,
    "component_update_seconds": DELAY_SECONDS,
    "component_delete_seconds": DELAY_SECONDS,
}
ONE_AT_A_TIME = {"one_write_per_base": True, "component_create_seconds": 0.05}
SHORT_TIMEOUT_SECONDS = 60
LONGEST_WAIT_SECONDS = 1200

Versions = Mapping[str, int]
"""Which of the packed adapters each one serves, by its name."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one change of the fleet took."""

    change: str
    writes: int
    seconds: float
    reconciled: float
    bound: float
    calls: Mapping[str, int]
    passes: int

    def figures(self) -> dict[str, str]:
        calls = ", ".join(f"{count} {kind}" for kind, count in sorted(self.calls.items()))
        return {
            "change": self.change,
            "s": f"{self.seconds:.1f}",
            "of it reconciling": f"{self.reconciled:.1f}",
            "bound": f"{self.bound:.1f}",
            "CPU s": "",
            "peak MiB": "",
            "passes": str(self.passes),
            "API calls": calls,
        }

    def claim(self) -> Claim:
        if self.writes >= 500:
            return Claim.at_most(
                1.25,
                f"{self.change}: s from event to response (other: bound)",
                ours=self.seconds,
                other=self.bound,
            )
        return Claim.at_most(
            1,
            f"{self.change}: s from event to response (other: bound + {INTERVAL_SECONDS:g} s)",
            ours=self.seconds,
            other=self.bound + INTERVAL_SECONDS,
        )


def app(
    account: Account,
    versions: Versions | None,
    *,
    broken: bool = False,
    timeout: cdk.Duration = TIMEOUT,
) -> Synthesized:
    """Synthesize the endpoint, the fleet, and perhaps something that fails once the fleet is there."""

    def build(stack: cdk.Stack) -> None:
        endpoint = endpoint_in(stack)
        if versions is None:
            return
        fleet = AdapterFleet(
            stack,
            "Tenants",
            endpoint=endpoint,
            manifest=AdapterManifest.from_adapters(
                [
                    FleetAdapter(
                        name=name, artifact=AdapterArtifact.from_uri(account.adapters[version]), rank=4
                    )
                    for name, version in versions.items()
                ]
            ),
            request_rate=RATE,
            deletion_guard=DeletionGuard.off(),
            timeout=timeout,
        )
        cdk.CfnOutput(stack, "Table", value=fleet.registry.table_name)
        cdk.CfnOutput(stack, "Pending", value=fleet.pending_count)
        if broken:
            wrong = sagemaker.CfnEndpoint(stack, "Wrong", endpoint_config_name="there-is-none")
            wrong.node.add_dependency(fleet)

    return synthesize(build)


class Bench:
    """One account with the endpoint in it."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.cloud = cloud
        self.account = Account(cloud)
        self.account.deploy(app(self.account, None))

    def measure(self, change: str, writes: int, versions: Versions) -> Measured:
        """Deploy, and measure."""
        made, since = app(self.account, versions), time.time()
        self.cloud.admin.reset_calls()
        self.account.deploy(made)
        return self._measured(change, writes, since)

    def roll_back(self, change: str, writes: int, versions: Versions) -> Measured:
        """Deploy what fails once the fleet has changed, and measure the fleet's part of the rollback."""
        made, since = app(self.account, versions, broken=True), time.time()
        self.account.begin(made)
        self.account.reaches("UPDATE_ROLLBACK_IN_PROGRESS")
        self.cloud.admin.reset_calls()
        self.account.settled()
        if not self.generation().undo:
            raise RuntimeError("the fleet took the rollback for another deployment")
        return self._measured(change, writes, since)

    def custom_resource_seconds(self, since: float) -> float:
        """Return the seconds from CloudFormation's event for the fleet to the response."""
        events = [
            (at, status)
            for at, kind, status, _ in self.account.events(since=since)
            if kind == "Custom::AdapterFleet"
        ]
        began = max(at for at, status in events if status.endswith("IN_PROGRESS"))
        return max(at for at, status in events if status.endswith("COMPLETE")) - began

    def _measured(self, change: str, writes: int, since: float) -> Measured:
        seconds = self.custom_resource_seconds(since)
        calls = self.cloud.admin.calls()
        written = sum(calls.get(f"{kind}InferenceComponent", 0) for kind in ("Create", "Update", "Delete"))
        if written != writes:
            raise RuntimeError(f"{change}: {written} writes in the place of {writes}")
        generation = self.generation()
        return Measured(
            change=change,
            writes=writes,
            seconds=seconds,
            reconciled=(generation.ended or math.nan) - generation.request.at,
            bound=writes / RATE + DELAY_SECONDS,
            calls={kind: calls[kind] for kind in calls if kind.endswith(("Component", "Components", "Tags"))},
            passes=generation.passes,
        )

    def generation(self) -> Generation:
        """Return the newest generation of the fleet, as its registry has it."""
        registry = Registry(self.account.outputs()["Table"], self.account.client("dynamodb"))
        fleet = registry.fleet()
        assert fleet is not None
        generation = registry.generations.find(fleet.generation)
        assert generation is not None
        return generation


def measure_changes() -> list[Measured]:
    """Make every change of the fleet in turn."""
    names = [f"t{number:04}" for number in range(ADAPTERS)]
    versions = {name: number % 3 for number, name in enumerate(names)}

    def other(count: int) -> dict[str, int]:
        """Return the fleet with other versions of the first adapters."""
        changed = {name: (versions[name] + 1) % 3 for name in list(versions)[:count]}
        return {**versions, **changed}

    with LocalCloud(settings=LIMITS) as cloud:
        bench = Bench(cloud)
        measured = [bench.measure(f"{ADAPTERS:,} from nothing", ADAPTERS, versions)]
        for count in (1, 100):
            versions = other(count)
            measured.append(bench.measure(f"change {count} of {len(versions):,}", count, versions))
        versions = {name: versions[name] for name in names[:-50]}
        measured.append(bench.measure("remove 50", 50, versions))
        half = ADAPTERS // 2
        measured.append(bench.roll_back(f"roll {half} of {len(versions):,} back", half, other(half)))
    return measured


@dataclass(frozen=True, kw_only=True)
class OneAtATime:
    """What became of the fleet with one write in flight at a time."""

    deployed: float
    pending: int
    converged: float
    in_service: int


def measure_one_at_a_time() -> OneAtATime:
    """Deploy the fleet, and wait with the command line for what is pending at the deployment's end."""
    versions = {f"t{number:04}": number % 3 for number in range(ADAPTERS)}
    with LocalCloud(settings=LIMITS | ONE_AT_A_TIME) as cloud:
        bench = Bench(cloud)
        made = app(bench.account, versions, timeout=cdk.Duration.seconds(SHORT_TIMEOUT_SECONDS))
        started = time.perf_counter()
        deployed = bench.account.deploy(made)
        pending = int(bench.account.outputs()["Pending"])
        command = ["adapters", "status", "--stack", STACK, "--wait", "--timeout", str(LONGEST_WAIT_SECONDS)]
        subprocess.run(
            command,
            env=cloud.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        statuses = bench.account.components().values()
        return OneAtATime(
            deployed=deployed,
            pending=pending,
            converged=time.perf_counter() - started,
            in_service=sum(status == "InService" for status in statuses) - 1,
        )


def main() -> int:
    # Beside the changes: it waits most of the time, and its own time is not compared with anything.
    beside = subprocess.Popen(
        [sys.executable, "-m", "bench.fleet", "one-at-a-time"], stdout=subprocess.PIPE, text=True
    )
    changes = measure_changes()
    answer, _ = beside.communicate()
    alone = reconciler.rows()
    slow = OneAtATime(**json.loads(answer.splitlines()[-1]))
    serial = f"{ADAPTERS:,} with one write in flight at a time"
    return publish(
        "fleet",
        [
            *(change.claim() for change in changes),
            Claim.at_most(
                1,
                f"{serial}: s until the deployment succeeds (other: its timeout + 10 s)",
                ours=slow.deployed,
                other=SHORT_TIMEOUT_SECONDS + 10,
            ),
            Claim.at_least(
                1, f"{serial}: pending when it succeeds (ours: one at least)", ours=1, other=slow.pending
            ),
            Claim.at_least(
                1,
                f"{serial}: in service when `adapters status --wait` ended 0, after {slow.converged:.0f} s"
                " (ours: in the manifest)",
                ours=ADAPTERS,
                other=slow.in_service,
            ),
            *reconciler.claims(alone),
        ],
        figures=[*(change.figures() for change in changes), *reconciler.figures(alone)],
    )


if __name__ == "__main__":
    if sys.argv[1:] == ["one-at-a-time"]:
        print(json.dumps(asdict(measure_one_at_a_time())))
    else:
        sys.exit(main())

"""Digests of the calls and the stored rows of stories: a change that only moves code leaves them equal.

`PYTHONHASHSEED=0 python -m tests.digests 300 > after.txt` writes a line for each of 300 stories of each
machine; `diff before.txt after.txt` lists those that differ.

Faults come at the calls of DynamoDB and SageMaker, so that a registry of other methods has the same faults.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.adapter_fleet.fleet.reconcile import test_reconciler_under_faults as in_place
from tests.adapter_fleet.fleet.reconcile import test_releases_under_faults as releases
from tests.adapter_fleet.fleet.reconcile.under_faults import WatchedFleet
from tests.adapter_fleet.fleet_world import Execution, Hooked, World

MACHINES = (in_place.Fleet, in_place.FleetOfAnyItems, in_place.FleetOfAnyNames, releases.FleetOfReleases)
_FAULTS_OF_OTHERS = ("arrival", "stall", "calls")
_FAULTS = (*_FAULTS_OF_OTHERS, "countdown", "raising")  # attributes that count the calls until something
_READS = ("get_item", "query")
_RANDOM = re.compile(r"desired#[0-9a-f]{32}| at 0x[0-9a-f]+")


class Recording(WatchedFleet):
    """A machine whose stories go on a list, each as one digest."""

    stories: list[str]

    def watch(self) -> None:
        self.calls_made: list[str] = []
        self.busy = False
        self.world.service.around = self._around
        registry = cast("Any", Hooked(self.world.registry, self._at_registry))
        object.__setattr__(self.world.reconciler, "registry", registry)

    def _around(self, operation: str, when: str) -> None:
        if when == "before":
            self.calls_made.append(operation)
        self._watch(operation, when)

    def _watch(self, operation: str, when: str) -> None:
        busy, self.busy = self.busy, True  # what a promise reads is no call of the pass
        try:
            super()._around(operation, when)
        finally:
            self.busy = busy

    def _at_registry(self, operation: str, when: str) -> None:
        with self._announcing_nothing(*_FAULTS):
            self._watch(operation, when)

    def _at_table(self, operation: str) -> None:
        if not self.busy:
            # A table writes under a lock, and another pass would wait for it for ever.
            with self._announcing_nothing(*(() if operation in _READS else _FAULTS_OF_OTHERS)):
                self._around(operation, "before")

    @contextmanager
    def _announcing_nothing(self, *faults: str) -> Iterator[None]:
        announced = {name: self.__dict__[name] for name in faults if name in self.__dict__}
        self.__dict__.update(dict.fromkeys(announced))
        try:
            yield
        finally:
            self.__dict__.update(announced)

    def _run_pass(self, deadline: float, execution: Execution) -> None:
        self.world.registry.on_call(self._at_table)
        try:
            super()._run_pass(deadline, execution)
        finally:
            self.world.registry.on_call(lambda _operation: None)

    def teardown(self) -> None:
        if "world" in self.__dict__:  # the story has begun
            lines = "\n".join([*self.calls_made, *_state(self.world)])
            self.stories.append(hashlib.sha256(lines.encode(errors="surrogatepass")).hexdigest()[:16])
        with suppress(AssertionError):  # the others follow a story that breaks a promise
            super().teardown()


def _state(world: World) -> list[str]:
    """Return what is stored, what SageMaker has, and what was written to it."""
    rows = [
        f"{pk} {sk} {sorted((name, value) for name, value in item.items() if name != 'expires')}"
        for pk, items in world.registry.items.items()
        for sk, item in items.items()
    ]
    components = [f"{name} {sorted(vars(one).items())}" for name, one in world.service.components.items()]
    return [*sorted(_RANDOM.sub("", line) for line in [*rows, *components]), repr(world.service.written)]


def main(count: int) -> None:
    options = settings(
        max_examples=count,
        derandomize=True,
        database=None,
        stateful_step_count=30,
        phases=[Phase.generate],
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    for machine in MACHINES:
        stories: list[str] = []
        recorded = type(machine.__name__, (Recording, machine), {"stories": stories})
        run_state_machine_as_test(recorded, settings=options)
        sys.stdout.writelines(f"{machine.__name__} {n} {digest}\n" for n, digest in enumerate(stories))


if __name__ == "__main__":
    assert os.environ.get("PYTHONHASHSEED") == "0", "set PYTHONHASHSEED=0, as the stories go through sets"
    main(int(sys.argv[1]))

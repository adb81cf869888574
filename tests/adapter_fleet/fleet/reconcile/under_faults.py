"""What the state machines of fleets under faults share: promises, and how their stories are run.

`make test` runs the same examples every time; `make nightly` others, and 5,000 of each class.

The reconciler contains exceptions, assertions among them. So what is watched in the middle of a pass raises
`BrokenPromise`, which nothing catches.
"""

import os
from collections.abc import Callable
from dataclasses import replace

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from tests.adapter_fleet.fleet_world import Execution, Hooked, World
from tests.nightly import NIGHTLY


class BrokenPromise(BaseException):
    """A promise is broken. Nothing in the reconciler catches this."""


class InjectedError(Exception):
    """An exception that a library may raise at any call."""


def promise(holds: bool, otherwise: object) -> None:
    if not holds:
        raise BrokenPromise(otherwise)


class WatchedFleet(RuleBasedStateMachine):
    """One fleet, of which every call to the service and to the registry is watched."""

    world: World
    calls: int | None = None
    """How many calls a pass makes before the one at which `happening` comes; None if nothing is to come."""
    happening: BaseException | Callable[[], object] = InjectedError()

    def watch(self) -> None:
        self.world.service.around = self._around
        self.world.reconciler = replace(
            self.world.reconciler,
            registry=Hooked(self.world.registry, self._around),  # type: ignore[arg-type]
        )

    def _around(self, operation: str, when: str) -> None:
        raise NotImplementedError

    def _run(self, deadline: float, execution: Execution) -> None:
        """Run a pass, and raise a broken promise as an Exception: Hypothesis shortens the story of one."""
        try:
            self._run_pass(deadline, execution)
        except BrokenPromise as broken:
            raise AssertionError(*broken.args) from broken

    def _run_pass(self, deadline: float, execution: Execution) -> None:
        try:
            self.world.run_pass(execution, deadline=deadline)
        except InjectedError:
            execution.next_at = self.world.clock.now() + 2.0  # the machine retries the pass
        finally:
            # A crash is over; the watching goes on.
            self.world.service.around = self._around

    def happens(self, calls: int, happening: BaseException | Callable[[], object]) -> None:
        """Run a pass, and let an error or something else come at one of its calls."""
        self.calls, self.happening = calls, happening
        try:
            self.run_passes(600.0, 1)
        finally:
            self.calls = None

    def _count_call(self) -> None:
        """Let come what is due at this call."""
        if self.calls is None:
            return
        self.calls -= 1
        if self.calls < 0:
            self.calls = None
            if isinstance(self.happening, BaseException):
                raise self.happening
            self.happening()

    def run_passes(self, deadline: float, times: int) -> None:
        for _ in range(times):
            execution = self.world.next_execution()
            if execution is None:
                return
            self._run(deadline, execution)

    def settle(self) -> None:
        self.run_passes(600.0, 300)
        assert self.world.next_execution() is None, f"it does not converge: {self.world.describe()}"


def run_stories(machine: type[RuleBasedStateMachine], *, examples: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            derandomize=not NIGHTLY,
            stateful_step_count=30,
            report_multiple_bugs=False,
            phases=[Phase.explicit, Phase.generate] if "FAST" in os.environ else list(Phase),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

"""The next step of each component, and the steps that wait for their turn."""

from collections import deque
from dataclasses import replace

from adapter_fleet.fleet.planning.decide import Decision, Step

MAX_REQUESTS_AT_A_TIME = 4
"""Smoke requests compete with the requests of the adapters' own callers."""

MAX_ARCHIVES_AT_A_TIME = 2
"""Reading an archive uses the function's processor; the other workers go on."""


class WorkQueue:
    """The decision for each component, and queues of components by the kind of their next step.

    reads, requests, probes, archives, writes:
        Components to read at SageMaker, to send a request to, to send a probe to, whose archive to look at,
        and to write on.
    held:
        Components to delete once everything else is done.
    limit:
        The account's limit because of which this pass creates nothing more; None if it is not reached.
    waiting:
        Components to create, or to replace, once there is room for them.
    blocked:
        Components for which nothing can be done in this pass: why.
    unreadable:
        Components that may not be read. The pass leaves them alone.
    """

    def __init__(self) -> None:
        self.decisions: dict[str, Decision] = {}
        self.reads: deque[str] = deque()
        self.requests: deque[str] = deque()
        self.probes: deque[str] = deque()
        self.archives: deque[str] = deque()
        self.writes: deque[str] = deque()
        self.held: set[str] = set()
        self.limit: str | None = None
        self.waiting: set[str] = set()
        self.blocked: dict[str, str] = {}
        self.unreadable: set[str] = set()

    def put(self, component: str, decision: Decision, *, lacks_room: bool = False) -> None:
        """Keep the decision for a component, and queue it if there is something to do now."""
        self.decisions[component] = decision
        self.waiting.discard(component)
        step = decision.step
        if lacks_room:
            self.waiting.add(component)
        elif step.reads:
            self.reads.append(component)
        elif step is Step.PROBE:
            self.probes.append(component)
        elif step.asks:
            self.requests.append(component)
        elif step is Step.VERIFY:
            self.archives.append(component)
        elif step is Step.CONFIRM:
            # A single call, so it goes before the readings, which may take long.
            self.archives.appendleft(component)
        elif step is Step.HOLD:
            self.held.add(component)
        elif step.writes:
            self.writes.append(component)

    def withdraw(self, component: str) -> None:
        """Take the next step of a component out of its queue. The decision stays."""
        for queue in (self.reads, self.requests, self.probes, self.archives, self.writes):
            if component in queue:
                queue.remove(component)

    def block(self, component: str, reason: str) -> None:
        """Note that nothing can be done for a component in this pass."""
        self.blocked[component] = reason
        self.decisions[component] = replace(self.decisions[component], why=reason)

    def forget(self, component: str) -> None:
        """Forget the decision for a component."""
        self.decisions.pop(component, None)
        self.waiting.discard(component)

    def clear(self) -> None:
        """Empty the queues; the decisions stay."""
        for queue in (self.reads, self.requests, self.probes, self.archives, self.writes):
            queue.clear()
        self.held.clear()
        self.waiting.clear()

    @property
    def has_steps(self) -> bool:
        """True if a step waits for its turn."""
        return bool(self.reads or self.requests or self.probes or self.archives or self.writes)

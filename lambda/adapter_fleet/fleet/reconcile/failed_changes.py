"""The components that a generation changes, and how many of them have failed."""

from collections.abc import Collection

from adapter_fleet.fleet.planning.progress import exceeds_failure_limit
from adapter_fleet.fleet.reconcile.session import Session
from adapter_fleet.fleet.state.generations import Source

_TIMEOUT_MARGIN_SECONDS = 10.0


class FailedChanges:
    """The changed components that have failed for good, as the failure policy counts them.

    changed:
        The components that the generation changes.
    over_limit:
        True if more of them have failed than the failure policy allows.
    """

    def __init__(self, session: Session, changed: Collection[str]) -> None:
        self._session, self.changed = session, changed
        self.failing: set[str] = set()
        self.over_limit = False

    def note(self, component: str, *, failed: bool) -> None:
        """Note whether a component has failed for good, and check the failure policy."""
        if failed and component in self.changed:
            self.failing.add(component)
            self.check_limit()
        else:
            self.failing.discard(component)

    def check_limit(self) -> None:
        """Note whether too many of the changed components have failed."""
        exceeds = exceeds_failure_limit(self._session.generation, len(self.failing))
        if exceeds and not self.timed_out:
            self.over_limit = True

    @property
    def timed_out(self) -> bool:
        """True if the deployment has ended by timeout, after which no failure rolls it back any more.

        This begins some seconds before the timeout, so that `is_complete` never contradicts it.
        """
        request = self._session.generation.request
        timeout = request.target.settings.timeout_seconds - _TIMEOUT_MARGIN_SECONDS
        return request.source is Source.DEPLOYMENT and self._session.clock.now() - request.at > timeout

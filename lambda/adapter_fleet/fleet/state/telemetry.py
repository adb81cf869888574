"""Port for logs and metrics of a pass. `adapter_fleet.aws.telemetry` implements it."""

from typing import Protocol

from adapter_fleet.fleet.state.generations import Generation
from adapter_fleet.fleet.state.records import Event, FleetRecord


class Telemetry(Protocol):
    """Logs and metrics of a pass."""

    def changed(self, event: Event) -> None:
        """Log one change of an adapter."""

    def measured(
        self,
        generation: Generation,
        fleet: FleetRecord,
        *,
        age: float,
        throttles: int,
        drifted: int,
        asleep: int,
        misidentified: int,
    ) -> None:
        """Emit the fleet's metrics.

        age:
            For how many seconds the fleet has differed from its manifest.
        asleep:
            How many adapters wait for a copy of the base model.
        misidentified:
            In the place of how many adapters another answers.
        """

    def trouble(self, text: str) -> None:
        """Log what a pass could not do, whether or not it goes on."""

    def unexpected(self, component: str, error: Exception) -> None:
        """Log an unexpected exception with its traceback. It is the failure of one component."""

    def failed_pass(self, error: Exception, *, in_a_row: int) -> None:
        """Log that a pass ended with an exception, and emit how many did so in a row."""

"""Orders that a person gives a fleet: what every one of them needs."""

from adapter_fleet.fleet.state.generations import Generation, Outcome
from adapters_cli.output.errors import CommandError

FOLLOW_HINT = "'adapters status --wait' follows"


def check_takes_orders(newest: Generation) -> None:
    """Raise CommandError if a fleet would carry out no order: it does not continue a failed generation."""
    if newest.outcome is Outcome.FAILED:
        raise CommandError(
            f"generation {newest.number} has failed, and nothing is done before another deployment or"
            " manifest"
        )

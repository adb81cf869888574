"""Where a command may run an adapter for a moment: a base component and its endpoint."""

from contextlib import suppress
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.fleet.state.generations import Target
from adapters_cli.aws.account import Account
from adapters_cli.fleets.fleet_lookup import Fleet, fleets_of_stack, newest_generation, stack_of_environment
from adapters_cli.output.errors import CommandError, NoFleetError, UsageError


@dataclass(frozen=True, kw_only=True)
class BasePlace:
    """A base component and its endpoint.

    base_model, max_lora_rank:
        As the fleet knows them that was named; None without a fleet.
    """

    endpoint: str
    base: str
    base_model: str | None = None
    max_lora_rank: int | None = None

    @classmethod
    def of(cls, target: Target) -> "BasePlace":
        """Return the place of a fleet."""
        return cls(
            endpoint=target.endpoint,
            base=target.base,
            base_model=target.settings.base_model,
            max_lora_rank=target.settings.max_lora_rank,
        )


def base_place(account: Account, target: str, *, option: str) -> BasePlace:
    """Return the place that a base component's name or a stack's name means.

    Raises UsageError for the name of an adapter component, and for a stack whose fleets have several base
    components; NoFleetError if there is neither a component nor a stack.
    """
    live = account.service.describe(target)
    if live is None:
        return _place_of_stack(account, target, option=option)
    if live.base is not None or live.endpoint is None:
        raise UsageError(f"'{option}' should be a base component or a stack, got the adapter {target!r}")
    return BasePlace(endpoint=live.endpoint, base=target)


def place_of_fleet(fleet: Fleet) -> BasePlace:
    """Return the place of a fleet. Raises NoFleetError if it has no manifest yet."""
    return BasePlace.of(newest_generation(fleet).request.target)


def _place_of_stack(account: Account, stack: str, *, option: str) -> BasePlace:
    """Return the place that all fleets of a stack have, but those without a manifest yet."""
    places: dict[str, BasePlace] = {}
    for fleet in fleets_of_stack(account, stack):
        with suppress(NoFleetError):
            place = place_of_fleet(fleet)
            places[place.base] = place
    if len(places) > 1:
        raise UsageError(
            f"the fleets of stack '{stack}' have several base components; '{option}' should be one of them:"
            f" {', '.join(sorted(places))}"
        )
    if not places:
        raise NoFleetError(f"no fleet of stack '{stack}' has received a manifest yet")
    return next(iter(places.values()))


def rank_limit_of_manifest(account: Account, manifest: str) -> int | None:
    """Return the `max_lora_rank` of the fleet that reads this manifest in S3; None if it is not known.

    Looks at the fleets of ADAPTERS_STACK alone. One that cannot be read is no error: the limit only makes
    publishing refuse what the fleet would refuse later.
    """
    if not manifest.startswith("s3://"):
        return None
    stack = stack_of_environment()
    if stack is None:
        return None
    try:
        targets = [newest_generation(fleet).request.target for fleet in fleets_of_stack(account, stack)]
    except (CommandError, ClientError, BotoCoreError):
        return None
    return next((target.settings.max_lora_rank for target in targets if target.manifest == manifest), None)

"""Where a command may run an adapter for a moment: a base component and its endpoint."""

from dataclasses import dataclass

from adapters_cli.aws.account import Account
from adapters_cli.aws.components import EndpointComponents
from adapters_cli.fleets.fleet_lookup import find_fleet, newest_generation
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.text import few


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


def base_place(account: Account, target: str, *, option: str) -> BasePlace:
    """Return the place that a base component's name or a stack's name means.

    Raises UsageError for the name of an adapter component, and NoFleetError if there is neither.
    """
    live = account.service.describe(target)
    if live is None:
        found = newest_generation(find_fleet(account, stack=target, name=None, table=None)).request.target
        return BasePlace(
            endpoint=found.endpoint,
            base=found.base,
            base_model=found.settings.base_model,
            max_lora_rank=found.settings.max_lora_rank,
        )
    if live.base is not None or live.endpoint is None:
        raise UsageError(f"'{option}' should be a base component or a stack, got the adapter {target!r}")
    return BasePlace(endpoint=live.endpoint, base=target)


def base_of_endpoint(account: Account, endpoint: str) -> BasePlace:
    """Return the only base component of an endpoint. Raises CommandError if there are several or none."""
    components = EndpointComponents(account, endpoint)
    described = components.described(components.listed())
    bases = [name for name, live in described.items() if live is not None and live.base is None]
    if len(bases) != 1:
        which = f"several: {few(bases)}" if bases else "none"
        raise CommandError(
            f"endpoint '{endpoint}' should have one base component, got {which}; name it with --on"
        )
    return BasePlace(endpoint=endpoint, base=bases[0])

"""The base component of a fleet, from SageMaker itself: where it is, whether it failed, and its copies."""

from contextlib import suppress
from dataclasses import dataclass

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.fleet.planning.observe import base_trouble
from adapter_fleet.fleet.state.components import Status
from adapter_fleet.fleet.state.generations import Generation, Source, Target
from adapter_fleet.fleet.state.sagemaker_port import MissingError, ServiceError
from adapters_cli.aws.account import Account
from adapters_cli.fleets.fleet_lookup import Fleet, fleets_of_stack, newest_generation
from adapters_cli.output.errors import NoFleetError, UsageError

_OUTAGES = (Status.FAILED, Status.DELETING)

BRIEFLY = Config(connect_timeout=3, read_timeout=10, retries={"total_max_attempts": 2})
"""For what a command can do without, so that a network without a route there does not hold it up."""

NO_COPY = (
    "the base model has no copy, and no adapter answers; if its copies scale,"
    " 'adapters invoke --wait NAME PROMPT' starts one"
)


@dataclass(frozen=True, kw_only=True)
class BaseState:
    """The state of a base component.

    outage:
        Why no adapter answers; None if the component has a copy, or one may come.
    copies:
        How many copies there are now; None if nothing is known of them.
    """

    outage: str | None = None
    copies: int | None = None

    @property
    def note(self) -> str | None:
        """What to say first where there is no copy; None where there is one, or no component at all."""
        return NO_COPY if self.copies == 0 and self.outage is None else None


def read_base(fleet: Fleet, active: Generation) -> BaseState:
    """Read the state of a fleet's base component.

    A pass may be hours ago, so the registry does not know of a base component that was deleted since, or that
    lost its last copy. Without the permission to describe it, or without an answer, the registry's number of
    copies counts.
    """
    base = active.request.target.base
    if active.request.source is Source.DELETION:
        return BaseState()
    try:
        found = fleet.account.service.describe_base(base)
    except MissingError:
        return BaseState(
            outage=f"{base_trouble(base, None)}; no adapter answers before it is deployed again", copies=0
        )
    except ServiceError:
        return BaseState(copies=fleet.record.base_copies)
    if found.live.status not in _OUTAGES:
        # While copies change, the component is updated [T].
        idle = found.running == 0 and found.live.status is Status.IN_SERVICE
        lost = idle and _scales(fleet.account, base) is False
        return BaseState(outage=_no_copy_comes(base) if lost else None, copies=found.running)
    why = f": {found.live.failure_reason}" if found.live.failure_reason else ""
    return BaseState(outage=f"{base_trouble(base, found.live)}{why}; no adapter answers", copies=0)


def _scales(account: Account, base: str) -> bool | None:
    """Return whether Application Auto Scaling changes a base's copies; None without an answer."""
    try:
        found = account.client("application-autoscaling", BRIEFLY).describe_scalable_targets(
            ServiceNamespace="sagemaker", ResourceIds=[f"inference-component/{base}"]
        )
    except (ClientError, BotoCoreError):
        return None
    return bool(found["ScalableTargets"])


def _no_copy_comes(base: str) -> str:
    return (
        f"the base component '{base}' has no copy, and its copies do not scale, so no adapter answers; start"
        " one with: aws sagemaker update-inference-component-runtime-config"
        f" --inference-component-name {base} --desired-runtime-config CopyCount=1"
    )


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

"""What may change about a deployed app, and what that does to those who call it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from multi_adapter_inference import InstanceType, LmiVersion
from tests.evolutions.declared import Declared

if TYPE_CHECKING:
    from tests.evolutions.story import Story


class Effect(StrEnum):
    """What a deployment does to a base component or to adapters that are called all the time."""

    NONE = "answers throughout"
    RENAMED = "answers throughout, new name"
    AWAY = "away for a while"
    AWAY_RENAMED = "away for a while, new name"
    LOST = "lost"

    @property
    def renames(self) -> bool:
        """True if callers have to use another name afterwards."""
        return self in (Effect.RENAMED, Effect.AWAY_RENAMED)

    @property
    def interrupts(self) -> bool:
        """True if calls may fail meanwhile."""
        return self not in (Effect.NONE, Effect.RENAMED)


@dataclass(frozen=True, kw_only=True)
class Effects:
    """The effects on the base component, on native adapters and on those of the fleet."""

    base: Effect = Effect.NONE
    native: Effect = Effect.NONE
    fleet: Effect = Effect.NONE


NOTHING = Effects()

Change = Callable[[Declared, "Story"], Declared]
"""Returns what is declared afterwards."""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What is expected of an evolution under one profile.

    done:
        The effects of the deployment that succeeds.
    early, late:
        Those of one that fails before or after the adapters, and is rolled back.
    refused:
        Why the deployment fails by itself, if it does; `early` has the effects then.
    """

    done: Effects = NOTHING
    early: Effects = NOTHING
    late: Effects = NOTHING
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class Evolution:
    """One change of the app.

    writes_nothing:
        True if no component may be written on.
    """

    name: str
    change: Change
    writes_nothing: bool = False
    kind: Expectation = Expectation()
    hostile: Expectation = Expectation()

    def expected(self, profile: str) -> Expectation:
        """Return what is expected under a profile."""
        return self.kind if profile == "kind" else self.hostile


def _set(**changes: object) -> Change:
    return lambda before, _: replace(before, **changes)  # type: ignore[arg-type]


def _limits(before: Declared, _: Story) -> Declared:
    return replace(before, lora=replace(before.lora, max_loras=3, max_lora_rank=32))


def _natives_renamed(before: Declared, _: Story) -> Declared:
    return replace(before, natives={f"New{name}": label for name, label in before.natives.items()})


# New copies of the base have no adapters there. The fleet sends its own again, if the deployment comes to it.
_REBUILT = Expectation(
    done=Effects(native=Effect.LOST, fleet=Effect.AWAY),
    early=Effects(native=Effect.LOST, fleet=Effect.LOST),
    late=Effects(native=Effect.LOST, fleet=Effect.AWAY),
)

# New components are there before the old ones go; after a failure, the fleet has to make its own again.
_ANOTHER_PREFIX = Expectation(
    done=Effects(base=Effect.RENAMED, native=Effect.RENAMED, fleet=Effect.RENAMED),
    late=Effects(fleet=Effect.AWAY),
)
# The fleet's adapters keep their names, of which there can be only one.
_ANOTHER_ENDPOINT = Expectation(
    done=Effects(base=Effect.RENAMED, native=Effect.RENAMED, fleet=Effect.AWAY),
    late=Effects(fleet=Effect.AWAY),
)
_NATIVES_RENAMED = Expectation(done=Effects(native=Effect.RENAMED))
_ANOTHER_FLEET = Expectation(done=Effects(fleet=Effect.RENAMED))

EVOLUTIONS = (
    Evolution(name="instance type", change=_set(instance_type=InstanceType.ML_G5_24XLARGE), hostile=_REBUILT),
    Evolution(name="container version", change=_set(version=LmiVersion.V20), hostile=_REBUILT),
    Evolution(name="`max_loras`, `max_lora_rank`", change=_limits, hostile=_REBUILT),
    Evolution(
        name="copies added",
        change=_set(copies=2),
        hostile=Expectation(
            done=Effects(native=Effect.LOST, fleet=Effect.AWAY),
            early=Effects(native=Effect.AWAY, fleet=Effect.AWAY),
            late=Effects(native=Effect.AWAY, fleet=Effect.AWAY),
        ),
    ),
    Evolution(
        name="copies taken away",
        change=_set(copies=1),
        hostile=Expectation(
            early=Effects(native=Effect.LOST, fleet=Effect.LOST),
            late=Effects(native=Effect.LOST, fleet=Effect.AWAY),
        ),
    ),
    Evolution(
        name="base model",
        change=lambda before, story: replace(before, base=story.other_base),
        hostile=_REBUILT,
    ),
    Evolution(
        name="component prefix", change=_set(prefix="b"), kind=_ANOTHER_PREFIX, hostile=_ANOTHER_PREFIX
    ),
    Evolution(
        name="endpoint replaced",
        change=_set(endpoint_id="Successor"),
        kind=_ANOTHER_ENDPOINT,
        hostile=_ANOTHER_ENDPOINT,
    ),
    Evolution(
        name="native adapters renamed",
        change=_natives_renamed,
        kind=_NATIVES_RENAMED,
        hostile=_NATIVES_RENAMED,
    ),
    Evolution(
        name="fleet moved, logical ids kept",
        change=lambda before, story: replace(before, moved_to="Elsewhere", fleet_uid=story.fleet_uid),
        writes_nothing=True,
    ),
    Evolution(
        name="fleet moved, other ids and prefix",
        change=_set(fleet="Customers", moved_to=None, fleet_uid=None),
        kind=_ANOTHER_FLEET,
        hostile=_ANOTHER_FLEET,
    ),
    Evolution(
        name="archives moved from directories to S3",
        change=_set(published=True),
        hostile=Expectation(done=Effects(fleet=Effect.AWAY), late=Effects(fleet=Effect.AWAY)),
    ),
    Evolution(name="manifest from file to S3", change=_set(stored=True), writes_nothing=True),
    Evolution(name="manifest from S3 to file", change=_set(stored=False), writes_nothing=True),
    Evolution(
        name="instance type without spare room",
        change=_set(instance_type=InstanceType.ML_G5_2XLARGE),
        hostile=_REBUILT,
    ),
    Evolution(
        name="container version without spare room",
        change=_set(version=LmiVersion.V21),
        hostile=Expectation(refused="CapacityError"),
    ),
)

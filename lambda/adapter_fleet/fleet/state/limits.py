"""The limits of a generation: how many adapters may fail, and how many it may delete."""

from dataclasses import dataclass

from adapter_fleet.common.validators import check_flag, check_share, check_whole_number


@dataclass(frozen=True, kw_only=True)
class FailureLimit:
    """How many of the adapters that a generation changes may fail before the generation fails.

    share:
        The share of the changed adapters, rounded down.
    count:
        An absolute number instead of the share.
    """

    share: float = 0.05
    count: int | None = None

    def __post_init__(self) -> None:
        check_share("share", self.share)
        if self.count is not None:
            check_whole_number("count", self.count, at_least=0)

    def allowed(self, changes: int) -> int:
        """Return how many of `changes` adapters may fail."""
        return self.count if self.count is not None else _share_of(changes, self.share)


@dataclass(frozen=True, kw_only=True)
class DeletionLimit:
    """How many adapters a generation may delete.

    share:
        The share of the adapters that the fleet has.
    above:
        The share applies only to fleets with more adapters than this.
    allow_empty:
        True if a manifest without adapters may delete all of them.
    """

    share: float = 0.2
    above: int = 10
    allow_empty: bool = False

    def __post_init__(self) -> None:
        check_share("share", self.share)
        check_whole_number("above", self.above, at_least=0)
        check_flag("allow_empty", self.allow_empty)

    def allowed(self, present: int) -> int:
        """Return how many of `present` adapters a manifest with adapters may delete."""
        return present if present <= self.above else _share_of(present, self.share)


def _share_of(number: int, share: float) -> int:
    """Return a share of a number, rounded down: 29 for 29 % of 100, though 0.29 * 100 is below 29."""
    return int(share * number + 1e-9)

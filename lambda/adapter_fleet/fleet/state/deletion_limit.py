"""The deletion limit: how many adapters a generation may delete."""

from dataclasses import dataclass

from adapter_fleet.common.validators import check_flag, check_share, check_whole_number, share_of

REMEMBERED_SECONDS = 3600.0
"""The limit also holds for all manifests of this time together."""


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
        return present if present <= self.above else share_of(present, self.share)

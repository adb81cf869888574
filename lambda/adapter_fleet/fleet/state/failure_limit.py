"""The failure limit: how many of the adapters that a generation changes may fail."""

from dataclasses import dataclass

from adapter_fleet.common.validators import check_share, check_whole_number, share_of


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
        return self.count if self.count is not None else share_of(changes, self.share)

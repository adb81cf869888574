"""The lease of a fleet: every write under it checks it in the same transaction."""

from collections.abc import Sequence
from dataclasses import dataclass

from adapter_fleet.fleet.state.dynamodb_table import DynamoDbTable, Item, check_action, key

LEASE_KEY = key("fleet", "lease")


class LeaseLostError(Exception):
    """Another pass may hold the lease. The pass must stop writing."""


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to write until a time. A later lease has a higher token."""

    owner: str
    token: int
    expires: float


class LeasedTable(DynamoDbTable):
    """The table of one fleet."""

    def transact_under(self, lease: Lease, actions: Sequence[Item]) -> list[int]:
        """Carry out all actions or none under a lease; return the indexes of failed conditions.

        Raises LeaseLostError if a later token exists.
        """
        failed = self.transact(
            [check_action(LEASE_KEY, condition="#token = :token", token=lease.token), *actions]
        )
        if 0 in failed:
            raise lease_lost(lease)
        return [index - 1 for index in failed]


def lease_lost(lease: Lease) -> LeaseLostError:
    """Return the error for a lease that another pass has."""
    return LeaseLostError(f"the lease of {lease.owner} (token {lease.token}) has been given to another")


class Rows:
    """The rows of one family of keys. Methods that take a lease raise LeaseLostError."""

    def __init__(self, table: LeasedTable) -> None:
        self._table = table

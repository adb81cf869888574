"""The registry: the state of a fleet, in one DynamoDB table of its own.

The attribute of the table's time to live is `expires`.

| pk | sk | what |
|---|---|---|
| `fleet` | `fleet` | the fleet: some attributes, and `learned` (compressed JSON) |
| `fleet` | `lease` | owner, token and end of the lease |
| `records` | component | one adapter (JSON) |
| `generations` | number | one generation: `doc` (JSON), its outcome, and how it ended |
| `desired#<id>` | number | the desired state of a generation: compressed JSON in chunks |
| `deliveries` | delivery | number of the generation that the delivery made |
| `orders` | component and kind | one order (JSON) |
| `routes` | adapter | the route of one adapter: `doc` (JSON), its revision, and their digest |
| `route#<adapter>` | `route` | what callers of an adapter read: its component, and a candidate's |
| `history#<component>` | time | one event (JSON), for 400 days |
| `archives` | SHA-256 of the URI | the reading of one archive (JSON), for 400 days |
| `usage` | `counted` | up to when use is counted; `usage_counter.py` writes it |

A generation expires with its delivery and its desired state, 400 days after nothing can refer to it any more.

Every write under a lease is a transaction that checks the lease's item. So a pass whose lease is lost changes
nothing, however late its request arrives.
"""

import gzip
import json
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from adapter_fleet.common.serialization import converter, unstructured
from adapter_fleet.fleet.state.dynamodb_table import update_action
from adapter_fleet.fleet.state.lineage import Lineage
from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.rows.archive_rows import ArchiveRows
from adapter_fleet.fleet.state.rows.event_rows import EventRows
from adapter_fleet.fleet.state.rows.generation_rows import FLEET_KEY, GenerationRows
from adapter_fleet.fleet.state.rows.leased_table import LEASE_KEY, Lease, LeasedTable, lease_lost
from adapter_fleet.fleet.state.rows.order_rows import OrderRows
from adapter_fleet.fleet.state.rows.record_rows import RecordRows
from adapter_fleet.fleet.state.rows.route_rows import RouteRows
from adapter_fleet.fleet.state.rows.row import reading, to_json

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_NOT_LEARNED = ("uid", "name", "machine", "generation", "runner", "runner_at")
"""The fields of the fleet that passes do not save. Each is an attribute of its own."""


class Registry:
    """The state of one fleet: its own row, its lease, and an attribute for each family of keys.

    Several threads may use it. What a method returns is consistent. Methods that take a lease raise
    LeaseLostError if a later token exists. Methods that return the fleet, a generation or a desired state
    raise UnreadableError if this release cannot read it.
    """

    def __init__(
        self, table_name: str, client: "DynamoDBClient", *, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.table_name = table_name
        self._table = LeasedTable(table_name, client, sleep=sleep)
        self.generations = GenerationRows(self._table, self.fleet)
        self.lineage = Lineage(self.generations.find)
        self.records = RecordRows(self._table)
        self.events = EventRows(self._table)
        self.orders = OrderRows(self._table)
        self.routes = RouteRows(self._table)
        self.archives = ArchiveRows(self._table)

    # --- the fleet

    def fleet(self) -> FleetRecord | None:
        """Return the fleet, None before it is registered."""
        item = self._table.get(**FLEET_KEY)
        if item is None:
            return None
        with reading(item):
            learned = json.loads(gzip.decompress(item["learned"])) if "learned" in item else {}
            return converter.structure({**learned, **item}, FleetRecord)

    def register(self, fleet: FleetRecord) -> None:
        """Create the fleet, or set its name and its state machine if it exists."""
        own = {name: getattr(fleet, name) for name in _NOT_LEARNED if getattr(fleet, name) is not None}
        self._table.put_new(
            {**FLEET_KEY, **own, "runner_at": float(fleet.runner_at), "learned": _learned(fleet)}
        )
        self._table.update(
            FLEET_KEY,
            "SET #name = :name, machine = :machine",
            condition="#name <> :name OR machine <> :machine",
            name=fleet.name,
            machine=fleet.machine,
        )

    def save_fleet(self, fleet: FleetRecord, lease: Lease) -> None:
        """Save what passes learn: everything but the name, the machine, the generation and the runner."""
        save = update_action(
            FLEET_KEY, "SET learned = :learned", condition="attribute_exists(pk)", learned=_learned(fleet)
        )
        if self._table.transact_under(lease, [save]):
            raise LookupError("the fleet is not registered")

    def become_runner(self, execution: str, at: float) -> bool:
        """Make an execution the runner of passes, unless one that started later is the runner.

        Of two that started at the same time, the one whose name is later in the alphabet runs.
        """
        became = self._table.update(
            FLEET_KEY,
            "SET runner = :runner, runner_at = :at",
            condition=(
                "attribute_exists(pk) AND (attribute_not_exists(runner) OR runner_at < :at"
                " OR runner = :runner OR (runner_at = :at AND runner < :runner))"
            ),
            runner=execution,
            at=float(at),
        )
        return became is not None

    # --- the lease

    def acquire(self, owner: str, now: float, seconds: float) -> Lease | None:
        """Take the lease, or renew the owner's own; None if another owner holds it.

        A renewal gives a higher token too: a late request of the same owner's earlier call must fail.
        """
        taken = self._table.update(
            LEASE_KEY,
            "SET #owner = :owner, #until = :until ADD #token :one",
            condition="attribute_not_exists(pk) OR #until <= :now OR #owner = :owner",
            owner=owner,
            until=float(now + seconds),
            now=float(now),
            one=1,
        )
        if taken is None:
            return None
        return Lease(owner=owner, token=int(taken["token"]), expires=now + seconds)

    def renew(self, lease: Lease, now: float, seconds: float) -> Lease:
        """Extend the lease."""
        if not self._set_until(lease, now + seconds):
            raise lease_lost(lease)
        return replace(lease, expires=now + seconds)

    def release(self, lease: Lease) -> None:
        """Give the lease back. A lost lease is ignored."""
        self._set_until(lease, 0.0)

    def _set_until(self, lease: Lease, until: float) -> bool:
        extended = self._table.update(
            LEASE_KEY,
            "SET #until = :until",
            condition="#token = :token",
            until=float(until),
            token=lease.token,
        )
        return extended is not None


def _learned(fleet: FleetRecord) -> bytes:
    # Compressed, because it names every foreign component on the endpoint.
    learned = {name: value for name, value in unstructured(fleet).items() if name not in _NOT_LEARNED}
    return gzip.compress(to_json(learned).encode(), mtime=0)

"""The rows of generations, of their deliveries and of their desired states."""

import gzip
import json
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache

from botocore.exceptions import ClientError

from adapter_fleet.common.serialization import converter, unstructured
from adapter_fleet.fleet.state.configuration import HISTORY_SECONDS
from adapter_fleet.fleet.state.dynamodb_table import Item, key, put_action, update_action
from adapter_fleet.fleet.state.generations import Generation, Outcome, Request
from adapter_fleet.fleet.state.lineage import FindGeneration, Lineage, accepts
from adapter_fleet.fleet.state.records import FleetRecord
from adapter_fleet.fleet.state.rows.leased_table import Lease, LeasedTable, Rows
from adapter_fleet.fleet.state.rows.row import UnreadableError, from_json, reading, to_json
from adapter_fleet.manifest.desired import DesiredFleet

FLEET_KEY = key("fleet", "fleet")

_UNUSED_CHUNK_SECONDS = 24 * 3600
"""How long chunks are kept if their generation was never made."""

_CHUNKS_OUTLIVE_SECONDS = 7 * 24 * 3600
"""How much longer a desired state is kept than its generation, as DynamoDB deletes in any order."""

_CHUNK_BYTES = 350_000
"""Bytes of a chunk. An item may have 400 KB (DynamoDB's service quotas)."""

_MAX_CACHED_STATES = 4
"""Desired states in memory. A warm function needs the newest one and the last that converged."""


class OvertakenError(Exception):
    """A newer generation exists than the one that a request is based on."""


class GenerationRows(Rows):
    """Reads and writes generations. A new one becomes the fleet's newest in the same transaction.

    fleet:
        Reads the fleet.
    """

    def __init__(self, table: LeasedTable, fleet: Callable[[], FleetRecord | None]) -> None:
        super().__init__(table)
        self._fleet = fleet
        self._desired_states: dict[str, DesiredFleet] = {}

    def open(self, request: Request, desired: DesiredFleet, *, after: int | None = None) -> Generation:
        """Make a request the newest generation, or return the generation that its delivery made before.

        An invalid request makes a refused generation, which supersedes nothing. Raises LookupError if the
        fleet is not registered, ValueError if it is being deleted and the request is no deletion, and
        OvertakenError if `after` is given and is not the newest generation.
        """
        chunks: list[Item] = []
        for _ in self._table.attempts():
            delivery = self._table.get("deliveries", request.delivery)
            if delivery is not None:
                return self._known_generation(int(delivery["number"]))
            fleet = self._fleet()
            if fleet is None:
                raise LookupError("the fleet is not registered")
            if after is not None and fleet.generation != after:
                raise OvertakenError(f"generation {after} is not the newest any more")
            find = cache(self.find)
            lineage, newest = Lineage(find), find(fleet.generation)
            if not accepts(newest, request):
                raise ValueError("the fleet is being deleted and takes no other requests")
            made = lineage.new_generation(request, newest)
            if not chunks:
                # Nothing refers to the chunks before the generation exists.
                chunks = _chunks(desired, expires=request.at + _UNUSED_CHUNK_SECONDS)
                self._table.put_all(chunks)
            superseded = lineage.superseded_by(made, newest)
            if not self._table.transact(_opening(made, superseded, chunks)):
                # The generation is made, even if another one is kept too long.
                with suppress(ClientError, UnreadableError):
                    self._let_expire(made, newest, fleet, find)
                return made
        raise TimeoutError("the registry takes no new generation: others make them all the time")

    def _let_expire(
        self, made: Generation, newest: Generation | None, fleet: FleetRecord, find: FindGeneration
    ) -> None:
        """Let the generations expire that were needed until this one was made, and are not needed now."""
        before = frozenset() if newest is None else Lineage(find).referenced(newest)
        lineage = Lineage(lambda number: made if number == made.number else find(number))
        needed = lineage.referenced(made)
        for number in before - needed - {fleet.converged}:
            self._set_expiry(number, int(made.request.at) + HISTORY_SECONDS)
        for number in needed - before:
            self._set_expiry(number, None)

    def _set_expiry(self, number: int, expires: int | None) -> None:
        """Set when a generation expires, with its delivery and its desired state; None for never."""
        item = self._table.get(**_generation_key(number))
        if item is None or ("expires" in item) == (expires is not None):
            return
        with reading(item):
            delivery = from_json(item["doc"], Generation).request.delivery
        self._expire(_generation_key(number), expires)
        self._expire(key("deliveries", delivery), expires)
        later = None if expires is None else expires + _CHUNKS_OUTLIVE_SECONDS
        index = 0
        while self._expire(_chunk_key(item["desired"], index), later):
            index += 1

    def _expire(self, item: Item, expires: int | None) -> bool:
        """Set when an item expires; return False if there is none."""
        change, values = ("REMOVE expires", {}) if expires is None else ("SET expires = :at", {"at": expires})
        return self._table.update(item, change, condition="attribute_exists(pk)", **values) is not None

    def find(self, number: int) -> Generation | None:
        """Return a generation, None if there is none of that number."""
        item = self._table.get(**_generation_key(number))
        if item is None:
            return None
        with reading(item):
            document = {**json.loads(item["doc"]), **json.loads(item["end"]), "outcome": item["outcome"]}
            return converter.structure(document, Generation)

    def newest(self) -> Generation | None:
        """Return the newest generation, None before the first."""
        fleet = self._fleet()
        return None if fleet is None else self.find(fleet.generation)

    def _known_generation(self, number: int) -> Generation:
        known = self.find(number)
        if known is None:
            raise LookupError(f"there is no generation {number}")
        return known

    def desired(self, number: int) -> DesiredFleet:
        """Return the desired state of a generation. Raises LookupError if there is none of that number."""
        item = self._table.get(**_generation_key(number))
        if item is None:
            raise LookupError(f"there is no generation {number}")
        states, pk = self._desired_states, item["desired"]
        if pk not in states:
            chunks = self._table.query(pk)
            while len(states) >= _MAX_CACHED_STATES:
                states.pop(next(iter(states)))
            with reading(item):
                compressed = b"".join(chunk["bytes"] for chunk in chunks)
                states[pk] = DesiredFleet.from_json(gzip.decompress(compressed))
        return states[pk]

    def save(self, generation: Generation, lease: Lease) -> None:
        """Save the progress of a generation. An outcome other than OPEN stays, with its reason and time."""
        stored = _generation_attributes(generation)
        generation_key = _generation_key(generation.number)
        open_ = update_action(
            generation_key,
            "SET doc = :doc, outcome = :outcome, #end = :end",
            condition="outcome = :open",
            **stored,
            open=Outcome.OPEN,
        )
        ended = update_action(
            generation_key,
            "SET doc = :doc",
            condition="outcome <> :open AND attribute_exists(pk)",
            doc=stored["doc"],
            open=Outcome.OPEN,
        )
        if self._table.transact_under(lease, [open_]) and self._table.transact_under(lease, [ended]):
            raise LookupError(f"there is no generation {generation.number}")

    def reopen(self, number: int, lease: Lease) -> Generation:
        """Open a superseded generation again, because its successor was refused; return it.

        Raises LookupError if there is none of that number.
        """
        opened = replace(self._known_generation(number), outcome=Outcome.OPEN, ended=None)
        self._table.transact_under(lease, [_change_of_outcome(opened, before=Outcome.SUPERSEDED)])
        self._set_expiry(number, None)
        return self._known_generation(number)


def _opening(made: Generation, superseded: Generation | None, chunks: Sequence[Item]) -> list[Item]:
    """Return the transaction that makes a generation, unless another one was made meanwhile."""
    absent = "attribute_not_exists(pk)"
    delivery = key("deliveries", made.request.delivery) | {"number": made.number}
    item = _generation_key(made.number) | _generation_attributes(made) | {"desired": chunks[0]["pk"]}
    actions = [
        put_action(delivery, condition=absent),
        put_action(item, condition=absent),
        update_action(
            FLEET_KEY,
            "SET generation = :number",
            condition="generation = :before",
            number=made.number,
            before=made.number - 1,
        ),
        *(update_action(key(chunk["pk"], chunk["sk"]), "REMOVE expires") for chunk in chunks),
    ]
    if superseded is not None:
        actions.append(_change_of_outcome(superseded, before=Outcome.OPEN))
    return actions


def _change_of_outcome(generation: Generation, *, before: Outcome) -> Item:
    """Return the action that sets a generation's outcome, if its stored outcome is `before`."""
    stored = _generation_attributes(generation)
    return update_action(
        _generation_key(generation.number),
        "SET outcome = :outcome, #end = :end",
        condition="outcome = :before",
        outcome=stored["outcome"],
        end=stored["end"],
        before=before,
    )


def _generation_key(number: int) -> Item:
    return key("generations", f"{number:010}")


def _generation_attributes(generation: Generation) -> dict[str, str]:
    """Return the stored attributes of a generation: its document, its outcome, and how it ended.

    The outcome is apart from the document: a newer generation ends this one without touching its progress.
    """
    progress = replace(generation, outcome=Outcome.OPEN, reason=None, ended=None)
    return {
        "doc": to_json(unstructured(progress)),
        "outcome": generation.outcome.value,
        "end": to_json({"reason": generation.reason, "ended": generation.ended}),
    }


def _chunks(desired: DesiredFleet, *, expires: float) -> list[Item]:
    """Return the items that hold a desired state, under a partition key of their own."""
    compressed = gzip.compress(desired.to_json(), mtime=0)
    pk = f"desired#{uuid.uuid4().hex}"
    return [
        _chunk_key(pk, start // _CHUNK_BYTES)
        | {"bytes": compressed[start : start + _CHUNK_BYTES], "expires": int(expires)}
        for start in range(0, len(compressed), _CHUNK_BYTES)
    ]


def _chunk_key(pk: str, index: int) -> Item:
    return key(pk, f"{index:04}")

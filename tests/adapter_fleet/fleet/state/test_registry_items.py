"""What only the registry in DynamoDB does: its items, its retries, and the limits of the service."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adapter_fleet.common.serialization import unstructured
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.generations import Source
from adapter_fleet.fleet.state.probe_check import ProbeCheck
from adapter_fleet.fleet.state.records import AdapterRecord, Event, Intent, Order, OrderKind, Write
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.rows.leased_table import Lease, LeaseLostError
from adapter_fleet.fleet.state.rows.record_rows import RecordTooLargeError
from adapter_fleet.fleet.state.rows.row import UnreadableError
from adapter_fleet.manifest.desired import Artifact, Probe
from adapter_fleet.manifest.value_rules import MAX_ADAPTER_BYTES
from tests.adapter_fleet.memory_registry import CanceledError, Item, MemoryDynamoDb, MemoryRegistry
from tests.adapter_fleet.registry_examples import FLEET, at_once, record, request, take, wanting


def lease_of(registry: MemoryRegistry) -> Lease:
    registry.register(FLEET)
    return take(registry, "pass", now=0)


def test_records_with_many_long_tags_stay_below_the_bytes_of_a_transaction() -> None:
    # The most that SageMaker allows: 50 tags, ten of them AWS's or the fleet's, of 128 and 256 characters.
    tags = {f"{number:03}" + "ü" * 125: "語" * 256 for number in range(40)}
    registry = MemoryRegistry()
    records = [record(f"a{number:03}", tags=tags) for number in range(150)]
    registry.records.put(records, lease_of(registry))
    assert list(registry.records.all().values()) == records


def test_records_of_usual_size_fill_the_transactions() -> None:
    sent: list[Any] = []
    client = Interrupted(MemoryDynamoDb(), "transact_write_items", lambda **made: sent.append(made))
    many = [record(f"a{number:03}") for number in range(200)]
    client.registry().records.put(many, Lease(owner="p", token=1, expires=60.0))
    assert [len(made["TransactItems"]) for made in sent] == [100, 100, 3]


def reading(*items: dict[str, Any]) -> MemoryRegistry:
    registry = MemoryRegistry()
    for item in items:
        registry.write(**item)
    return registry


class TestRecordThatCannotBeRead:
    @pytest.mark.parametrize(
        "row",
        [
            {},
            {"doc": "[" * 100_000},
            {"doc": '{"name": "acme", "component": "llm-other"}'},
            {"doc": json.dumps({"name": "acme", "component": "llm-acme", "recheck": "of the next release"})},
        ],
        ids=["no document", "deep", "another component's", "next release's"],
    )
    def test_it_is_a_record_that_says_why_and_the_others_are_read(self, row: dict[str, Any]) -> None:
        other = {"pk": "records", "sk": "llm-b", "doc": '{"name": "b", "component": "llm-b"}'}
        registry = reading({"pk": "records", "sk": "llm-acme", **row}, other)
        records = registry.records.all()
        assert records["llm-b"] == record("b")
        why = records["llm-acme"].unreadable
        assert why is not None
        assert why.startswith("row 'llm-acme' of 'records' in the registry cannot be read, maybe because a")
        assert records["llm-acme"] == registry.records.find("llm-acme")

    def test_a_field_of_a_later_release_is_left_out(self) -> None:
        document = '{"name": "acme", "component": "llm-acme", "of_a_later_release": 1}'
        registry = reading({"pk": "records", "sk": "llm-acme", "doc": document})
        assert registry.records.all() == {"llm-acme": record("acme")}


RETRY = {"kind": "retry", "component": "p-a", "at": 1.0}


class TestOrderThatCannotBeRead:
    @pytest.mark.parametrize(
        "item",
        [
            {"sk": "x"},
            {"sk": "p-a#pause", "at": 1, "doc": json.dumps(RETRY | {"kind": "pause"})},
            {"sk": "p-a#retry", "at": 1, "doc": '{"kind": "retry", "component": "p-a", "at": NaN}'},
        ],
        ids=str,
    )
    def test_it_is_reported_by_its_key_and_the_others_are_read(self, item: dict[str, Any]) -> None:
        other = {
            "pk": "orders",
            "sk": "p-b#retry",
            "at": 2,
            "doc": json.dumps(RETRY | {"component": "p-b", "at": 2.0}),
        }
        registry = reading({"pk": "orders", **item}, other)
        assert registry.orders.all() == [Order(kind=OrderKind.RETRY, component="p-b", at=2.0)]
        assert list(registry.orders.read()[1]) == [item["sk"]]
        assert f"row '{item['sk']}' of 'orders' in the registry" in registry.orders.read()[1][item["sk"]]

    @pytest.mark.parametrize("item", [{"sk": "p-a#pin", "at": 1}, {"sk": "p-a#retry", "at": 2}], ids=str)
    def test_an_order_that_no_pass_could_remove_is_one(self, item: dict[str, Any]) -> None:
        registry = reading({"pk": "orders", "doc": json.dumps(RETRY), **item})
        assert registry.orders.all() == []
        assert list(registry.orders.read()[1]) == [item["sk"]]


FLEET_ROW = {
    "pk": "fleet",
    "sk": "fleet",
    "uid": "u",
    "name": "n",
    "machine": "m",
    "generation": 1,
    "runner_at": 0,
}
GENERATION_ROW = {
    "pk": "generations",
    "sk": "0000000001",
    "desired": "desired#1",
    "end": "{}",
    "outcome": "open",
}


class TestRowOfTheFleetThatCannotBeRead:
    @pytest.mark.parametrize("change", [{"learned": b"no gzip"}, {"generation": "two"}], ids=str)
    def test_fleet(self, change: dict[str, Any]) -> None:
        with pytest.raises(
            UnreadableError, match=r"^row 'fleet' of 'fleet' in the registry cannot be read, "
        ):
            reading(FLEET_ROW | change).fleet()

    @pytest.mark.parametrize("change", [{}, {"doc": "{}", "outcome": "paused"}], ids=str)
    def test_generation(self, change: dict[str, Any]) -> None:
        with pytest.raises(UnreadableError, match=r"^row '0000000001' of 'generations' in the registry"):
            reading(GENERATION_ROW | change).generations.find(1)

    def test_desired_state(self) -> None:
        chunk = {"pk": "desired#1", "sk": "0000", "bytes": b"no gzip"}
        with pytest.raises(UnreadableError, match=r"^row '0000000001' of 'generations' in the registry"):
            reading(GENERATION_ROW, chunk).generations.desired(1)


def test_event_that_cannot_be_read_is_an_event_that_says_so() -> None:
    item = {"pk": "history#llm-acme", "sk": "00000000012.500000#00000#abc", "doc": "{}"}
    (event,) = reading(item).events.newest("llm-acme", 10)
    assert (event.what, event.at, event.component) == ("unreadable", 12.5, "llm-acme")
    assert "cannot be read" in str(event.cause)


def test_archive_whose_reading_cannot_be_read_is_not_known() -> None:
    sk = hashlib.sha256(b"s3://b/x").hexdigest()
    assert reading({"pk": "archives", "sk": sk, "doc": "{}"}).archives.find("s3://b/x") is None


def test_order_that_cannot_be_read_can_be_withdrawn() -> None:
    registry = reading({"pk": "orders", "sk": "x"}, {"pk": "orders", "sk": "y"})
    registry.orders.withdraw(["x"])
    assert list(registry.orders.read()[1]) == ["y"]


def written(one: AdapterRecord) -> str:
    """The document of a record as it is stored."""
    registry = MemoryRegistry()
    registry.records.put([one], lease_of(registry))
    text: str = registry.items["records"][one.component]["doc"]["S"]
    return text


def version(number: int, prompt: str) -> Artifact:
    probe = Probe(prompt=f"{number} {prompt}", answer="yes")
    return Artifact(uri=f"s3://b/{'k' * 1000}{number}.tar.gz", digest=f"{number:064}", probe=probe)


def test_what_a_digest_tells_is_stored_once_for_each_version() -> None:
    new, old = version(2, "Who?"), version(1, "Who?")
    text = written(
        record(
            "acme",
            serving=new,
            last_good=new,
            versions=(new, old),
            passed=new,
            probed=ProbeCheck(artifact=new),
            intent=Intent(write=Write.UPDATE, at=5.0, generation=2, artifact=old),
            failure=Failure(cause=Cause.QUOTA, reason="full", artifact=old, at=7.0),
        )
    )
    assert (text.count("2 Who?"), text.count("1 Who?")) == (1, 1)


def test_largest_record_that_manifests_can_make_fits_into_an_item() -> None:
    # The most that an adapter may have, all of it in its probe or all of it in its tags.
    versions = [version(number, "p" * (MAX_ADAPTER_BYTES - 1100)) for number in range(9)]
    tags = {"old": "t" * MAX_ADAPTER_BYTES, "new": "t" * MAX_ADAPTER_BYTES}
    reason = "r" * 10_000
    largest = record(
        "acme",
        live=ObservedComponent(status=Status.FAILED, created=1.0, modified=1.0, failure_reason=reason),
        serving=versions[0],
        versions=tuple(versions[1:6]),
        last_good=versions[1],
        passed=versions[6],
        probed=ProbeCheck(artifact=versions[7]),
        intent=Intent(write=Write.UPDATE, at=5.0, generation=2, artifact=versions[8], error=reason),
        failure=Failure(cause=Cause.QUOTA, reason=reason, artifact=versions[7], at=7.0),
        tags=tags,
        drifted=reason,
    )
    assert len(written(largest)) < 400_000


def test_record_above_the_limit_is_left_out_alone() -> None:
    registry = MemoryRegistry()
    records = [record("a"), record("b", tags={"large": "x" * 400_000}), record("c")]
    with pytest.raises(RecordTooLargeError) as raised:
        registry.records.put(records, lease_of(registry))
    assert list(raised.value.components) == ["llm-b"]
    assert list(registry.records.all()) == ["llm-a", "llm-c"]


def test_details_of_equal_artifacts_come_back() -> None:
    registry = MemoryRegistry()
    new, old = version(2, "Who?"), version(1, "Who?")
    unprobed = replace(new, probe=None, checksum="sha256:0")
    kept = record("acme", serving=unprobed, last_good=new, versions=(new, old))
    registry.records.put([kept], lease_of(registry))
    read = registry.records.find("llm-acme")
    assert read is not None
    assert unstructured(read) == unstructured(kept)


class TestExpiry:
    """Which items the table's time to live deletes."""

    @pytest.fixture
    def registry(self) -> MemoryRegistry:
        registry = MemoryRegistry()
        registry.register(FLEET)
        return registry

    def items(self, registry: MemoryRegistry) -> list[Item]:
        return [item for items in registry.items.values() for item in items.values()]

    def expiring(self, registry: MemoryRegistry) -> list[Item]:
        return [item for item in self.items(registry) if "expires" in item]

    def test_only_history_expires(self, registry: MemoryRegistry) -> None:
        lease = take(registry, "pass", now=0)
        registry.generations.open(request("once"), wanting("acme"))
        registry.records.put([record("acme")], lease)
        registry.orders.add([Order(kind=OrderKind.RETRY, component="llm-acme", at=1.0)])
        registry.events.append(
            [Event(component="llm-acme", name="acme", at=1.5, what="created", generation=1)]
        )
        expiring = {item["pk"]["S"]: item["expires"]["N"] for item in self.expiring(registry)}
        assert expiring == {"history#llm-acme": str(1 + 400 * 24 * 3600)}

    def test_generation_that_nothing_refers_to_expires_with_its_delivery_and_its_desired_state(
        self, registry: MemoryRegistry
    ) -> None:
        for day in range(5):
            asked = request(f"day-{day}", source=Source.OBJECT, at=day * 86400.0)
            registry.generations.open(asked, wanting(f"a{day}"))
        expiring = sorted(
            (item["pk"]["S"].partition("#")[0], item["sk"]["S"], int(item["expires"]["N"]) // 86400)
            for item in self.expiring(registry)
        )
        # The first one stands for the deployment; the fourth goes on if a guard refuses the fifth.
        assert expiring == [
            ("deliveries", "day-1", 403),
            ("deliveries", "day-2", 404),
            ("desired", "0000", 410),
            ("desired", "0000", 411),
            ("generations", "0000000002", 403),
            ("generations", "0000000003", 404),
        ]

    def test_generation_that_goes_on_does_not_expire(self, registry: MemoryRegistry) -> None:
        lease = take(registry, "pass", now=0)
        for delivery in ("first", "second", "third", "fourth"):
            registry.generations.open(request(delivery, source=Source.OBJECT), wanting("acme"))
        assert self.expiring(registry)
        registry.generations.reopen(2, lease)
        assert not self.expiring(registry)

    def test_chunks_of_a_generation_that_was_not_made_expire(self, registry: MemoryRegistry) -> None:
        at_once(4, lambda _: registry.generations.open(request("same", at=0.0), wanting("acme")))
        chunks = [item for item in self.items(registry) if item["pk"]["S"].startswith("desired#")]
        lasting = [item for item in chunks if "expires" not in item]
        assert len(lasting) == 1
        assert all(item["expires"] == {"N": "86400"} for item in chunks if item not in lasting)


class Interrupted:
    """A client on whose first calls of one operation something else happens; `wait` counts the waits."""

    def __init__(self, client: Any, operation: str, happening: Callable[..., Any], *, times: int = 3) -> None:
        self._client, self._operation, self._happening, self._left = client, operation, happening, times
        self.waits: list[float] = []

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name != self._operation:
            return call

        def interrupted(**request: Any) -> Any:
            if self._left == 0:
                return call(**request)
            self._left -= 1
            return self._happening(**request)

        return interrupted

    def registry(self) -> Registry:
        return Registry("registry", self, sleep=self.waits.append)  # type: ignore[arg-type]


class TestInterruptions:
    """What neither the embedded cloud nor the one in memory does by itself."""

    @pytest.fixture
    def memory(self) -> MemoryDynamoDb:
        return MemoryDynamoDb()

    @pytest.fixture
    def lease(self, memory: MemoryDynamoDb) -> Lease:
        registry = Registry("registry", memory)  # type: ignore[arg-type]
        registry.register(FLEET)
        return take(registry, "pass", now=0)

    def cancelled(self, *codes: str) -> Callable[..., Any]:
        def cancel(**_: Any) -> Any:
            reasons: Any = {"Error": {}, "CancellationReasons": [{"Code": code} for code in codes]}
            raise CanceledError(reasons, "TransactWriteItems")

        return cancel

    @pytest.mark.parametrize(
        "code", ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]
    )
    def test_transaction_that_something_kept_off_is_sent_again(
        self, memory: MemoryDynamoDb, lease: Lease, code: str
    ) -> None:
        client = Interrupted(memory, "transact_write_items", self.cancelled(code, "None"))
        registry = client.registry()
        registry.records.put([record("acme")], lease)
        assert registry.records.all() == {"llm-acme": record("acme")}
        assert len(client.waits) == 3

    def test_transaction_that_is_wrong_is_not_sent_again(self, memory: MemoryDynamoDb, lease: Lease) -> None:
        client = Interrupted(memory, "transact_write_items", self.cancelled("None", "ValidationError"))
        with pytest.raises(CanceledError):
            client.registry().records.put([record("acme")], lease)
        assert client.waits == []

    def test_lease_that_is_lost_is_told_whatever_else_failed(
        self, memory: MemoryDynamoDb, lease: Lease
    ) -> None:
        codes = ("ConditionalCheckFailed", "TransactionConflict")
        client = Interrupted(memory, "transact_write_items", self.cancelled(*codes))
        with pytest.raises(LeaseLostError):
            client.registry().records.put([record("acme")], lease)

    def test_transaction_that_was_done_before_its_answer_was_lost_is_done_once(
        self, memory: MemoryDynamoDb, lease: Lease
    ) -> None:
        def do_and_say_otherwise(**sent: Any) -> Any:
            memory.transact_write_items(**sent)
            self.cancelled("TransactionConflict")()

        client = Interrupted(memory, "transact_write_items", do_and_say_otherwise, times=1)
        made = client.registry().generations.open(request("once"), wanting("acme"))
        assert made.number == 1
        assert client.registry().generations.find(2) is None

    def test_write_that_met_a_transaction_is_sent_again(self, memory: MemoryDynamoDb, lease: Lease) -> None:
        def conflict(**_: Any) -> Any:
            raise ClientError({"Error": {"Code": "TransactionConflictException"}}, "UpdateItem")

        client = Interrupted(memory, "update_item", conflict)
        assert client.registry().renew(lease, 1, 60).expires == 61
        assert len(client.waits) == 3

    def test_what_a_batch_left_over_is_sent_again(self, memory: MemoryDynamoDb) -> None:
        client = Interrupted(
            memory,
            "batch_write_item",
            lambda RequestItems: {"UnprocessedItems": RequestItems},  # noqa: N803
        )
        event = Event(component="llm-acme", name="acme", at=1.0, what="created", generation=1)
        client.registry().events.append([event])
        assert client.registry().events.newest("llm-acme", 9) == [event]
        assert len(client.waits) == 3

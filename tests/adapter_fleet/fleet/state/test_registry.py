"""One suite for the registry in DynamoDB and for the fake that other tests use in its place."""

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source
from adapter_fleet.fleet.state.records import Event, Intent, Order, OrderKind, Write
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.routes import PublishedRoute, Route, RoutedVersion
from adapter_fleet.fleet.state.rows.leased_table import Lease, LeaseLostError
from adapter_fleet.manifest.desired import Artifact, Probe
from tests.adapter_fleet.memory_registry import MemoryRegistry
from tests.adapter_fleet.registry_examples import FLEET, at_once, record, request, take, wanting


@pytest.fixture(params=["memory", pytest.param("dynamodb", marks=pytest.mark.integration)])
def empty(request: pytest.FixtureRequest) -> Registry:
    if request.param == "memory":
        return MemoryRegistry()
    return Registry(request.getfixturevalue("table"), request.getfixturevalue("dynamodb"))


@pytest.fixture
def registry(empty: Registry) -> Registry:
    """A registry that knows its fleet."""
    empty.register(FLEET)
    return empty


@pytest.fixture
def lease(registry: Registry) -> Lease:
    return take(registry, "pass", now=0)


@pytest.fixture
def stale(registry: Registry) -> Lease:
    """A lease that has expired, and is another's since."""
    stale = take(registry, "stalled", now=0)
    take(registry, "next", now=61)
    return stale


class TestFleet:
    def test_fleet_that_is_there_gets_its_newest_name_and_machine_alone(self, registry: Registry) -> None:
        registry.register(replace(FLEET, name="other", machine="another", generation=7))
        assert registry.fleet() == replace(FLEET, name="other", machine="another")

    def test_passes_do_not_touch_the_generation_and_the_runner(
        self, registry: Registry, lease: Lease
    ) -> None:
        before = registry.fleet()
        assert before is not None
        registry.generations.open(request(), wanting())
        registry.become_runner("run", 5.5)
        registry.save_fleet(replace(before, rate=1.0), lease)
        assert registry.fleet() == replace(FLEET, rate=1.0, generation=1, runner="run", runner_at=5.5)


class TestGenerations:
    def test_number_that_was_not_given_out_has_no_generation(self, registry: Registry, lease: Lease) -> None:
        assert registry.generations.find(1) is None
        with pytest.raises(LookupError):
            registry.generations.desired(1)
        with pytest.raises(LookupError):
            registry.generations.save(Generation(number=1, request=request()), lease)
        assert registry.generations.find(1) is None

    def test_delivery_that_comes_again_keeps_its_generation(self, registry: Registry) -> None:
        first = registry.generations.open(request("once"), wanting("acme"))
        registry.generations.open(request("later"), wanting())
        again = registry.generations.open(request("once"), wanting("other"))
        assert (again.number, again.outcome) == (first.number, Outcome.SUPERSEDED)
        assert registry.generations.desired(1) == wanting("acme")
        assert registry.generations.find(3) is None

    def test_open_generation_is_superseded_by_the_next_and_no_pass_opens_it_again(
        self, registry: Registry, lease: Lease
    ) -> None:
        made = registry.generations.open(request(), wanting())
        registry.generations.open(request(at=1_764_000_009.0), wanting())
        superseded = replace(made, outcome=Outcome.SUPERSEDED, ended=1_764_000_009.0)
        assert registry.generations.find(1) == superseded
        registry.generations.save(replace(made, passes=1), lease)
        assert registry.generations.find(1) == replace(superseded, passes=1)

    def test_outcome_stays_with_its_reason_while_figures_change(
        self, registry: Registry, lease: Lease
    ) -> None:
        made = registry.generations.open(request(), wanting())
        refused = replace(made, outcome=Outcome.REFUSED, reason="too many deletions", ended=8.0)
        registry.generations.save(refused, lease)
        registry.generations.save(replace(made, outcome=Outcome.CONVERGED, passes=9), lease)
        assert registry.generations.find(1) == replace(refused, passes=9)

    def test_fleet_that_is_being_deleted_takes_no_more(self, registry: Registry) -> None:
        deletion = registry.generations.open(request("delete", source=Source.DELETION), wanting())
        with pytest.raises(ValueError, match="being deleted"):
            registry.generations.open(request(), wanting())
        assert registry.generations.open(request("delete"), wanting()) == deletion

    @pytest.mark.slow
    def test_fleet_that_fills_several_items_comes_back_whole(self, registry: Registry) -> None:
        # Random names do not compress: these are a megabyte.
        desired = wanting(*(uuid.uuid4().hex for _ in range(12_000)))
        registry.generations.open(request(), desired)
        assert registry.generations.desired(1) == desired


class TestRecords:
    def test_record_is_kept_as_it_is(self, registry: Registry, lease: Lease) -> None:
        artifact = Artifact(uri="s3://b/acme.tar.gz", digest="a" * 64)
        live = ObservedComponent(
            status=Status.UPDATING,
            created=1_764_000_000.123,
            modified=1_764_000_001.456,
            failure_reason="no «such» thing",
        )
        whole = record(
            "acme",
            live=live,
            versions=(artifact, Artifact(uri="s3://b/acme/v1.tar.gz")),
            intent=Intent(write=Write.UPDATE, at=5.0, generation=2, artifact=artifact, acknowledged=6.0),
            failure=Failure(cause=Cause.QUOTA, reason="full", artifact=artifact, at=7.0, retry_at=8.5),
            tags={"tier": "gold"},
        )
        registry.records.put([whole, record("zeta")], lease)
        assert registry.records.all() == {"llm-acme": whole, "llm-zeta": record("zeta")}
        assert registry.records.find("llm-acme") == whole
        assert registry.records.find("llm-nobody") is None

    def test_last_record_of_a_component_counts_until_it_is_forgotten(
        self, registry: Registry, lease: Lease
    ) -> None:
        registry.records.put([record("acme"), record("acme", generation=2), record("zeta")], lease)
        registry.records.put([record("acme", generation=3), record("acme", generation=4)], lease)
        assert registry.records.all() == {
            "llm-acme": record("acme", generation=4),
            "llm-zeta": record("zeta"),
        }
        registry.records.forget(["llm-acme", "llm-unknown", "llm-acme"], lease)
        assert registry.records.all() == {"llm-zeta": record("zeta")}

    def test_a_thousand_records_are_written_read_and_forgotten(
        self, registry: Registry, lease: Lease
    ) -> None:
        # Long reasons: more than one page of a query.
        artifact = Artifact(uri="s3://b/a")
        failure = Failure(cause=Cause.ARTIFACT, reason="why " * 300, artifact=artifact, at=1.0)
        many = [record(f"a{number:04}", failure=failure) for number in range(1_000)]
        registry.records.put(many, lease)
        assert list(registry.records.all().values()) == many
        registry.records.forget([one.component for one in many], lease)
        assert registry.records.all() == {}


class TestLease:
    def test_lease_is_given_to_another_once_it_has_expired_with_a_higher_token(
        self, registry: Registry
    ) -> None:
        first = take(registry, "first", now=100)
        assert registry.acquire("second", 159.9, 60) is None
        second = take(registry, "second", now=160)
        assert second.token > first.token
        assert (second.owner, second.expires) == ("second", 220)

    def test_released_lease_is_given_at_once(self, registry: Registry, stale: Lease) -> None:
        registry.release(stale)
        assert registry.acquire("third", 62, 60) is None
        newer = take(registry, "next", now=62)
        registry.release(newer)
        assert take(registry, "third", now=62).token > newer.token

    def test_own_lease_is_given_again_and_fences_off_what_came_before(self, registry: Registry) -> None:
        before = take(registry, "same", now=100)
        again = take(registry, "same", now=101)
        registry.records.put([record("acme")], again)
        with pytest.raises(LeaseLostError):
            registry.records.put([record("zeta")], before)

    def test_renewed_lease_lasts_longer_even_if_it_had_expired(self, registry: Registry) -> None:
        lease = take(registry, "first", now=100)
        assert registry.renew(lease, 150, 60) == replace(lease, expires=210)
        assert registry.acquire("second", 209, 60) is None
        registry.records.put([record("acme")], lease)
        registry.renew(lease, 500, 60)
        assert registry.acquire("second", 501, 60) is None

    def test_one_of_many_threads_gets_the_lease(self, registry: Registry) -> None:
        leases = at_once(64, lambda index: registry.acquire(f"thread {index}", 100, 60))
        assert sum(lease is not None for lease in leases) == 1


WRITES: dict[str, Callable[[Registry, Lease], object]] = {
    "put": lambda registry, lease: registry.records.put(
        [record("acme", generation=9), record("zeta")], lease
    ),
    "put many": lambda registry, lease: registry.records.put([record(f"a{n}") for n in range(150)], lease),
    "forget": lambda registry, lease: registry.records.forget(["llm-acme"], lease),
    "save fleet": lambda registry, lease: registry.save_fleet(replace(FLEET, rate=9.0), lease),
    "save generation": lambda registry, lease: registry.generations.save(
        Generation(number=1, request=request(), outcome=Outcome.FAILED), lease
    ),
    "take orders": lambda registry, lease: registry.orders.take(registry.orders.all(), lease),
    "renew": lambda registry, lease: registry.renew(lease, 200, 60),
}


@pytest.mark.parametrize("write", WRITES)
def test_write_under_a_lost_lease_changes_nothing(registry: Registry, write: str) -> None:
    lease = take(registry, "stalled", now=0)
    registry.records.put([record("acme")], lease)
    registry.generations.open(request(), wanting("acme"))
    registry.orders.add([Order(kind=OrderKind.RETRY, component="llm-acme", at=1.0)])
    take(registry, "next", now=60)

    def everything() -> list[object]:
        return [registry.fleet(), registry.generations.find(1), registry.records.all(), registry.orders.all()]

    before = everything()
    with pytest.raises(LeaseLostError):
        WRITES[write](registry, lease)
    assert everything() == before


class TestRunner:
    def test_latest_execution_becomes_the_runner(self, registry: Registry) -> None:
        assert registry.become_runner("first", 1.0)
        assert registry.become_runner("second", 2.0)
        assert not registry.become_runner("first", 1.0)
        fleet = registry.fleet()
        assert fleet is not None
        assert (fleet.runner, fleet.runner_at) == ("second", 2.0)

    @pytest.mark.parametrize("order", [("a", "b"), ("b", "a")], ids="".join)
    def test_of_two_that_began_together_one_runs(self, registry: Registry, order: tuple[str, ...]) -> None:
        for execution in order:
            registry.become_runner(execution, 1.0)
        assert [registry.become_runner(execution, 1.0) for execution in ("a", "b")] == [False, True]


class TestHistory:
    def test_newest_events_come_first(self, registry: Registry) -> None:
        told = Event(component="llm-acme", name="acme", at=9.5, what="updated", generation=1)
        told = replace(told, before="a", after="b", seconds=0.5, cause="c")
        events = [replace(told, at=at) for at in (9.5, 100.25, 1_764_000_000.0)]
        registry.events.append(events[1:])
        registry.events.append(events[:1])
        assert registry.events.newest("llm-acme", 10) == events[::-1]
        assert registry.events.newest("llm-acme", 2) == events[:0:-1]


class TestOrders:
    def retry(self, name: str, at: float) -> Order:
        return Order(kind=OrderKind.RETRY, component=f"llm-{name}", at=at)

    def test_orders_are_kept_as_they_are(self, registry: Registry) -> None:
        pin = Order(
            kind=OrderKind.PIN,
            component="llm-acme",
            at=2.5,
            artifact=Artifact(uri="s3://b/old", digest="d"),
            replaces=Artifact(uri="s3://b/new"),
        )
        claim = Order(kind=OrderKind.CLAIM, component="by-hand", at=3.0, created=1_764_000_000.123)
        registry.orders.add([claim, pin, self.retry("acme", 1.0)])
        assert registry.orders.all() == [self.retry("acme", 1.0), pin, claim]

    def test_last_of_a_kind_counts_though_the_one_before_is_by_a_clock_that_is_ahead(
        self, registry: Registry
    ) -> None:
        registry.orders.add([self.retry("acme", 3600.0), self.retry("zeta", 3.0)])
        registry.orders.add([self.retry("acme", 2.0), self.retry("acme", 1.0), self.retry("new", 5.0)])
        assert registry.orders.all() == [
            self.retry("acme", 1.0),
            self.retry("zeta", 3.0),
            self.retry("new", 5.0),
        ]

    @pytest.mark.parametrize("at", [2.0, 0.5], ids=["newer", "by a clock that is behind"])
    def test_order_that_replaced_the_one_that_was_read_is_not_taken(
        self, registry: Registry, lease: Lease, at: float
    ) -> None:
        registry.orders.add([self.retry("acme", 1.0), self.retry("zeta", 1.0)])
        seen = registry.orders.all()
        registry.orders.add([self.retry("acme", at)])
        registry.orders.take(seen, lease)
        assert registry.orders.all() == [self.retry("acme", at)]


class TestTwoAtOnce:
    def test_one_delivery_makes_one_generation(self, registry: Registry) -> None:
        made = at_once(8, lambda _: registry.generations.open(request("same"), wanting("acme")))
        assert {generation.number for generation in made} == {1}
        assert registry.generations.find(2) is None

    def test_deliveries_make_one_generation_each(self, registry: Registry) -> None:
        made = at_once(8, lambda index: registry.generations.open(request(), wanting(f"a{index}")))
        assert sorted(generation.number for generation in made) == list(range(1, 9))
        assert [registry.generations.find(number).outcome for number in range(1, 9)] == [  # type: ignore[union-attr]
            *[Outcome.SUPERSEDED] * 7,
            Outcome.OPEN,
        ]
        for index, generation in enumerate(made):
            assert registry.generations.desired(generation.number) == wanting(f"a{index}")


def test_largest_routes_are_written_unless_somebody_has_changed_them(
    registry: Registry, lease: Lease
) -> None:
    artifact = Artifact(uri="s3://b/" + "k" * 1000, probe=Probe(prompt="漢" * 2000, answer="漢" * 200))
    versions = tuple(RoutedVersion(component=f"p-{number}", artifact=artifact) for number in range(6))
    stored = registry.routes.put([Route(adapter=f"a{n}", versions=versions) for n in range(60)], lease)
    assert registry.routes.read() == ({route.adapter: route for route in stored}, {}, {})
    assert registry.routes.put_by_hand(stored[0], [])
    written = registry.routes.put(stored, lease)
    assert [route.adapter for route in written] == [route.adapter for route in stored[1:]]


def test_callers_read_what_was_routed_with_its_revision(registry: Registry, lease: Lease) -> None:
    live = RoutedVersion(component="p-1", artifact=Artifact(uri="s3://b/a"))
    routes = [Route(adapter=f"a{n}", versions=(live,)) for n in range(120)]
    registry.routes.put(registry.routes.put(routes, lease), lease)
    names = [*(route.adapter for route in routes), "unknown"]
    published = registry.routes.published(names)
    assert published == {route.adapter: PublishedRoute(component="p-1", revision=2) for route in routes}


def test_order_is_not_replaced_once_somebody_has_given_another(registry: Registry, lease: Lease) -> None:
    first = Order(kind=OrderKind.PIN, component="p-a", at=1.0)
    other, second = replace(first, created=5.0), replace(first, at=2.0)
    registry.orders.add([first])
    registry.orders.replace(first, other, lease)
    assert registry.orders.all() == [other]
    registry.orders.add([second])
    registry.orders.replace(first, other, lease)
    assert registry.orders.all() == [second]

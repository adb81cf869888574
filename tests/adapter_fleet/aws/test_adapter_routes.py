"""Routes as callers follow them: the first look-up, the cache, outages and threads."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from adapter_fleet.aws.adapter_routes import CACHED_SECONDS, AdapterRoutes, place_of
from tests.adapter_fleet.fake_service import FakeClock

VECTORS = [
    ("acme", "user-1", 5),
    ("acme", "user-2", 82),
    ("acme", "user-3", 57),
    ("acme", "user-17", 77),
    ("globex", "user-17", 96),
    ("acme", "", 95),
    ("acme", "Zoë", 34),
    ("acme", "42", 48),
    ("tenant-7", "a@example.com", 72),
    ("ectsum", "0", 9),
    ("acme", "Zoe\u0308", 9),
    ("acme", "\ud800", 11),
    ("acme", "\ude00\ud83d", 43),
    ("acme", "\ud83d\ude00", 64),
    ("acme", "\U0001f600", 64),
]
"""Some of them are in docs/guides/fleets.md. JavaScript, with `createHash` of Node.js, finds the same."""

AWAY = EndpointConnectionError(endpoint_url="http://dynamodb")


class FakeTable:
    """DynamoDB with one item: what it answers, and how often it was asked."""

    def __init__(self) -> None:
        self.component: str | None = "p-acme-1"
        self.candidate: dict[str, dict[str, str]] = {}
        self.asked = 0
        self.failure: Exception | None = None
        self.around: Callable[[], object] = lambda: None

    def get_item(self, **request: Any) -> dict[str, Any]:
        assert request["Key"] == {"pk": {"S": "route#acme"}, "sk": {"S": "route"}}
        self.asked += 1
        self.around()
        if self.failure is not None:
            raise self.failure
        return (
            {} if self.component is None else {"Item": {"component": {"S": self.component}, **self.candidate}}
        )


@pytest.fixture
def table() -> FakeTable:
    return FakeTable()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def routes(table: FakeTable, clock: FakeClock) -> AdapterRoutes:
    return AdapterRoutes("registry", table, clock=clock.now)  # type: ignore[arg-type]


def test_route_is_asked_for_again_after_its_time(
    routes: AdapterRoutes, table: FakeTable, clock: FakeClock
) -> None:
    assert routes.component("acme") == "p-acme-1"
    table.component = "p-acme-2"
    clock.time += CACHED_SECONDS - 1
    assert (routes.component("acme"), table.asked) == ("p-acme-1", 1)
    clock.time += 1
    assert (routes.component("acme"), table.asked) == ("p-acme-2", 2)


def test_last_answer_counts_while_the_table_is_away(
    routes: AdapterRoutes, table: FakeTable, clock: FakeClock
) -> None:
    routes.component("acme")
    table.failure, table.component = AWAY, "p-acme-2"
    for _ in range(5):
        clock.time += CACHED_SECONDS
        assert [routes.component("acme") for _ in range(3)] == ["p-acme-1"] * 3
    assert table.asked == 6, "it is asked once each time"
    table.failure = None
    clock.time += CACHED_SECONDS
    assert routes.component("acme") == "p-acme-2"


def test_first_look_up_without_an_answer_or_a_route_is_an_error(
    routes: AdapterRoutes, table: FakeTable
) -> None:
    table.failure = ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetItem")
    with pytest.raises(ClientError, match="AccessDenied"):
        routes.component("acme")
    table.failure, table.asked, told = AWAY, 0, []

    def ask() -> None:
        with pytest.raises(TimeoutError, match="'registry' does not say who answers for adapter 'acme'"):
            routes.component("acme")
        told.append(1)

    with ThreadPoolExecutor() as others:
        table.around = lambda: wait([others.submit(ask) for _ in range(3)], 0.15)
        ask()
    table.around = lambda: None
    assert (table.asked, len(told)) == (1, 4), "who waits shares the answer, and its three seconds"
    table.failure, table.component = None, None
    with pytest.raises(LookupError, match="adapter 'acme' has no route in table 'registry'"):
        routes.component("acme")
    table.component = "p-acme-1"
    assert routes.component("acme") == "p-acme-1"


def test_other_threads_go_on_with_what_they_have_while_one_asks(
    routes: AdapterRoutes, table: FakeTable, clock: FakeClock
) -> None:
    routes.component("acme")
    clock.time += CACHED_SECONDS
    table.component = "p-acme-2"
    answers: list[str] = []
    with ThreadPoolExecutor() as others:
        table.around = lambda: answers.append(others.submit(routes.component, "acme").result(5))
        assert routes.component("acme") == "p-acme-2"
    assert answers == ["p-acme-1"]


@pytest.mark.parametrize(
    ("code", "sent"), [("ValidationError", ["p-acme-1"] * 2 + ["p-acme-2"] * 2), ("ModelError", ["p-acme-1"])]
)
def test_component_that_is_gone_is_looked_up_once_more(
    routes: AdapterRoutes, table: FakeTable, code: str, sent: list[str]
) -> None:
    asked: list[str] = []

    def send(component: str) -> str:
        asked.append(component)
        if component == "p-acme-1":
            raise ClientError({"Error": {"Code": code, "Message": "not found"}}, "InvokeEndpoint")
        return component

    routes.component("acme")
    table.component = "p-acme-2"
    if len(sent) == 1:
        with pytest.raises(ClientError):
            routes.ask("acme", send)
    else:
        with ThreadPoolExecutor() as others:
            # A thread whose component is gone waits for another one that looks.
            table.around = lambda: wait([others.submit(routes.ask, "acme", send)], 0.3)
            assert routes.ask("acme", send) == "p-acme-2"
    assert sorted(asked) == sent


@pytest.mark.parametrize(("adapter", "caller", "place"), VECTORS)
def test_place_of_a_caller_is_the_same_in_every_language(adapter: str, caller: str, place: int) -> None:
    assert place_of(adapter, caller) == place


def test_candidate_answers_the_callers_whose_place_is_below_its_share(
    routes: AdapterRoutes, table: FakeTable, clock: FakeClock
) -> None:
    callers, before = [f"user-{number}" for number in range(2000)], set[str]()
    for percent in (1, 5, 25, 99):
        table.candidate = {"candidate": {"S": "p-acme-2"}, "percent": {"N": str(percent)}}
        clock.time += CACHED_SECONDS
        chosen = {caller for caller in callers if routes.component("acme", caller) == "p-acme-2"}
        assert chosen >= before, "a caller who has got it keeps it"
        spread = 4 * (2000 * percent / 100 * (1 - percent / 100)) ** 0.5
        assert abs(len(chosen) - 20 * percent) < spread
        before = chosen
        assert routes.component("acme") == "p-acme-1"


def test_caller_of_a_candidate_that_is_gone_is_sent_to_the_version_before(
    routes: AdapterRoutes, table: FakeTable
) -> None:
    table.candidate = {"candidate": {"S": "p-acme-2"}, "percent": {"N": "99"}}
    caller = "user-1"
    assert routes.component("acme", caller) == "p-acme-2"
    table.candidate = {}

    def send(component: str) -> str:
        if component == "p-acme-2":
            raise ClientError({"Error": {"Code": "ValidationError", "Message": "gone"}}, "InvokeEndpoint")
        return component

    assert routes.ask("acme", send, caller) == "p-acme-1"

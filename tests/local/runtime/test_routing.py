from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any, cast

import pytest

from local_sagemaker.control_plane.hosting_port import Copy
from local_sagemaker.runtime.routing import pick_copy, text_of_messages

BY_PREFIX = {
    "RoutingStrategy": "PREFIX_AWARE",
    "PrefixAwareRoutingConfig": {"PrefixLength": 1024, "ConcurrencyThreshold": 2},
}


@dataclass(eq=False)
class BusyCopy:
    outstanding: int = 0


def copies(*outstanding: int) -> list[Copy]:
    return [cast(Copy, BusyCopy(number)) for number in outstanding]


def test_requests_with_one_prefix_go_to_one_copy_whatever_follows() -> None:
    three, prefix = copies(0, 0, 0), b"system prompt".ljust(1024)
    assert len({pick_copy(three, BY_PREFIX, prefix + str(n).encode()) for n in range(50)}) == 1


def test_prefixes_are_spread_over_the_copies() -> None:
    three = copies(0, 0, 0)
    counts = Counter(pick_copy(three, BY_PREFIX, f"tenant {number}".encode()) for number in range(300))
    assert all(counts[copy] > 50 for copy in three)


@pytest.mark.parametrize(
    ("chat", "text"),
    [
        ({"model": "a", "messages": [{"role": "user", "content": "Hi"}]}, "Hi"),
        (
            {
                "messages": [
                    {"role": "system", "content": "Be kind."},
                    {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url"}]},
                    {"role": "assistant", "content": None},
                    "no message",
                ]
            },
            "Be kind.Hi",
        ),
    ],
)
def test_text_of_a_chat_is_that_of_its_messages(chat: dict[str, Any], text: str) -> None:
    assert text_of_messages(json.dumps(chat).encode()) == text


@pytest.mark.parametrize("body", [b"{nope", b"[1]", b'{"messages": "none"}'])
def test_body_that_is_no_chat_is_compared_as_it_is(body: bytes) -> None:
    assert text_of_messages(body) == body


def test_prefix_of_a_chat_has_characters_and_that_of_a_body_has_bytes() -> None:
    three, shared = copies(0, 0, 0), "ä" * 1024
    assert len({pick_copy(three, BY_PREFIX, f"{shared}{number}") for number in range(50)}) == 1
    chats = [f"{shared[:600]}{number}" for number in range(50)]
    assert len({pick_copy(three, BY_PREFIX, chat) for chat in chats}) == 3
    assert len({pick_copy(three, BY_PREFIX, chat.encode()) for chat in chats}) == 1


def test_any_character_of_json_may_be_compared() -> None:
    assert pick_copy(copies(0), BY_PREFIX, "\ud800")


def test_identifier_of_an_application_tells_its_prefixes_from_those_of_others() -> None:
    three = copies(0, 0, 0)
    assert len({pick_copy(three, BY_PREFIX, b"same", str(number)) for number in range(50)}) == 3


def test_request_for_a_busy_copy_goes_to_the_least_busy_one() -> None:
    three = copies(0, 0, 0)
    chosen = pick_copy(three, BY_PREFIX, b"same")
    cast(BusyCopy, chosen).outstanding = 1
    assert pick_copy(three, BY_PREFIX, b"same") is chosen
    cast(BusyCopy, chosen).outstanding = 2
    assert pick_copy(three, BY_PREFIX, b"same") is not chosen


def test_least_outstanding_requests_decide() -> None:
    three = copies(2, 1, 3)
    assert pick_copy(three, {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}, b"") is three[1]


@pytest.mark.parametrize("routing", [{"RoutingStrategy": "RANDOM"}, {}], ids=["random", "none"])
def test_every_copy_is_chosen_at_random(routing: dict[str, Any]) -> None:
    three = copies(0, 9, 0)
    assert {pick_copy(three, routing, b"") for _ in range(200)} == set(three)

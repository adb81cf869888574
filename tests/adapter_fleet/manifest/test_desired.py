"""Smoke requests: what they ask, and the digests by which an upgrade knows them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from adapter_fleet.common.serialization import converter
from adapter_fleet.manifest.desired import SmokeRequest

STORED: dict[str, Any] = {"inputs": "Hi", "parameters": {"max_new_tokens": 16, "temperature": 0}}
"""What earlier releases stored for the prompt Hi."""


def earlier_digest(body: dict[str, Any]) -> str:
    """Return the digest that earlier releases stored for a body."""
    text = json.dumps([body, None], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "body",
    [
        STORED,
        {"inputs": "Hi", "parameters": {"max_new_tokens": 16, "temperature": 0.0}},
        {"prompt": "Hi", "max_tokens": 16, "temperature": 0},
        {"messages": []},
    ],
)
def test_body_has_the_digest_that_it_had(body: dict[str, Any]) -> None:
    assert SmokeRequest(body=body).digest == earlier_digest(body)


def test_prompt_has_the_digest_that_it_had() -> None:
    assert SmokeRequest.from_prompt("Hi").digest == earlier_digest(STORED)


def test_given_body_is_no_prompt() -> None:
    asked = SmokeRequest.from_prompt("Hi")
    assert asked.prompt is not None
    assert SmokeRequest(body=asked.body).prompt is None


@pytest.mark.parametrize("smoke", [SmokeRequest(body=STORED), SmokeRequest.from_prompt("Hi")])
def test_mark_of_a_prompt_is_stored(smoke: SmokeRequest) -> None:
    stored = converter.unstructure(smoke)
    assert converter.structure(stored, SmokeRequest) == smoke
    assert ("is_prompt" in stored) is smoke.is_prompt

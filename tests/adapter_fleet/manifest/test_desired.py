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


def test_prompt_and_body_have_the_digests_that_they_had() -> None:
    asked = SmokeRequest.from_prompt("Hi")
    assert asked.digest == earlier_digest(STORED)
    assert asked.prompt is not None
    given = SmokeRequest(body=asked.body)
    assert given.digest == earlier_digest(dict(asked.body))
    assert given.prompt is None


@pytest.mark.parametrize("smoke", [SmokeRequest(body=STORED), SmokeRequest.from_prompt("Hi")])
def test_mark_of_a_prompt_is_stored(smoke: SmokeRequest) -> None:
    stored = converter.unstructure(smoke)
    assert converter.structure(stored, SmokeRequest) == smoke
    assert ("is_prompt" in stored) is smoke.is_prompt

"""What the answer of a container says about its adapter."""

from __future__ import annotations

import pytest

from adapter_fleet.fleet.steps.smoke_requests import lacks_adapter

SENTENCE = 'Received {side} error ({status}) from {name} with message "{words}". See LOG for more.'


def problem(status: int, name: str, words: str) -> str:
    side = "client" if status < 500 else "server"
    return SENTENCE.format(side=side, status=status, name=name, words=words)


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        (problem(404, "llm-acme", "no such thing"), True),
        (problem(424, "llm-acme", "Adapter acme not found"), True),
        (problem(500, "llm-acme", "out of memory"), False),
        (problem(500, "lora-404", "the model is unknown"), False),
        (problem(500, "adapter-unknown", "out of memory"), False),
        ("no answer with status 404", True),
    ],
)
def test_container_lacks_an_adapter_by_its_own_words_alone(text: str, *, lacks: bool) -> None:
    assert lacks_adapter(text) is lacks

"""What base and adapters are asked, and how one tells who answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from verify_aws.account import RefusedError

BASE, ONE, TWO = "base", "one", "two"
"""Who may answer: the base model, or one of two adapters."""
OTHER = "another text"

_TOKENS = 12

_SENTENCES = (
    "The customer writes that the parcel was left with a neighbour who has moved away since then.",
    "On Monday morning the printer in the hallway stopped, and nobody in the office could say why it did.",
    "Please sum up in one line what was agreed on the telephone about the invoice of last month.",
    "A ship of forty metres sails from the harbour at noon and meets another one that left at nine.",
)
PROMPTS = tuple(f"{first} {second}" for first in _SENTENCES for second in _SENTENCES if first != second)[:8]
"""Each longer than a block of 16 tokens, which prefix caches keep."""
ASKED = PROMPTS[:2]
"""Those by which one tells who answers."""


def completion_body(prompt: str) -> dict[str, Any]:
    """Return OpenAI's completions body, which both containers take."""
    return {"prompt": prompt, "max_tokens": _TOKENS, "temperature": 0, "ignore_eos": True}


def chat_body(**members: Any) -> dict[str, Any]:
    """Return OpenAI's chat body."""
    messages = [{"role": "user", "content": PROMPTS[0]}]
    return {"messages": messages, "max_tokens": _TOKENS, "temperature": 0, "ignore_eos": True, **members}


def chat_text(body: Any) -> str:
    """Return the text of a chat's answer."""
    return str(body["choices"][0]["message"]["content"])


def error_label(refused: RefusedError) -> str:
    """Return an error in a few words: its code, and the container's status if it was the container's."""
    return f"error {refused.code}" + (f" {refused.original}" if refused.original else "")


def distinct(texts: Iterable[Sequence[str] | str]) -> bool:
    """Whether no two are equal."""
    seen = [tuple(text) for text in texts]
    return len(seen) == len(set(seen))

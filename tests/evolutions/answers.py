"""What each adapter of the example answers on each base model, asked of the model server alone."""

import json
import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from tests.integration.by_hand import TICKETS
from tests.local.model_server.conftest import running_server
from tests.local.model_server.tickets import ADAPTERS, KINDS, PROMPTS

PROMPT_COUNT = 2
"""How many of the example's prompts every component is asked."""

Answers = Mapping[str, tuple[str, ...]]
"""Answers to the prompts, by label."""


def prompts() -> tuple[str, ...]:
    """Return what every component is asked."""
    return tuple(entry["prompt"] for entry in PROMPTS[:PROMPT_COUNT])


@cache
def answers_on(base: Path) -> Answers:
    """Return the answers of a base model and of every adapter on it."""
    if base == TICKETS / "base":
        return {label: tuple(entry["answers"][label] for entry in PROMPTS[:PROMPT_COUNT]) for label in KINDS}
    found = {}
    with running_server(base, OPTION_ENABLE_LORA="true", OPTION_MAX_LORAS="4") as server:
        for label, directory in ADAPTERS.items():
            server.post("/adapters", params={"name": label, "src": str(directory)}).raise_for_status()
        for label in KINDS:
            headers = {} if label == "base" else {"X-Amzn-SageMaker-Adapter-Identifier": label}
            found[label] = tuple(
                server.post(
                    "/invocations", json={"prompt": prompt, "max_tokens": 60}, headers=headers
                ).json()["choices"][0]["text"]
                for prompt in prompts()
            )
    return found


def another_base(folder: Path) -> Path:
    """Write a base model of the same shape whose tokenizer writes `_` for a space.

    Its weights are those of the example's, so that no answer comes near a tie, and every answer on it
    differs from that on the other one.
    """
    base = folder / "base"
    shutil.copytree(TICKETS / "base", base)
    file = base / "tokenizer.json"
    tokenizer = json.loads(file.read_text())
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "_"}
    tokenizer["decoder"] = {"type": "Sequence", "decoders": [tokenizer["decoder"], replace]}
    file.write_text(json.dumps(tokenizer))
    return base

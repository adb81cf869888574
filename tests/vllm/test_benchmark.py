"""`adapters benchmark` on an embedded cloud with each engine: a table of figures, and no gate on times."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from tests.guides import table
from tests.integration.by_hand import TICKETS, V1, ByHand
from tests.vllm.environment import engine_command
from tests.vllm.record import BENCHMARK

pytestmark = pytest.mark.vllm

ENGINES = {
    "NumPy server of the embedded cloud": "numpy",
    "a command of the user in the embedded cloud": "vllm",
}
ADAPTERS, GPU_SLOTS, CPU_SLOTS = 12, 4, 8
SKILLS = ("triage", "summary", "shout")
TOKENS = 20


def benchmark(engine: str) -> dict[str, Any]:
    """Ask one adapter, then all; return the document of all, with the levels of both."""
    settings = {"engine_command": engine_command(os.environ["VLLM_PYTHON"])} if engine == "vllm" else {}
    slots = {"OPTION_MAX_LORAS": str(GPU_SLOTS), "OPTION_MAX_CPU_LORAS": str(CPU_SLOTS)}
    with LocalCloud(settings=settings) as cloud, ByHand(cloud, **slots) as endpoint:
        endpoint.adapters(
            {f"adapter-{number}": V1 / SKILLS[number % len(SKILLS)] for number in range(ADAPTERS)}
        )
        first = next(name for name in endpoint.components() if name != endpoint.base)
        one = measured(cloud, endpoint.endpoint, "--component", first)
        every = measured(cloud, endpoint.endpoint)
    return every | {"levels": [*one["levels"], *every["levels"]]}


def measured(cloud: LocalCloud, endpoint: str, *arguments: str) -> dict[str, Any]:
    options = {
        "endpoint": endpoint,
        "concurrency": "1,4",
        "requests": "40",
        "max-tokens": str(TOKENS),
        "dataset": str(TICKETS / "prompts.json"),
        "seconds": "200",
    }
    command = [sys.executable, "-m", "adapters_cli", "benchmark", "--json", *arguments]
    for name, value in options.items():
        command += [f"--{name}", value]
    done = subprocess.run(
        command, env=cloud.environment, capture_output=True, text=True, timeout=400, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_every_request_is_answered_with_the_same_number_of_tokens_and_figures_are_recorded(
    tables: dict[str, str],
) -> None:
    # One engine after the other.
    documents = {name: benchmark(engine) for name, engine in ENGINES.items()}
    assert [document["engine"] for document in documents.values()] == list(ENGINES)
    for document in documents.values():
        for level in document["levels"]:
            for side in (level["adapter"], level["base"]):
                lengths = side["output_sequence_length"]
                assert side["error_summary"] == []
                assert side["request_count"]["avg"] > 0
                assert (lengths["min"], lengths["max"]) == (TOKENS, TOKENS)
    rows = [row for name, document in documents.items() for row in rows_of(name, document)]
    head = ["engine", "adapters", "first token, p50", f"{TOKENS} tokens, p50", "÷ base, 95 % interval"]
    tables[BENCHMARK] = table(head, rows)
    assert len(rows) == len(ENGINES) * 4


def rows_of(engine: str, document: dict[str, Any]) -> Iterator[list[str]]:
    for level in document["levels"]:
        ratio = level["adapter_by_base"]["request_latency.p50"]
        mix = "one" if level["adapters"] == 1 else f"{level['adapters']} uniformly"
        yield [
            ENGINES[engine],
            f"{mix}, {level['concurrency']} at once",
            f"{level['adapter']['time_to_first_token']['p50']:.1f} ms",
            f"{level['adapter']['request_latency']['p50']:.1f} ms",
            f"{ratio['ratio']:.2f}, {ratio['low']:.2f} to {ratio['high']:.2f}",
        ]

"""`adapters benchmark` as a person runs it, on the embedded cloud. No time is judged: machines are busy."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import TICKETS, V1, ByHand, client

pytestmark = pytest.mark.integration

ADAPTERS = ("triage", "summary", "shout", "triage-2", "summary-2", "shout-2")
TOKENS = 4


@pytest.fixture(scope="module")
def endpoint(cloud: LocalCloud) -> Iterator[ByHand]:
    """Six adapters on one slot and two places in CPU memory."""
    with ByHand(cloud, OPTION_MAX_LORAS="1", OPTION_MAX_CPU_LORAS="2") as made:
        made.adapters({name: V1 / name.removesuffix("-2") for name in ADAPTERS})
        yield made


def benchmark(cloud: LocalCloud, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "adapters_cli", "benchmark", *arguments],
        env=cloud.environment,
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def document(cloud: LocalCloud, endpoint: ByHand) -> dict[str, Any]:
    options = [
        *("--concurrency", "1,3", "--requests", "24", "--seconds", "240"),
        *("--max-tokens", str(TOKENS), "--dataset", str(TICKETS / "prompts.json"), "--json"),
    ]
    return dict(json.loads(benchmark(cloud, "--endpoint", endpoint.endpoint, *options).stdout))


def test_report_names_the_engine_that_really_ran(
    cloud: LocalCloud, endpoint: ByHand, document: dict[str, Any]
) -> None:
    settings = cloud.admin.settings()
    served_by = "a command of the user" if settings["engine_command"] else "NumPy server of"
    assert document["engine"].startswith(served_by)
    assert document["base"] == endpoint.base
    described = client(cloud, "sagemaker").describe_inference_component(InferenceComponentName=endpoint.base)
    assert described["ResponseMetadata"]["HTTPHeaders"]["x-local-sagemaker-engine"] == document["engine"]


def test_every_request_is_answered_at_every_level_with_the_same_number_of_tokens(
    document: dict[str, Any],
) -> None:
    levels = [(level["adapters"], level["concurrency"]) for level in document["levels"]]
    assert levels == [(6, 1), (6, 3)]
    for level in document["levels"]:
        assert level["equal_output_length"] is True
        for side in (level["adapter"], level["base"]):
            assert side["error_summary"] == []
            assert side["output_sequence_length"]["min"] == TOKENS
            assert side["output_sequence_length"]["max"] == TOKENS
            assert side["input_sequence_length"]["min"] > 10
            assert 0 < side["time_to_first_token"]["min"] < side["request_latency"]["max"]


def test_ratio_of_adapters_and_base_has_an_interval(document: dict[str, Any]) -> None:
    for level in document["levels"]:
        for ratio in level["adapter_by_base"].values():
            assert 0 < ratio["low"] <= ratio["ratio"] <= ratio["high"]
        # A busy machine may hold answers up.
        assert len(level["adapter_by_base"]) == (2 if level["in_bursts"] else 3)


def test_open_loop_arrives_at_its_rate(cloud: LocalCloud, endpoint: ByHand) -> None:
    adapter = next(name for name in endpoint.components() if name != endpoint.base)
    options = ["--rate", "20", "--requests", "20", "--max-tokens", "2", "--json"]
    done = benchmark(cloud, "--endpoint", endpoint.endpoint, "-c", adapter, *options)
    [level] = json.loads(done.stdout)["levels"]
    assert level["request_rate"] == 20
    assert level["adapter"]["request_count"]["avg"] == 20
    assert level["adapter"]["send_delay"]["min"] >= 0


def test_requirement_that_cannot_be_met_ends_with_1(cloud: LocalCloud, endpoint: ByHand) -> None:
    rule = "request_latency.p50 <= base * 0.001"
    options = ["--requests", "4", "--concurrency", "1", "--require", rule]
    done = benchmark(cloud, "--endpoint", endpoint.endpoint, *options, code=1)
    assert f"{rule}: not met at 1 at once, 6 adapters: request_latency.p50 is" in done.stderr

"""`adapters benchmark` as a person runs it, on the embedded cloud. No time is judged: machines are busy."""

import json
from collections.abc import Iterator

import pytest

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import TICKETS, V1, ByHand, adapters, client

pytestmark = pytest.mark.integration

ADAPTERS = ("triage", "summary", "shout", "triage-2", "summary-2", "shout-2")
TOKENS = 4


@pytest.fixture(scope="module")
def endpoint(cloud: LocalCloud) -> Iterator[ByHand]:
    """Six adapters on one slot and two places in CPU memory."""
    with ByHand(cloud, OPTION_MAX_LORAS="1", OPTION_MAX_CPU_LORAS="2") as made:
        made.adapters({name: V1 / name.removesuffix("-2") for name in ADAPTERS})
        yield made


def test_every_request_is_answered_beside_its_base_and_the_engine_is_named(
    cloud: LocalCloud, endpoint: ByHand
) -> None:
    done = adapters(
        cloud, "benchmark", "--endpoint", endpoint.endpoint, "--yes",
        "--concurrency", "1,3", "--requests", "24", "--seconds", "240",
        "--max-tokens", str(TOKENS), "--dataset", TICKETS / "prompts.json", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    settings = cloud.admin.settings()
    served_by = "a command of the user" if settings["engine_command"] else "NumPy server of"
    assert document["engine"].startswith(served_by)
    assert document["base"] == endpoint.base
    described = client(cloud, "sagemaker").describe_inference_component(InferenceComponentName=endpoint.base)
    assert described["ResponseMetadata"]["HTTPHeaders"]["x-local-sagemaker-engine"] == document["engine"]

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
        for ratio in level["adapter_by_base"].values():
            # On a busy machine, the answers of a few rounds may differ too much for an interval.
            low, high = (ratio[end] or ratio["ratio"] for end in ("low", "high"))
            assert 0 < low <= ratio["ratio"] <= high
        # A busy machine may hold answers up.
        assert len(level["adapter_by_base"]) == (2 if level["in_bursts"] else 3)

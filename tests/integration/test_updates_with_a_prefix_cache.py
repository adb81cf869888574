"""Updates in place under load, on an engine that reuses attention by the adapter's name.

With prefix caching off, as the product's containers have it by default, no answer is ever a mixture of two
versions. `make nightly` gives 10,000 answers over 50 updates; the suite gives fewer.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import V1, V2, ByHand, changed_settings, prompts

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

FEW = (120, 3)
MANY = (10_000, 50) if os.environ.get("NIGHTLY") == "1" else FEW
CLIENTS = 8
VERSIONS: dict[str, Path] = {"summary": V1 / "summary", "summary-v2": V2 / "summary"}
EXPECTED = {
    version: {prompt["prompt"]: prompt["answers"][version] for prompt in prompts()} for version in VERSIONS
}
# No source gives the times, and these decide only how long the test takes.
QUICK = {"component_update_seconds": 0.1, "update_gap_seconds": 0.05}


def mixed_answers(cloud: LocalCloud, answers_and_updates: tuple[int, int], **environment: str) -> list[str]:
    """Update one adapter again and again while clients ask it; return the answers of neither version."""
    answers, updates = answers_and_updates
    wrong: list[str] = []
    answered = 0
    counting = threading.Lock()
    done = threading.Event()

    # A copy has the prefix cache of the moment of its start. All else that is hostile begins afterwards.
    with (
        changed_settings(cloud, prefix_cache="by_name", update_path="same"),
        ByHand(cloud, **environment) as endpoint,
    ):
        component = endpoint.adapter("updated", VERSIONS["summary"])

        def call(number: int) -> None:
            nonlocal answered
            turn = number
            while not done.is_set():
                prompt = prompts()[turn % len(prompts())]["prompt"]
                turn += 1
                try:
                    text = endpoint.ask(component, prompt)
                except ClientError as error:
                    if error.response["Error"]["Code"] == "ModelError":
                        continue  # neither version is registered
                    raise
                with counting:
                    answered += 1
                    if all(text != expected[prompt] for expected in EXPECTED.values()):
                        wrong.append(text)

        with changed_settings(cloud, profile="hostile", **QUICK), ThreadPoolExecutor(CLIENTS) as pool:
            callers = [pool.submit(call, number) for number in range(CLIENTS)]
            try:
                for update in range(updates):
                    while answered < (update + 1) * answers // (updates + 1):
                        assert not any(caller.done() for caller in callers)
                        time.sleep(0.01)
                    version = list(VERSIONS)[(update + 1) % len(VERSIONS)]
                    endpoint.update(component, VERSIONS[version])
                while answered < answers:
                    assert not any(caller.done() for caller in callers)
                    time.sleep(0.01)
            finally:
                done.set()
            for caller in callers:
                caller.result()
    return wrong


# The variables that the product's containers set by default: LMI up to 26, and the vLLM image.
@pytest.mark.parametrize(
    "variables",
    [
        {"OPTION_ENABLE_PREFIX_CACHING": "--no-enable-prefix-caching"},
        {
            "SM_VLLM_ENABLE_LORA": "true",
            "SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true",
            "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",
        },
    ],
    ids=["lmi", "vllm"],
)
def test_no_answer_mixes_two_versions_with_prefix_caching_off(
    cloud: LocalCloud, variables: dict[str, str]
) -> None:
    assert mixed_answers(cloud, MANY, **variables) == []


def test_answers_mix_two_versions_with_prefix_caching_on(cloud: LocalCloud) -> None:
    assert mixed_answers(cloud, FEW)

"""What a prefix cache brings: requests of an adapter to vLLM on this machine, with and without one.

Prompts of 440 tokens begin with the same 400, as with a system prompt, or have nothing in common. The model
has a million parameters, so reading a prompt is a small part of a request here.
"""

import os
import random
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bench.harness import Claim, publish
from multi_adapter_inference import LmiContainer, LmiVersion
from tests.local.model_server.tickets import ADAPTERS
from tests.vllm.copies import LORA, RunningCopy, at_once, running
from tests.vllm.environment import FOLDER, prepare

REQUESTS, AT_ONCE, SHARED, OWN = 200, 4, 400, 40
GOALS = {True: ("one beginning", 1.0), False: ("nothing in common", 1.15)}


def measure(copy: RunningCopy, *, shared: bool) -> float:
    draw = random.Random(time.time())
    tokens = [[draw.randrange(10, 1_000) for _ in range(SHARED + OWN)] for _ in range(REQUESTS)]

    def ask(prompt: list[int]) -> float:
        began = time.perf_counter()
        copy.invoke("acme", {"prompt": prompt, "max_tokens": 8, "ignore_eos": True}).raise_for_status()
        return time.perf_counter() - began

    prompts = [tokens[0][:SHARED] + prompt[SHARED:] for prompt in tokens] if shared else tokens
    return float(median(at_once(AT_ONCE, ask, prompts)))


def main() -> int:
    os.environ["VLLM_PYTHON"] = str(prepare(FOLDER))
    seconds = {}
    for caching in (False, True):
        container = LmiContainer(version=LmiVersion.V28, prefix_caching=caching)
        environment = container._environment_for(LORA, None)
        with tempfile.TemporaryDirectory() as folder, running("vllm", Path(folder), environment) as copy:
            copy.register("acme", ADAPTERS["summary"])
            seconds[caching] = {shared: measure(copy, shared=shared) for shared in GOALS}
    text = "median s of a request (other: no cache)"
    claims = [
        Claim.at_most(most, f"{case}: {text}", ours=seconds[True][shared], other=seconds[False][shared])
        for shared, (case, most) in GOALS.items()
    ]
    return publish("prefix_caching", claims)


if __name__ == "__main__":
    sys.exit(main())

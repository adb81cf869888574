"""What an adapter costs on the embedded engines: beside the base at equal tokens, and by its tier of memory.

One model server runs as the embedded cloud starts it. Base and adapter are asked in turn, so that both meet
the same machine. An adapter is in its tier because of what was asked before, and the server confirms it.

Then `adapters benchmark` measures what a caller of the embedded cloud sees, with up to 300 adapters and four
slots: on the NumPy server, and on vLLM where `python -m tests.vllm.environment` has installed it.
"""

import contextlib
import http.client
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file also runs by its path

from bench.cloud import PREFIX, ROOT, Account, endpoint_in, synthesize  # isort: skip - before the CDK

from bench.harness import Claim, publish
from local_sagemaker.server import LocalCloud
from tests.vllm.environment import engine_command

TICKETS = Path(__file__).parents[1] / "examples" / "tickets"
HEADER = "X-Amzn-SageMaker-Adapter-Identifier"
TOKENS = 20
NAMES = {"gpu": "in a GPU slot (warm)", "cpu": "in CPU memory", "disk": "on disk (cold)"}
ROUNDS = 200
WARM_UP = 5
TIER_ROUNDS = 60
GPU_SLOTS, CPU_SLOTS = 2, 4
# How many adapters are asked in a row, so that the first of them is in a tier afterwards.
ADAPTERS = {"gpu": GPU_SLOTS, "cpu": GPU_SLOTS + 1, "disk": CPU_SLOTS + 1}
AIM = 1.15

VLLM_PYTHON = Path(os.environ.get("VLLM_PYTHON", ROOT / ".venv-vllm" / "bin" / "python"))


@dataclass(frozen=True, kw_only=True)
class Load:
    """What `adapters benchmark` is asked on one engine.

    aim:
        The most that a warm adapter may take of the base's time.
    """

    engine: str
    settings: Mapping[str, Any]
    counts: tuple[int, ...]
    requests: int
    aim: float


NUMPY = Load(engine="NumPy", settings={}, counts=(1, 4, 16, 64, 300), requests=200, aim=1.15)
# A request takes ten times as long. The LoRA layers of vLLM's build for CPUs are not optimized.
VLLM = Load(
    engine="vLLM CPU",
    settings={"engine_command": engine_command(str(VLLM_PYTHON))},
    counts=(1, 16, 300),
    requests=40,
    aim=2.5,
)
LOOPS = (1, 8)


class Server:
    """A running model server, on one connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._prompts = [entry["prompt"] for entry in json.loads((TICKETS / "prompts.json").read_text())]

    def call(self, method: str, path: str, body: object = None, adapter: str | None = None) -> Any:
        headers = {"Content-Type": "application/json"} | ({} if adapter is None else {HEADER: adapter})
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content
        return json.loads(content or b"null")

    def seconds(self, adapter: str | None, number: int, tokens: int) -> float:
        """How long one request takes; its number chooses the prompt."""
        prompt = self._prompts[number % len(self._prompts)]
        body = {"prompt": prompt, "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
        started = time.perf_counter()
        answer = self.call("POST", "/invocations", body, adapter)
        taken = time.perf_counter() - started
        assert answer["usage"]["completion_tokens"] == tokens
        return taken

    def tier(self, adapter: str) -> str:
        return str(self.call("GET", f"/adapters/{adapter}")["tier"])


@contextlib.contextmanager
def serving() -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    variables = {
        "OPTION_ENABLE_LORA": "true",
        "OPTION_MAX_LORA_RANK": "8",
        "OPTION_MAX_LORAS": str(GPU_SLOTS),
        "OPTION_MAX_CPU_LORAS": str(CPU_SLOTS),
    }
    command = [sys.executable, "-m", "local_sagemaker.model_server", "--port", str(port)]
    process = subprocess.Popen([*command, "--model-dir", str(TICKETS / "base")], env=os.environ | variables)
    try:
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            assert process.poll() is None, "the server ended"
            time.sleep(0.02)
        server = Server(port)
        for number in range(max(ADAPTERS.values())):
            query = f"name=adapter-{number}&src={TICKETS / 'adapters' / 'triage'}"
            server.call("POST", f"/adapters?{query}")
        yield server
    finally:
        process.terminate()
        process.wait()


def beside_the_base(server: Server) -> tuple[float, float]:
    """Median seconds of a request to an adapter in a GPU slot, and of one to the base."""
    taken: dict[str | None, list[float]] = {None: [], "adapter-0": []}
    for number in range(ROUNDS + WARM_UP):
        # Both are first in every other round, and both are asked every prompt.
        for target in list(taken) if number % 2 else reversed(list(taken)):
            seconds = server.seconds(target, number, TOKENS)
            if number >= WARM_UP:
                taken[target].append(seconds)
    return statistics.median(taken["adapter-0"]), statistics.median(taken[None])


def by_tier(server: Server, tokens: int) -> dict[str, float]:
    """Median seconds of a request to an adapter in each tier, in turn."""
    taken: dict[str, list[float]] = {tier: [] for tier in ADAPTERS}
    for number in range(TIER_ROUNDS):
        for tier, times in taken.items():
            # The first one asked is the least recently used of so many.
            for adapter in range(ADAPTERS[tier]):
                server.seconds(f"adapter-{adapter}", number, 1)
            assert server.tier("adapter-0") == tier
            times.append(server.seconds("adapter-0", number, tokens))
    return {tier: statistics.median(times) for tier, times in taken.items()}


def benchmark(load: Load) -> dict[str, Any]:
    """Run `adapters benchmark` on an embedded cloud with as many adapters, and return its document."""
    quick = {"component_create_seconds": 0.0}
    with LocalCloud(settings={**load.settings, **quick}) as cloud, tempfile.TemporaryDirectory() as folder:
        account = Account(cloud)
        account.deploy(synthesize(endpoint_in))
        (base,) = account.components()
        endpoint = account.sagemaker.describe_inference_component(InferenceComponentName=base)["EndpointName"]

        def create(number: int) -> None:
            artifact = account.adapters[number % len(account.adapters)]
            account.sagemaker.create_inference_component(
                InferenceComponentName=f"{PREFIX}-{number:03}",
                EndpointName=endpoint,
                Specification={
                    "BaseInferenceComponentName": base,
                    "Container": {"ArtifactUrl": artifact.uri},
                },
            )

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(create, range(max(load.counts))))
        while set(account.components().values()) != {"InService"}:
            time.sleep(0.2)
        options = {
            "adapters": ",".join(map(str, load.counts)),
            "concurrency": ",".join(map(str, LOOPS)),
            "requests": load.requests,
            "output-tokens": TOKENS,
            "prompts": TICKETS / "prompts.json",
            "seconds": 900,
            "output": folder,
        }
        command = [sys.executable, "-m", "adapters_cli", "benchmark", endpoint]
        for name, value in options.items():
            command += [f"--{name}", str(value)]
        subprocess.run(command, env=cloud.environment, check=True, stdout=subprocess.DEVNULL)
        document: dict[str, Any] = json.loads(Path(folder, "benchmark.json").read_text())
        return document


def claims_of(load: Load, document: Mapping[str, Any]) -> Iterator[Claim]:
    """What an adapter in a slot costs a caller, beside the base."""
    warm = document["levels"][0]
    yield Claim.at_most(
        load.aim,
        f"adapters benchmark, {load.engine}, {TOKENS} tokens: a warm adapter, times the base in each round",
        ours=warm["adapter_by_base"]["request_latency.p50"]["ratio"],
        other=1.0,
    )


def figures_of(load: Load, document: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """The figures over load and adapters."""
    for level in document["levels"]:
        ratio = level["adapter_by_base"]["request_latency.p50"]
        adapter = level["adapter"]
        yield {
            "adapter": f"{load.engine}, {level['concurrency']} at once, mix of {level['adapters']}",
            "first token, ms": f"{adapter['time_to_first_token']['p50']:.2f}",
            f"{TOKENS} tokens, ms": f"{adapter['request_latency']['p50']:.2f}",
            "÷ base": f"{ratio['ratio']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})",
        }


def main() -> int:
    with serving() as server:
        adapter, base = beside_the_base(server)
        first, whole = by_tier(server, 1), by_tier(server, TOKENS)
    claims = [
        Claim.at_most(
            AIM, f"{TOKENS} tokens, ms: an adapter (other: the base)", ours=1e3 * adapter, other=1e3 * base
        ),
        Claim.at_most(
            3,
            "first token, ms: an adapter on disk (other: one in a GPU slot)",
            ours=1e3 * first["disk"],
            other=1e3 * first["gpu"],
        ),
    ]
    figures = [
        {
            "adapter": f"the server alone, {NAMES[tier]}",
            "first token, ms": f"{1e3 * first[tier]:.2f}",
            f"{TOKENS} tokens, ms": f"{1e3 * whole[tier]:.2f}",
            "÷ base": "",
        }
        for tier in ADAPTERS
    ]
    for load in (NUMPY, VLLM) if VLLM_PYTHON.exists() else (NUMPY,):
        document = benchmark(load)
        claims += claims_of(load, document)
        figures += figures_of(load, document)
    return publish("serving", claims, figures=figures)


if __name__ == "__main__":
    sys.exit(main())

"""Copies of the tickets' base model, each a server that the embedded cloud's own code starts and stops."""

import asyncio
import itertools
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

from local_sagemaker.container_protocol import ADAPTER_HEADER
from local_sagemaker.process_groups import ProcessGroups
from local_sagemaker.runtime.containers import ContainerProcess
from local_sagemaker.settings import NUMPY_SERVER
from multi_adapter_inference import LoraServing
from tests.local.model_server.tickets import BASE
from tests.vllm.environment import engine_command

LORA = LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8)
"""What a container is declared to hold."""

_START_SECONDS = 600.0
_numbers = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class RunningCopy:
    """A server that has passed its pings, and a client of its port."""

    process: ContainerProcess
    loop: asyncio.Runner
    http: httpx.Client

    def register(self, name: str, directory: Path) -> None:
        self.loop.run(self.process.register(name, directory))

    def unregister(self, name: str) -> None:
        self.loop.run(self.process.unregister(name))

    def invoke(self, label: str, body: Mapping[str, Any]) -> httpx.Response:
        """Return the answer of the base or an adapter."""
        headers = {} if label == "base" else {ADAPTER_HEADER: label}
        return self.http.post("/invocations", json=body, headers=headers)

    def complete(self, label: str, prompt: str, max_tokens: int = 60) -> str:
        """Return the text that follows a prompt."""
        answer = self.invoke(label, {"prompt": prompt, "max_tokens": max_tokens, "temperature": 0})
        answer.raise_for_status()
        return str(answer.json()["choices"][0]["text"])

    def chat(self, label: str, message: str) -> str:
        """Return the answer to a message of a user."""
        messages = [{"role": "user", "content": message}]
        answer = self.invoke(label, {"messages": messages, "max_tokens": 60, "temperature": 0})
        answer.raise_for_status()
        return str(answer.json()["choices"][0]["message"]["content"])


@contextmanager
def running(
    engine: Literal["numpy", "vllm"], folder: Path, environment: Mapping[str, str], *, dialect: str = "lmi"
) -> Iterator[RunningCopy]:
    """Run a copy as the embedded cloud does."""
    command = engine_command(os.environ["VLLM_PYTHON"]) if engine == "vllm" else NUMPY_SERVER
    log = folder / f"{engine}-{next(_numbers)}.log"
    with asyncio.Runner() as loop:
        process = loop.run(
            ContainerProcess.start(
                command,
                BASE,
                environment,
                log,
                _START_SECONDS,
                groups=ProcessGroups(folder),
                dialect=dialect,
                prefix_cache="off",
                slot_eviction="idle",
                load_from_cpu_seconds="0",
                load_from_disk_seconds="0",
            )
        )
        try:
            with httpx.Client(base_url=process._client.base_url, timeout=300, trust_env=False) as http:
                yield RunningCopy(process=process, loop=loop, http=http)
        finally:
            loop.run(process.stop(drain=False))


def at_once(number: int, work: Any, items: list[Any]) -> list[Any]:
    """Return the results of as many calls at once."""
    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(work, items))

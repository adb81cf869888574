"""The committed tickets model, and servers that run it."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.local.model_server.tickets import ADAPTERS, BASE

STARTUP_SECONDS = 60


@contextlib.contextmanager
def running_server(directory: Path, *arguments: str, **environment: str) -> Iterator[httpx.Client]:
    """Run the model server as the embedded cloud does; yields a client of it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "local_sagemaker.model_server"]
    process = subprocess.Popen(
        [*command, "--model-dir", str(directory), "--port", str(port), *arguments],
        env=os.environ | environment,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            deadline = time.monotonic() + STARTUP_SECONDS
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if client.get("/ping").status_code == 200:
                        break
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not answer"
                time.sleep(0.02)
            yield client
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="session")
def tickets_server() -> Iterator[httpx.Client]:
    """Run one server of the tickets model with every adapter, for tests that leave it as it is."""
    with running_server(BASE, OPTION_ENABLE_LORA="true", OPTION_MAX_LORAS="4") as client:
        for name, directory in ADAPTERS.items():
            client.post("/adapters", params={"name": name, "src": str(directory)}).raise_for_status()
        yield client

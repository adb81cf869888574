"""LiteLLM's real proxy, set up with the blocks of docs/how-to/gateway.md as they stand there."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import urllib3

from tests.clients.environments import ROOT, Environment
from tests.docs.blocks import Fate, read
from tests.integration.by_hand import until

_BLOCKS = read(ROOT / "docs/how-to/gateway.md").blocks
KEYS, START, CONFIG = (
    next(block.text for block in _BLOCKS if block.language == language and block.fate is not Fate.CHECKED)
    for language in ("python", "sh", "yaml")
)
"""The guide's `keys.py`, the commands that start the proxy, and `config.yaml`."""


@contextmanager
def proxy(folder: Path, commands: str, variables: Mapping[str, str], port: int) -> Iterator[str]:
    """Run commands whose last one is the proxy, in a folder with `keys.py`, and yield its address."""
    environment = Environment("litellm-proxy")
    environment.install()
    programs = (Path(sys.executable).parent, environment.python.parent, os.environ["PATH"])
    with (folder / "proxy.log").open("w") as log:
        process = subprocess.Popen(
            ["bash", "-e", "-c", commands],
            env={
                **variables,
                "PATH": os.pathsep.join(map(str, programs)),
                "HOME": str(folder),
                "PYTHONPATH": os.pathsep.join(str(ROOT / room) for room in ("lambda", "cli")),
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "NO_PROXY": "127.0.0.1",
            },
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            until(lambda: _answers(url, process), "the proxy answers", seconds=180)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)


def _answers(url: str, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "the proxy has ended"
    try:
        return urllib3.request("GET", f"{url}/health/liveliness", retries=False).status == 200
    except urllib3.exceptions.HTTPError:
        return False

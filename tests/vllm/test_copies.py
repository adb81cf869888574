"""A copy on vLLM is ready when it says so, and leaves no process behind."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.local.processes import needs_proc
from tests.vllm.copies import RunningCopy, running

pytestmark = pytest.mark.vllm

WARM_SECONDS = 5.0
"""Half of what the first request with log probabilities takes if anything has to be compiled for it."""


@pytest.fixture
def copy(folder: Path, default_environment: dict[str, str]) -> Iterator[RunningCopy]:
    with running("vllm", folder, default_environment) as started:
        yield started


def members(group: int) -> list[str]:
    """The names of the running processes of a group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state = (folder / "stat").read_text().rpartition(") ")[2].split()
            if int(state[2]) == group and state[0] != "Z":
                found.append((folder / "comm").read_text().strip())
        except OSError:
            continue
    return found


@needs_proc
@pytest.mark.parametrize("then", ["the copy is stopped", "the copy ends by itself"])
def test_killed_server_leaves_no_process(copy: RunningCopy, then: str) -> None:
    leader = copy.process._process.pid
    # It is warm from the first ping on.
    started = time.monotonic()
    body = {"prompt": "Hello", "max_tokens": 4, "temperature": 0, "logprobs": 2}
    assert len(copy.invoke("base", body).json()["choices"][0]["logprobs"]["token_logprobs"]) == 4
    assert time.monotonic() - started < WARM_SECONDS
    assert len(members(leader)) >= 3

    os.kill(leader, signal.SIGKILL)
    copy.loop.run(copy.process.stop(drain=False) if then == "the copy is stopped" else copy.process.ended())

    assert members(leader) == []
    with pytest.raises(httpx.TransportError):
        copy.http.get("/ping")


CHECK = """
from vllm.lora.ops.torch_ops import lora_ops
from tests.vllm.engine import base_rows
assert not base_rows.leaves_base_rows_alone(lora_ops.bgmv_shrink, lora_ops.sgmv_shrink), "not needed"
{change}
base_rows.register()
print(base_rows.leaves_base_rows_alone(lora_ops.bgmv_shrink, lora_ops.sgmv_shrink))
"""


def register(change: str, plugins: str) -> subprocess.CompletedProcess[str]:
    """Register the plugin in vLLM's environment after a change of vLLM."""
    return subprocess.run(
        [os.environ["VLLM_PYTHON"], "-c", CHECK.format(change=change)],
        env=os.environ | {"VLLM_PLUGINS": plugins},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("plugins", "corrected"),
    [("local_sagemaker_base_rows", True), ("", False)],
    ids=["started by the cloud", "started by others"],
)
def test_plugin_corrects_the_rows_of_the_base(plugins: str, corrected: bool) -> None:
    assert register("", plugins).stdout == f"{corrected}\n"


@pytest.mark.parametrize(
    "change",
    ["del lora_ops.bgmv_shrink", "lora_ops.sgmv_shrink.__globals__['bgmv_shrink'] = lambda *_: None"],
)
def test_vllm_that_the_plugin_does_not_correct_does_not_start(change: str) -> None:
    said = register(change, "local_sagemaker_base_rows")
    assert said.returncode == 1
    assert "RuntimeError: vLLM should " in said.stderr

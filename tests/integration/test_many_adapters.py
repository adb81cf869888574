"""Many adapters on one endpoint under load, in both dialects: each answers as itself, and memory is bounded.

`make nightly` runs 300 adapters for a minute each; the suite runs fewer for seconds.
"""

import itertools
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import ByHand, changed_settings, processes_of
from tests.integration.distinct_adapters import PROMPT, TOKENS, distinct_adapters
from tests.nightly import NIGHTLY, long

logger = logging.getLogger(__name__)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="processes are looked up in /proc"),
]

ADAPTERS, SECONDS = (300, 60.0) if NIGHTLY else (40, 2.5)
CLIENTS = 16
GPU_SLOTS, CPU_SLOTS = 8, 16


def resident_bytes(process: int) -> int:
    """Return how much memory a process has."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    return distinct_adapters(ADAPTERS, tmp_path_factory.mktemp("many"))


@pytest.mark.parametrize(
    ("dialect", "prefix"), [("lmi", "OPTION"), pytest.param("vllm", "SM_VLLM", marks=long)]
)
def test_each_of_many_adapters_answers_as_itself_and_memory_follows_the_tiers(
    cloud: LocalCloud, made: dict[str, tuple[Path, str]], dialect: str, prefix: str
) -> None:
    quick = {"component_create_seconds": 0, "component_delete_seconds": 0}
    limits = {
        f"{prefix}_ENABLE_LORA": "true",
        f"{prefix}_MAX_LORAS": str(GPU_SLOTS),
        f"{prefix}_MAX_CPU_LORAS": str(CPU_SLOTS),
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",  # LMI needs no such variable, and takes it
    }
    served = dict.fromkeys(made, 0)
    wrong: list[str] = []

    engines = partial(processes_of, cloud, "cmdline", "local_sagemaker.model_server")
    others = engines()
    with changed_settings(cloud, dialect=dialect, **quick), ByHand(cloud, **limits) as endpoint:
        (engine,) = engines() - others
        endpoint.ask(endpoint.base, PROMPT)
        before = resident_bytes(engine)
        names = endpoint.adapters({name: directory for name, (directory, _) in made.items()})
        end = time.monotonic() + SECONDS

        def call(seed: int) -> None:
            order = list(made)
            random.Random(seed).shuffle(order)
            for name in itertools.cycle(order):
                # A slow machine takes longer until each adapter has answered.
                if time.monotonic() > end and all(served.values()):
                    return
                got = endpoint.ask(names[name], PROMPT, tokens=TOKENS)
                served[name] += 1
                if got != made[name][1]:
                    wrong.append(f"{name}: {got!r} instead of {made[name][1]!r}")

        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(call, range(CLIENTS)))
        growth = resident_bytes(engine) - before

    total = sum(served.values())
    logger.info("%s: %d answers of %d adapters, %.1f MiB more", dialect, total, len(made), growth / 2**20)
    assert wrong == []
    assert min(served.values()) >= 1
    # The tiers hold the archives' tensors, and the weights of the GPU slots beside them. The batch's keys and
    # values, and memory that NumPy does not give back, come to some 32 MiB.
    each = max((directory / "adapter_model.safetensors").stat().st_size for directory, _ in made.values())
    assert growth <= (CPU_SLOTS + 2 * GPU_SLOTS) * each + 32 * 2**20

"""How settings reach a copy, and which copy is asked."""

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from local_sagemaker.control_plane.ports import Copy
from local_sagemaker.errors import HostingError
from local_sagemaker.process_groups import ProcessGroups
from local_sagemaker.runtime.artifacts import Artifacts
from local_sagemaker.runtime.containers import ContainerProcess
from local_sagemaker.runtime.hosting import LocalHosting
from local_sagemaker.runtime.invocations import pick_copy
from local_sagemaker.settings import CurrentSettings, Settings
from tests.fakes import FakeS3
from tests.local.engine import COMMAND


async def start(root: Path, environment: dict[str, str], **settings: Any) -> ContainerProcess:
    (root / "model.txt").write_text("a model")
    options = ["dialect", "prefix_cache", "slot_eviction", "load_from_cpu_seconds", "load_from_disk_seconds"]
    command = " ".join([COMMAND, *(f"{{{name}}}" for name in options)])
    current = CurrentSettings(Settings(engine_command=command, **settings))
    nothing: Any = None  # nothing is fetched
    hosting = LocalHosting(root, nothing, current, ProcessGroups(root))
    return await hosting.start_copy(root, environment, 30)


async def said(copy: ContainerProcess, adapter: str | None = None) -> dict[str, Any]:
    async with copy.post("/invocations", adapter, {}, b"{}") as response:
        content: dict[str, Any] = json.loads(await response.aread())
        return content


def test_copy_gets_what_the_settings_say_and_keeps_the_name_of_its_engine(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"prefix_cache": "by_path", "slot_eviction": "running"}
    settings |= {"load_from_cpu_seconds": 0.01, "load_from_disk_seconds": 0.05}

    async def scenario() -> Any:
        copy = await start(tmp_path, {"SM_VLLM_ENABLE_LORA": "true"}, **settings)
        answer = await said(copy)
        await copy.stop()
        return copy.engine, answer["options"]

    engine = "a command of the user in the embedded cloud"
    assert asyncio.run(scenario()) == (engine, ["vllm", "by_path", "running", "0.01", "0.05"])
    assert Settings().engine_name == "NumPy server of the embedded cloud"


@pytest.mark.parametrize(("update_path", "kept"), [("new", False), ("same", True)])
def test_update_under_the_old_name_keeps_the_path_only_where_the_setting_says_so(
    tmp_path: Path, update_path: str, kept: bool
) -> None:
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "adapter.txt").write_text(version)

    async def scenario() -> list[dict[str, Any]]:
        copy = await start(tmp_path, {}, update_path=update_path)
        await copy.register("one", tmp_path / "1")
        await copy.register("other", tmp_path / "1")
        first, other = await said(copy, "one"), await said(copy, "other")
        await copy.unregister("one")
        await copy.register("one", tmp_path / "2")
        second = await said(copy, "one")
        await copy.stop()
        return [first, other, second]

    first, other, second = asyncio.run(scenario())
    assert (first["adapter"], second["adapter"]) == ("1", "2")
    assert (first["source"] == second["source"]) is kept
    assert (first["source"] != other["source"]) is kept


@pytest.mark.parametrize("outcome", ["fetched", "refused"])
def test_adapter_at_a_prefix_is_fetched_or_refused(tmp_path: Path, outcome: Any) -> None:
    s3: Any = FakeS3("b")
    s3.put("b", "one/adapter_config.json", b"{}")
    current = CurrentSettings(Settings(adapter_at_prefix=outcome))
    hosting = LocalHosting(tmp_path, Artifacts(lambda _: s3), current, ProcessGroups(tmp_path))
    if outcome == "fetched":
        folder = asyncio.run(hosting.fetch_adapter("s3://b/one/", "role"))
        assert (folder / "adapter_config.json").read_bytes() == b"{}"
    else:
        with pytest.raises(HostingError, match="Could not access model data at s3://b/one/"):
            asyncio.run(hosting.fetch_adapter("s3://b/one/", "role"))


@dataclass(eq=False)
class BusyCopy:
    outstanding: int = 0


def copies(*outstanding: int) -> list[Copy]:
    return [cast(Copy, BusyCopy(number)) for number in outstanding]


def test_least_outstanding_requests_decide() -> None:
    three = copies(2, 1, 3)
    assert pick_copy(three, {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}) is three[1]


@pytest.mark.parametrize("routing", [{"RoutingStrategy": "RANDOM"}, {}], ids=["random", "none"])
def test_every_copy_is_chosen_at_random(routing: dict[str, Any]) -> None:
    three = copies(0, 9, 0)
    assert {pick_copy(three, routing) for _ in range(200)} == set(three)

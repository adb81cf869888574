"""An engine that swaps adapters in flight (vllm #47724) while others are added: probes notice it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import LoraServing
from tests.integration.by_hand import (
    adapters,
    changed_settings,
    create_adapter,
    delete_component,
    prompts,
    repeated,
    until,
    wait_for_service,
)
from tests.integration.fleet_stack import Fleet, FleetStack, components

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.usefixtures("short_waits")]

QUICK = {"component_create_seconds": 0.0, "component_delete_seconds": 0.0}


def add_another(stack: FleetStack, outputs: Mapping[str, str]) -> None:
    """Add an adapter by hand and remove it."""
    name = f"{stack.prefix}-other"
    endpoint, base = outputs["EndpointName"], outputs["BaseComponentName"]
    create_adapter(stack.cloud, name, stack.archives.uri("shout"), endpoint=endpoint, base=base)
    wait_for_service(stack.cloud, name)
    delete_component(stack.cloud, name)
    until(lambda: name not in components(stack.cloud, endpoint), f"{name} is gone", every=0.02)


def test_probe_notices_an_engine_that_swaps_adapters_in_flight(cloud: LocalCloud, tmp_path: Path) -> None:
    stack = FleetStack(cloud, tmp_path)
    stack.lora = LoraServing(max_loras=1, max_cpu_loras=8, max_lora_rank=8)
    prompt = prompts()[0]
    document: dict[str, Any] = json.loads(stack.archives.manifest({"acme": "summary"}, local=True))
    probe = {"prompt": prompt["prompt"], "answer": prompt["answers"]["summary"]}
    document["adapters"][0]["probe"] = probe

    def probed() -> int:
        return adapters(cloud, "probe", "--stack", stack.name).exit_code

    with changed_settings(cloud, slot_eviction="running", **QUICK):
        created = stack.create({"Tenants": Fleet(document=json.dumps(document))}).succeeded()
        assert [probed() for _ in range(5)] == [0] * 5
        with repeated(lambda: add_another(stack, created.outputs)):
            until(lambda: probed() == 1, "a probe has a wrong answer", seconds=120)
        assert probed() == 0
    stack.delete().succeeded()

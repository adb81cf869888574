"""What the embedded engine does with the variables that the library gives a container."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.vllm import VllmVersion
from tests.local.model_server.conftest import running_server
from tests.local.model_server.test_prefix_cache import texts_after_an_update
from tests.local.model_server.tickets import BASE

LORA = LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8)


@pytest.mark.parametrize(
    ("version", "prefix_caching"),
    [(LmiVersion.V19, False), (LmiVersion.V28, False), (VllmVersion.V2_6, True)],
)
def test_updated_adapter_answers_as_itself_unless_prefix_caching_is_on(
    tmp_path: Path, version: LmiVersion | VllmVersion, prefix_caching: bool
) -> None:
    dialect = "lmi" if isinstance(version, LmiVersion) else "vllm"
    variables = version.environment(LORA, prefix_caching=prefix_caching)
    with running_server(BASE, "--dialect", dialect, "--prefix-cache", "by_name", **variables) as client:
        got, right = texts_after_an_update(client, tmp_path / "adapter", same_path=False)
    assert (got == right) is not prefix_caching

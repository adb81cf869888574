"""AWS's vLLM container for SageMaker."""

from __future__ import annotations

from dataclasses import dataclass

from adapter_fleet.serving.container_releases import VllmVersion
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.models.container import IContainer


@checked
@dataclass(frozen=True, kw_only=True)
class VllmContainer(IContainer):
    """AWS's vLLM container for SageMaker (`vllm:server-sagemaker-cuda-…`), or an image built on it.

    It takes OpenAI's request bodies only, and serves the endpoint's OpenAI path. vLLM uses one accelerator of
    a copy unless `SM_VLLM_TENSOR_PARALLEL_SIZE` says otherwise.

    `LmiContainer` explains the other arguments.

    environment:
        More settings: `SM_VLLM_MAX_MODEL_LEN` is vLLM's `--max-model-len`. A setting of the library is an
        error.

    Example::

        VllmContainer(version=VllmVersion.V2_6, environment={"SM_VLLM_MAX_MODEL_LEN": "4096"})
    """

    registry_mapping_id = "VllmRegistryAccounts"

    version: VllmVersion

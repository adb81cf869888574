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

    version:
        The release. It decides how adapters are served, also for an image of your own.
    environment:
        More settings: `SM_VLLM_MAX_MODEL_LEN` is vLLM's `--max-model-len`. A setting of the library is an
        error. Default: none.
    prefix_caching:
        Whether the engine keeps what it computed of a prompt's beginning for the next request. If it does, an
        adapter that is updated in place may answer with what its previous version left. Default: False.
    repository:
        The ECR repository of an image of your own, built on that release. Default: AWS's image.
    tag:
        The tag in `repository`. Default: the release's tag.

    Example::

        VllmContainer(version=VllmVersion.V2_6, environment={"SM_VLLM_MAX_MODEL_LEN": "4096"})
    """

    registry_mapping_id = "VllmRegistryAccounts"

    version: VllmVersion

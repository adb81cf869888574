"""AWS's Large Model Inference container."""

from __future__ import annotations

from dataclasses import dataclass

from adapter_fleet.serving.container_releases import LmiVersion
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.models.container import IContainer


@checked
@dataclass(frozen=True, kw_only=True)
class LmiContainer(IContainer):
    """AWS's Large Model Inference container (djl-inference), or an image built on it.

    version:
        The release. It decides how adapters are served, also for an image of your own.
    environment:
        More settings (`OPTION_MAX_MODEL_LEN`, …). A setting of the library is an error. Default: none.
    prefix_caching:
        Whether the engine keeps what it computed of a prompt's beginning for the next request. If it does, an
        adapter that is updated in place may answer with text of its previous version.
    repository:
        The ECR repository of an image of your own, built on that release. Default: AWS's image.
    tag:
        The tag in `repository`. Default: the release's tag.

    Example::

        LmiContainer(version=LmiVersion.V19, environment={"OPTION_MAX_MODEL_LEN": "4096"})
    """

    registry_mapping_id = "LmiRegistryAccounts"

    version: LmiVersion

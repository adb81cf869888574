"""The options of a base model, which several constructs and methods take."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, TypedDict

from multi_adapter_inference.arguments.options import Default
from multi_adapter_inference.models.artifact_source import ArtifactSource
from multi_adapter_inference.models.compute import StartupTimeouts


class PlacementStrategy(StrEnum):
    """On which instances of an Availability Zone SageMaker places the copies of a base model.

    It also balances them over the zones, as far as there is room.

    Example::

        strategy = PlacementStrategy.BINPACK  # `placement_strategy` of a base model
    """

    SPREAD = "SPREAD"
    """On as many as possible, so that an instance that fails takes few copies down."""
    BINPACK = "BINPACK"
    """On as few as possible, so that instances without copies end."""


class CommonBaseModelOptions(TypedDict, total=False):
    """The options that `MultiAdapterEndpoint` and `BaseComponent` have in common.

    Example::

        options: CommonBaseModelOptions = {"copy_count": 2, "data_caching": True}
    """

    copy_count: Annotated[int, Default(1)]
    startup: StartupTimeouts | None
    data_caching: bool | None
    placement_strategy: PlacementStrategy | None
    network_isolation: bool | None
    artifact_sources: Annotated[Sequence[ArtifactSource], Default(())]
    component_prefix: str | None


class BaseModelOptions(CommonBaseModelOptions, total=False):
    """The options of a base model other than what it is and takes; see `BaseComponent`.

    Example::

        options: BaseModelOptions = {"copy_count": 2, "placement_strategy": PlacementStrategy.BINPACK}
    """

    component_name: str | None

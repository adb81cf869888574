"""What every container that serves a base model with its adapters has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from constructs import Construct, IConstruct

from adapter_fleet.serving.container_release import ContainerRelease
from adapter_fleet.serving.engine_settings import EngineSettings
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.routing import RoutingStrategy


@dataclass(frozen=True, kw_only=True)
class ContainerImage:
    """The container's image: its URI, and the ECR repository that the execution role must read."""

    uri: str
    repository_arn: str


@dataclass(frozen=True, kw_only=True)
class StartupDownload:
    """A model that the container downloads when it starts.

    model_id:
        The model on the Hugging Face Hub, or a prefix in S3.
    revision:
        A commit, branch or tag on the hub. Default: its main branch.
    """

    model_id: str
    in_bucket: bool = False
    revision: str | None = None


class IContainer(Protocol):
    """A container that serves a base model with its adapters: an `LmiContainer` or a `VllmContainer`.

    Example::

        def is_on_cuda_13(container: IContainer) -> bool:
            return container.version.needs_newer_ami

        is_on_cuda_13(VllmContainer(version=VllmVersion.V2_6))
    """

    @property
    def version(self) -> ContainerRelease:
        """The container's release."""

    @property
    def environment(self) -> Mapping[str, str]:
        """The user's settings of the container."""

    @property
    def prefix_caching(self) -> bool:
        """Whether the engine keeps what it computed of a prompt's beginning for the next request."""

    @property
    def engine(self) -> EngineSettings:
        """The settings of the engine in `environment`."""

    def image(self, scope: Construct) -> ContainerImage:
        """Return the image for the region of `scope`.

        Raises ValueError for a region where no such image is known.
        """

    def environment_for(self, lora: LoraServing, download: StartupDownload | None) -> dict[str, str]:
        """Return the container's whole environment: the library's settings, the model's and the user's.

        Raises ValueError if two of them have the same setting, or if there are too many.
        """

    def annotate(
        self,
        scope: Construct,
        *,
        inference_ami_version: str | None,
        routing_strategy: RoutingStrategy,
        model_in_s3: bool,
    ) -> None:
        """Add to `scope` what a user of the release and its settings should know.

        `model_in_s3` says that synth does not see the base model's files.
        """

    def warn_of_updates_in_place(self, endpoint: IConstruct) -> None:
        """Add one warning to an endpoint, however often it is called, if an update may not show at once.

        The engine may then answer for an adapter's new version with prefixes that it cached of the old one.
        """

    def warn_of_unchecked_archives(self, endpoint: IConstruct) -> None:
        """Add one warning to an endpoint, however often it is called, if an archive may run code."""

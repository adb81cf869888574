"""What every release of a container has, whichever container it is."""

from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

from adapter_fleet.serving.engine_settings import EngineVariables
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.vllm_engine import VllmEngine


class KnownFault(NamedTuple):
    """A fault of an image: the id to acknowledge its warning by, and what happens."""

    id: str
    text: str


class ContainerRelease(Protocol):
    """A release of a container that serves a base model and its adapters: `LmiVersion` or `VllmVersion`."""

    @property
    def title(self) -> str:
        """The release in messages, such as LMI 19."""

    @property
    def repository(self) -> str:
        """The name of AWS's ECR repository."""

    @property
    def tag(self) -> str:
        """The image's tag in that repository."""

    @property
    def regions(self) -> Collection[str]:
        """The regions in which AWS publishes the image, as far as it is known."""

    @property
    def engine(self) -> VllmEngine:
        """The version of vLLM in it."""

    @property
    def variables(self) -> EngineVariables:
        """The names of its environment variables for the engine's settings."""

    @property
    def model_variables(self) -> frozenset[str]:
        """The environment variables that name the model to it."""

    @property
    def revision_variable(self) -> str:
        """The environment variable with the revision of a model of the Hugging Face Hub."""

    @property
    def downloads_from_buckets(self) -> bool:
        """True if it downloads a model whose HF_MODEL_ID is a prefix in S3."""

    @property
    def settings_file(self) -> str | None:
        """The file beside the model whose settings count more than environment variables."""

    @property
    def needs_newer_ami(self) -> bool:
        """True if it is built on CUDA 13, for which the driver of SageMaker's default AMI is too old."""

    @property
    def runs_code_of_adapters(self) -> bool:
        """True if it runs a `model.py` that it finds in an adapter's archive."""

    @property
    def known_faults(self) -> tuple[KnownFault, ...]:
        """Faults that a user of this release should know."""

    @property
    def prefix_caching_off(self) -> Mapping[str, str]:
        """The environment variable that switches prefix caching off.

        Empty if no adapter finds a prefix that its predecessor cached.
        """

    def environment(self, lora: LoraServing, *, prefix_caching: bool) -> dict[str, str]:
        """Return the environment variables that the library sets.

        Raises ValueError if the engine does not support the rank.
        """


def check_rank(release: ContainerRelease, rank: int) -> None:
    """Raise ValueError if the engine of a release does not support the maximum rank."""
    engine = release.engine
    if rank == 1 and not engine.serves_rank_1:
        raise ValueError(f"'max_lora_rank' should be at least 8 with {release.title}, got {rank}")
    if rank > engine.highest_rank:
        raise ValueError(
            f"'max_lora_rank' should be at most {engine.highest_rank} with {release.title}, got {rank}"
        )

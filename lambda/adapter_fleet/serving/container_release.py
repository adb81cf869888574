"""What the releases of both containers have: known faults, and the ranks that their engines serve."""

from typing import NamedTuple, Protocol

from adapter_fleet.serving.vllm_engine import VllmEngine


class KnownFault(NamedTuple):
    """A fault of an image: the id to acknowledge its warning by, and what happens."""

    id: str
    text: str


class _Release(Protocol):
    @property
    def title(self) -> str: ...

    @property
    def engine(self) -> VllmEngine: ...


def check_rank(release: _Release, rank: int) -> None:
    """Raise ValueError if the engine of a release does not support the maximum rank."""
    engine = release.engine
    if rank == 1 and not engine.serves_rank_1:
        raise ValueError(f"'max_lora_rank' should be at least 8 with {release.title}, got {rank}")
    if rank > engine.highest_rank:
        raise ValueError(
            f"'max_lora_rank' should be at most {engine.highest_rank} with {release.title}, got {rank}"
        )

"""Upstream faults by which a container may answer a request of one adapter with another one's weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Version = tuple[int, ...]


class Program(StrEnum):
    """The program that has a fault, whose versions say where."""

    VLLM = "vLLM"
    LMI = "LMI"


Versions = Mapping[Program, Version]


@dataclass(frozen=True, kw_only=True)
class MixingFault:
    """A fault by which one adapter may answer for another.

    id:
        The id that acknowledges its warning.
    happens:
        What happens, and when.
    since:
        The first version with it, as far as it is known.
    fixed:
        The first version without it. None: no version is known.
    avoided_by:
        What avoids it in an affected version. None: nothing does.
    sources:
        The issues and changes upstream.
    sureness:
        V was read in the program's source, T is reported by others.
    """

    id: str
    happens: str
    program: Program
    since: Version = (0,)
    fixed: Version | None = None
    avoided_by: str | None = None
    sources: tuple[str, ...]
    sureness: Literal["V", "T"]

    def affects(self, versions: Versions) -> bool:
        """Tell whether a container with these versions of the programs has the fault."""
        return versions.get(self.program, ()) >= self.since and not self.is_fixed_in(versions)

    def is_fixed_in(self, versions: Versions) -> bool:
        """Tell whether these versions are newer than the fault."""
        return self.fixed is not None and versions.get(self.program, ()) >= self.fixed


MIXING_FAULTS = (
    # `set_adapter_mapping` skips the update of the slots' metadata while the running requests are the same.
    # Read in the sources of 0.10.2, 0.12.0, 0.13.0, 0.14.0 and 0.25.1, which have it, and of 0.26.0, 0.28.0
    # and 0.30.0, which compare the slots as well (#47725). Reproduced upstream on 0.22.1 and 0.24.0.
    MixingFault(
        id="adapter-swapped-in-flight",
        happens="where more adapters than 'max_loras' were added, with those since replaced or removed, the"
        " next one takes another's slot, and requests in flight there go on with its weights",
        program=Program.VLLM,
        fixed=(0, 26),
        sources=("vllm #47724",),
        sureness="V",
    ),
    # LMI 16 is the first with an asynchronous handler for adapters (#2901). Its branch has the change since
    # 2025-11-19, and AWS built the image again on 2025-11-25. The branch of LMI 17 got the change on the day
    # of its release, so its image may be older. djl-serving 0.36, in LMI 18, lists it in its release notes.
    MixingFault(
        id="lmi16-wrong-adapter",
        happens="a streamed request loses its adapter to a request beside it, or to the base model",
        program=Program.LMI,
        since=(16,),
        fixed=(18,),
        sources=("djl-serving #2954", "#2957", "#2959", "#2960"),
        sureness="V",
    ),
    # `vllm_engine.py` says where the key was read. A salt and a name are the same kind of key (#44701).
    MixingFault(
        id="prefix-cache-outlives-update",
        happens="an adapter's cached prefixes answer for the next adapter of its name, or for a request to"
        " the base model whose 'cache_salt' is that name",
        program=Program.VLLM,
        since=(0, 11, 1),
        avoided_by="'prefix_caching' off, the default",
        sources=("vllm #30931", "#42125", "#44701"),
        sureness="V",
    ),
    MixingFault(
        id="lmcache-mixes-adapters",
        happens="prefixes in LMCache answer for every adapter whose prompt begins alike",
        program=Program.VLLM,
        avoided_by="no LMCache",
        sources=("vllm #44250", "LMCache #2961"),
        sureness="T",
    ),
    # `_get_mm_identifier` of 0.14.0, 0.25.1, 0.26.0, 0.28.0 and 0.30.0 has the adapter's name. 0.13.0 has no
    # such key.
    MixingFault(
        id="encoder-cache-outlives-update",
        happens="with ENABLE_TOWER_CONNECTOR_LORA, images that an adapter encoded answer for the next adapter"
        " of its name, also without prefix caching",
        program=Program.VLLM,
        since=(0, 14),
        avoided_by="a name for each version",
        sources=("vllm #44939",),
        sureness="V",
    ),
)
"""Each of them can give one tenant another's answer, without an error. `docs/guides/containers.md` has them.

vllm #34186 is no such fault: an adapter whose modules have other names than the base model's loads, and the
base model answers. `adapters check` refuses it.
"""

"""The report of `adapters capacity`: its values, its table, its notes, and its JSON document."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from adapter_fleet.common.counts import counted
from adapter_rules.hardware.memory import GIB, GpuMemory, TierCounts, cpu_bytes
from adapters_cli.models.capacity import CopyOnInstance, Workload
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import few

_MAX_LARGER = 6


@dataclass(frozen=True, kw_only=True)
class AdapterCount:
    """The adapters that are counted: their ranks, if known, and where they are declared.

    unknown:
        Adapters that are not counted.
    """

    ranks: tuple[int | None, ...]
    where: str
    unknown: str = ""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The number of copies and of instances, and the host memory that a copy reserves, if known."""

    copies: int = 1
    instances: int = 1
    min_memory_mib: int | None = None

    @property
    def copies_of_an_instance(self) -> int:
        """Copies on each instance, if they are spread evenly."""
        return -(-self.copies // self.instances)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of an accelerator's memory."""

    name: str
    size: int
    how: str


@dataclass(frozen=True, kw_only=True)
class CapacityReport:
    """The result of `adapters capacity`.

    adapters:
        None if the number of adapters is unknown.
    """

    model: str
    workload: Workload
    sizing: CopyOnInstance
    adapters: AdapterCount | None = None
    placement: Placement = Placement()

    @cached_property
    def larger(self) -> tuple[CopyOnInstance, ...]:
        """The same copy on larger instance types."""
        return tuple(islice(self.workload.on_larger(self.sizing), _MAX_LARGER))

    @property
    def memory(self) -> GpuMemory:
        """The memory of each accelerator of a copy."""
        return self.sizing.memory

    @property
    def fits(self) -> bool:
        """True if the engine should start."""
        return self.memory.fits

    @property
    def verdict(self) -> str:
        """A sentence: that it fits, or why it does not and on what it would."""
        memory, slots = self.memory, counted(self.memory.max_loras, "slot")
        if memory.fits:
            return f"it fits: beside {slots}, the key-value cache holds {_cache(memory)}"
        would_fit = [copy.instance.name for copy in self.larger if copy.memory.fits]
        hint = f"; it would fit {few(would_fit)}" if would_fit else ""
        most = f"at most {counted(memory.most_loras, 'slot')} fit" if memory.most_loras else "no slot fits"
        if memory.max_model_len is not None:
            most += f" beside one sequence of {memory.max_model_len:,} tokens ({size(memory.least_cache)})"
        if memory.left < 0:
            return (
                f"it does not fit: on each accelerator, weights ({size(memory.weights)}), {slots}"
                f" ({size(memory.slots)}) and the rest ({size(memory.other)}, an estimate) take"
                f" {size(memory.budget - memory.left)} of {size(memory.budget)}; {most}{hint}"
            )
        variable = self.workload.engine.variables.name("MAX_MODEL_LEN")
        longest = f"; {variable} may be {memory.tokens:,} at most" if memory.tokens else ""
        return (
            f"it does not fit: on each accelerator, {size(memory.cache)} are left for the key-value cache;"
            f" {most}{longest}{hint}"
        )

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The parts of an accelerator's memory."""
        memory, shape, engine = self.memory, self.workload.shape, self.workload.engine
        bits = shape.quantization.bits or engine.quantize_bits
        plain = 8 * engine.number_bytes
        numbers = f"{plain} bits" if bits is None else f"linear {bits:.3g} bits, others {plain}"
        vocabulary = "; those of embedding and head are whole on each" if shape.vocabulary_slots else ""
        return (
            Part(
                name="weights",
                size=memory.weights,
                how=f"{_parameters(shape.parameters)} parameters, {numbers}",
            ),
            Part(
                name="LoRA slots",
                size=memory.slots,
                how=f"{memory.max_loras} x {size(memory.slot)}, for A and B of rank"
                f" {self.workload.lora.max_lora_rank}{vocabulary}",
            ),
            Part(
                name="KV cache",
                size=memory.cache,
                how=f"{_cache(memory)}; {size(memory.token)} a token on each",
            ),
            Part(
                name="other",
                size=memory.other,
                how="an estimate: activations, sampling, CUDA, NCCL",
            ),
            Part(
                name="reserved",
                size=memory.reserved,
                how=f"vLLM takes {engine.utilization:g} of the {memory.accelerator.visible_gib:g} GiB that it"
                " sees",
            ),
        )

    @property
    def tiers(self) -> TierCounts | None:
        """The adapters in each tier; None if their number is unknown."""
        known = self.adapters is not None and (self.adapters.ranks or not self.adapters.unknown)
        return (
            TierCounts.of(len(self.adapters.ranks), self.workload.lora) if self.adapters and known else None
        )

    @property
    def host_bytes(self) -> int:
        """CPU memory of a copy's adapters; of the largest possible number if their number is unknown."""
        lora = self.workload.lora
        ranks: Iterable[int | None] = (None,) * lora.max_cpu_loras
        if self.adapters is not None and self.tiers is not None:
            ranks = self.adapters.ranks
        return cpu_bytes(
            self.workload.shape,
            self.workload.engine,
            ranks,
            lora,
            workers=self.memory.tensor_parallel,
        )

    @property
    def notes(self) -> list[str]:
        """What is unknown or not counted."""
        engine, memory = self.workload.engine, self.memory
        found = [f"{variable} is not understood, and not counted" for variable in engine.not_understood]
        if engine.max_model_len is None and memory.max_model_len is not None:
            found.append(
                f"{engine.variables.name('MAX_MODEL_LEN')} is not set: the model's own"
                f" {memory.max_model_len:,}"
            )
        if memory.tensor_parallel < self.sizing.accelerators:
            found.append(
                f"{self.sizing.accelerators - memory.tensor_parallel} of the copy's"
                f" {counted(self.sizing.accelerators, 'accelerator')} are not used"
            )
        if self.adapters is None:
            found.append("how many adapters there are: give --adapters")
        elif self.adapters.unknown:
            found.append(f"{self.adapters.unknown}: not counted; give --adapters")
        copies = self.placement.copies_of_an_instance
        if copies * self.host_bytes > self.sizing.instance.memory_gib * GIB:
            found.append(
                f"the instance has {self.sizing.instance.memory_gib} GiB of CPU memory, and adapters may take"
                f" {size(copies * self.host_bytes)}; lower max_cpu_loras"
            )
        reserved = self.placement.min_memory_mib
        if reserved is not None and self.host_bytes > reserved * 1024**2:
            found.append(
                f"a copy reserves {size(reserved * 1024**2)} of CPU memory (min_memory_mib), and adapters may"
                f" take {size(self.host_bytes)} of it"
            )
        return found


def as_document(report: CapacityReport) -> dict[str, Any]:
    """Return a report as `--json` writes it. Sizes are in bytes."""
    memory, tiers = report.memory, report.tiers
    return {
        "fits": report.fits,
        "verdict": report.verdict,
        "base_model": report.model,
        "parameters": report.workload.shape.parameters,
        "instance": _instance_document(report.sizing),
        "tensor_parallel": memory.tensor_parallel,
        "memory": {
            part.name.lower().replace(" ", "_"): {
                "accelerator_bytes": part.size,
                "copy_bytes": part.size * memory.tensor_parallel,
                "how": part.how,
            }
            for part in report.parts
        },
        "slot_bytes": memory.slot,
        "missing_bytes": max(0, -memory.left),
        "token_bytes": memory.token,
        "adapters": None
        if tiers is None
        else {"count": tiers.adapters, "gpu": tiers.gpu, "cpu": tiers.cpu, "disk": tiers.disk},
        "host_memory_bytes": report.host_bytes,
        "larger": [_instance_document(sizing) for sizing in report.larger],
        "notes": report.notes,
    }


def _instance_document(sizing: CopyOnInstance) -> dict[str, Any]:
    memory = sizing.memory
    return {
        "type": sizing.instance.name,
        "accelerator": sizing.instance.accelerator.name,
        "accelerators": sizing.accelerators,
        "accelerator_bytes": memory.total,
        "fits": memory.fits,
        "tokens": memory.tokens,
        "max_model_len": memory.max_model_len,
        "sequences": memory.sequences,
        "most_loras": memory.most_loras,
    }


def table(report: CapacityReport) -> RowTable:
    """Return the parts of the memory, on each accelerator and for a whole copy, and what they are."""
    parallel = report.memory.tensor_parallel
    rows = [(part.name, size(part.size), size(part.size * parallel), part.how) for part in report.parts]
    adapters = f"for adapters in {counted(parallel, 'worker')}: an estimate, at most"
    rows.append(("CPU memory", "-", size(report.host_bytes), adapters))
    return RowTable(
        headings=("MEMORY", "EACH", "COPY", "HOW"), rows=rows, styled=None, numbers=("EACH", "COPY")
    )


def notes(report: CapacityReport) -> Iterator[str]:
    """Yield what was counted, where adapters are, and what is unknown."""
    sizing, tiers = report.sizing, report.tiers
    accelerator = sizing.instance.accelerator
    yield (
        f"{report.model} on {sizing.instance.name}: {sizing.accelerators} x {accelerator.name}"
        f" {accelerator.memory_gib} GiB a copy"
    )
    if report.fits:
        yield report.verdict
    if tiers is not None and report.adapters is not None:
        yield (
            f"{counted(tiers.adapters, 'adapter')} ({report.adapters.where}): {tiers.gpu:,} in GPU memory,"
            f" {tiers.cpu:,} in CPU memory, {tiers.disk:,} on disk"
        )
    yield from report.notes


def size(number: float) -> str:
    """Return bytes in the largest unit that fits: 32 KiB, 352.3 MiB, 3.74 GiB."""
    if number >= GIB:
        return f"{number / GIB:.2f} GiB"
    for unit, length in (("MiB", 1024**2), ("KiB", 1024)):
        if number >= length:
            return f"{f'{number / length:.1f}'.removesuffix('.0')} {unit}"
    return f"{number:.0f} B"


def _cache(memory: GpuMemory) -> str:
    if memory.sequences is None or memory.max_model_len is None:
        return f"{memory.tokens:,} tokens"
    return f"{memory.tokens:,} tokens, {memory.sequences:,.1f} sequences of {memory.max_model_len:,}"


def _parameters(number: int) -> str:
    return f"{number / 1e9:.2f} B" if number >= 1e8 else f"{number / 1e6:.2f} M"

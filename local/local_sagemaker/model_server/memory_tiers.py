"""The memory tiers of adapters: GPU slots, CPU memory, disk; the least recently used adapter makes room.

A GPU slot holds the weights for the forward pass (float32, transposed, scaled). CPU memory holds the tensors
of the archive. The disk holds the extracted archive. The CPU limit counts the adapters in GPU slots too, as
vLLM's does.

[V vLLM before 0.26.0, #47724] An adapter that is added takes the slot of another one that answers, if it has
to. Requests in flight stay with their slot, and go on with what it holds: in vLLM until the batch changes,
here to their end. `evicts_running` does that.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_sagemaker.model_server.errors import (
    AdapterLoadError,
    DuplicateAdapterError,
    NoFreeSlotError,
    NotFoundError,
    UnknownModelError,
)
from local_sagemaker.model_server.lora import Adapter, LoraWeights


@dataclass(frozen=True, kw_only=True)
class LoadTimes:
    """Seconds that are added to each load, so that it takes as long as on a GPU.

    from_cpu, from_disk:
        From CPU memory to a GPU slot, and from disk to CPU memory.
    """

    from_cpu: float = 0.0
    from_disk: float = 0.0


NOTHING_ADDED = LoadTimes()


@dataclass(eq=False)
class GpuSlot:
    """A place in GPU memory. A request runs with the weights that its slot holds."""

    weights: LoraWeights


@dataclass(eq=False, kw_only=True)
class RegisteredAdapter:
    """One registration of an adapter; the same name registered again is another one."""

    name: str
    source: Path
    pinned: bool
    removed: bool = False
    waiting: int = 0  # requests that have not started
    running: int = 0  # requests in the batch
    adapter: Adapter | None = None
    slot: GpuSlot | None = None

    @property
    def evictable(self) -> bool:
        """Whether it may leave a tier to make room."""
        return not self.pinned and not self.running


class AdapterTiers:
    """The registered adapters and their tiers. Not thread-safe: one thread owns it."""

    def __init__(
        self,
        load: Callable[[Path], Adapter],
        *,
        max_loras: int,
        max_cpu_loras: int,
        times: LoadTimes = NOTHING_ADDED,
        sleep: Callable[[float], None] = time.sleep,
        evicts_running: bool = False,
    ) -> None:
        """`sleep` waits for what `times` add to a load."""
        self._load = load
        self._evicts_running = evicts_running
        self._times, self._sleep = times, sleep
        self._max_loras = max_loras
        self._max_cpu_loras = max_cpu_loras
        self._by_name: dict[str, RegisteredAdapter] = {}
        # The adapters in memory, the least recently used first; with unregistered ones that requests need.
        self._loaded: dict[RegisteredAdapter, None] = {}

    def __iter__(self) -> Iterator[RegisteredAdapter]:
        return iter(self._by_name.values())

    def find(self, name: str) -> RegisteredAdapter:
        """Return the adapter registered under a name."""
        if name not in self._by_name:
            raise NotFoundError(name)
        return self._by_name[name]

    def register(self, name: str, source: Path, *, preload: bool, pin: bool) -> RegisteredAdapter:
        """Add an adapter; with `preload` or `pin`, check it and load it if there is room."""
        if name in self._by_name:
            raise DuplicateAdapterError(name)
        if pin and sum(other.pinned for other in self) >= self._max_loras:
            raise NoFreeSlotError(f"cannot pin adapter '{name}': all {self._max_loras} GPU slots are pinned")
        registered = RegisteredAdapter(name=name, source=source, pinned=pin)
        if preload or pin:
            if self._to_cpu(registered):
                self._to_gpu(registered, even_running=self._evicts_running)
            else:
                self._load_adapter(source)  # only to check it
        self._by_name[name] = registered
        return registered

    def unregister(self, name: str) -> None:
        """Remove an adapter. Earlier requests still get it, even if its files are deleted now."""
        registered = self.find(name)
        if registered.waiting and registered.adapter is None:
            with contextlib.suppress(AdapterLoadError):  # raised again when the request starts
                registered.adapter = self._load_adapter(registered.source)
                self._loaded[registered] = None
        del self._by_name[name]
        registered.removed = True
        self._drop_if_done(registered)

    def hold(self, name: str) -> RegisteredAdapter:
        """Record that a request will need an adapter."""
        if name not in self._by_name:
            raise UnknownModelError(name)
        registered = self._by_name[name]
        registered.waiting += 1
        return registered

    def give_up(self, registered: RegisteredAdapter) -> None:
        """Record that a request that held an adapter will not start."""
        registered.waiting -= 1
        self._drop_if_done(registered)

    def start(self, registered: RegisteredAdapter) -> GpuSlot | None:
        """Load a held adapter into a GPU slot for a request.

        None if running requests occupy every slot that is not pinned: try again when one has ended.
        """
        if self._to_cpu(registered) and self._to_gpu(registered):
            registered.waiting -= 1
            registered.running += 1
            return registered.slot
        if sum(other.pinned for other in self) >= self._max_loras:
            raise NoFreeSlotError(f"no GPU slot for adapter '{registered.name}': all are pinned")
        return None

    def end(self, registered: RegisteredAdapter) -> None:
        """Record that a request that ran with an adapter has ended."""
        registered.running -= 1
        self._drop_if_done(registered)

    def _to_cpu(self, registered: RegisteredAdapter) -> bool:
        """Load an adapter into CPU memory and mark it as used; False if nothing can make room for it."""
        if registered.adapter is None:
            victim = None
            if len(self._loaded) >= self._max_cpu_loras:
                # An unregistered adapter stays, since a request waits for it and it cannot be loaded again.
                victim = next(
                    (other for other in self._loaded if other.evictable and not other.removed), None
                )
                if victim is None:
                    return False
            registered.adapter = self._load_adapter(registered.source)
            if victim is not None:
                self._unload(victim)
        self._loaded.pop(registered, None)
        self._loaded[registered] = None
        return True

    def _to_gpu(self, registered: RegisteredAdapter, *, even_running: bool = False) -> bool:
        """Give a loaded adapter a GPU slot; False if nothing can make room for it."""
        if registered.adapter is None:
            return False
        if registered.slot is None:
            slot = None
            on_gpu = [other for other in self._loaded if other.slot is not None]
            if len(on_gpu) >= self._max_loras:
                victims = [other for other in on_gpu if other.evictable]
                if even_running:
                    victims += [other for other in on_gpu if not other.pinned]
                if not victims:
                    return False
                slot, victims[0].slot = victims[0].slot, None
            weights = registered.adapter.to_weights()
            if slot is None:
                slot = GpuSlot(weights)
            slot.weights = weights
            registered.slot = slot
            self._sleep(self._times.from_cpu)
        return True

    def _load_adapter(self, source: Path) -> Adapter:
        self._sleep(self._times.from_disk)
        return self._load(source)

    def _drop_if_done(self, registered: RegisteredAdapter) -> None:
        if registered.removed and not registered.waiting and not registered.running:
            self._unload(registered)

    def _unload(self, registered: RegisteredAdapter) -> None:
        registered.adapter = registered.slot = None
        self._loaded.pop(registered, None)

"""GPU, CPU and disk: what is loaded, what is evicted, in which order."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local_sagemaker.model_server.errors import AdapterLoadError, NoFreeSlotError, NotFoundError
from local_sagemaker.model_server.lora import Adapter, LoraConfig
from local_sagemaker.model_server.memory_tiers import AdapterTiers, LoadTimes

CONFIG = LoraConfig(rank=8, alpha=16, rank_stabilized=False, target_modules="all-linear", rank_pattern={})


class Disk:
    """Loads adapters without files, remembers what was loaded, and loses what it is told to."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.lost: set[str] = set()

    def load(self, source: Path) -> Adapter:
        if source.name in self.lost:
            raise AdapterLoadError(f"{source.name} is gone")
        self.loaded.append(source.name)
        return Adapter(config=CONFIG, pairs={}, projections=())


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def tiers(disk: Disk) -> AdapterTiers:
    return AdapterTiers(disk.load, max_loras=2, max_cpu_loras=4)


def register(tiers: AdapterTiers, names: str, *, preload: bool = True, pin: bool = False) -> None:
    for name in names:
        tiers.register(name, Path(name), preload=preload, pin=pin)


def use(tiers: AdapterTiers, names: str) -> None:
    """Run one short request after another."""
    for name in names:
        start(tiers, name)()


def start(tiers: AdapterTiers, name: str) -> Callable[[], None]:
    """Start a request; call the result to end it."""
    held = tiers.hold(name)
    assert tiers.start(held) is not None
    return lambda: tiers.end(held)


def layout(tiers: AdapterTiers) -> dict[str, str]:
    """Names in each tier, as registered."""
    found = {"gpu": "", "cpu": "", "disk": ""}
    for adapter in tiers:
        tier = "gpu" if adapter.slot is not None else "disk" if adapter.adapter is None else "cpu"
        found[tier] += adapter.name
    return found


def test_least_recently_used_adapter_makes_room_and_is_read_again_after_that_alone(
    tiers: AdapterTiers, disk: Disk
) -> None:
    register(tiers, "abcd")
    use(tiers, "abcdabda")
    assert (layout(tiers), disk.loaded) == ({"gpu": "ad", "cpu": "bc", "disk": ""}, ["a", "b", "c", "d"])
    register(tiers, "e")
    assert layout(tiers) == {"gpu": "ae", "cpu": "bd", "disk": "c"}
    use(tiers, "c")
    assert layout(tiers) == {"gpu": "ce", "cpu": "ad", "disk": "b"}
    assert disk.loaded[4:] == ["e", "c"]


def test_pinned_adapter_is_never_evicted(tiers: AdapterTiers) -> None:
    register(tiers, "a", pin=True)
    register(tiers, "bcdef")
    use(tiers, "bcdef")
    assert layout(tiers) == {"gpu": "af", "cpu": "de", "disk": "bc"}


def test_request_or_pin_that_no_slot_can_ever_serve_is_refused(tiers: AdapterTiers) -> None:
    register(tiers, "ab", pin=True)
    with pytest.raises(NoFreeSlotError, match="cannot pin adapter 'c': all 2 GPU slots are pinned"):
        register(tiers, "c", pin=True)
    with pytest.raises(NotFoundError):
        tiers.find("c")
    register(tiers, "c")
    held = tiers.hold("c")
    with pytest.raises(NoFreeSlotError, match="no GPU slot for adapter 'c': all are pinned"):
        tiers.start(held)


def test_request_waits_while_running_ones_occupy_every_slot(tiers: AdapterTiers) -> None:
    register(tiers, "abc")
    end_one, end_other, end_b = start(tiers, "a"), start(tiers, "a"), start(tiers, "b")
    end_one()
    held = tiers.hold("c")
    assert tiers.start(held) is None

    end_other()

    assert tiers.start(held) is not None
    assert layout(tiers) == {"gpu": "bc", "cpu": "a", "disk": ""}
    end_b()


def test_adapter_that_cannot_be_loaded_is_not_registered(tiers: AdapterTiers, disk: Disk) -> None:
    register(tiers, "abcd")
    disk.lost.add("e")
    with pytest.raises(AdapterLoadError, match="e is gone"):
        register(tiers, "e")
    with pytest.raises(NotFoundError):
        tiers.find("e")
    assert layout(tiers) == {"gpu": "cd", "cpu": "ab", "disk": ""}, "nothing is evicted for it"


def test_adapter_that_memory_has_no_room_for_is_checked_all_the_same(disk: Disk) -> None:
    tiers = AdapterTiers(disk.load, max_loras=1, max_cpu_loras=1)
    register(tiers, "a")
    end = start(tiers, "a")
    disk.lost.add("b")
    for pin in (False, True):
        with pytest.raises(AdapterLoadError, match="b is gone"):
            register(tiers, "b", preload=not pin, pin=pin)
    register(tiers, "c")
    assert layout(tiers) == {"gpu": "a", "cpu": "", "disk": "c"}

    end()
    use(tiers, "c")

    assert layout(tiers) == {"gpu": "c", "cpu": "", "disk": "a"}


def test_running_request_keeps_the_weights_of_its_adapter_when_the_name_changes_hands(
    tiers: AdapterTiers,
) -> None:
    register(tiers, "a")
    held = tiers.hold("a")
    slot = tiers.start(held)

    tiers.unregister("a")
    tiers.register("a", Path("new"), preload=True, pin=False)

    assert held.slot is slot
    assert tiers.find("a") is not held
    register(tiers, "b")
    assert layout(tiers)["gpu"] == "b", "the old one still takes a slot"
    tiers.end(held)
    assert held.slot is None
    use(tiers, "a")
    assert layout(tiers)["gpu"] == "ab"


@pytest.mark.parametrize("gives_up", [False, True])
def test_waiting_request_still_gets_an_adapter_that_was_unregistered_and_deleted(
    tiers: AdapterTiers, disk: Disk, gives_up: bool
) -> None:
    register(tiers, "a", preload=False)
    held = tiers.hold("a")

    tiers.unregister("a")
    disk.lost.add("a")
    register(tiers, "bcdef")

    assert held.adapter is not None
    if gives_up:
        tiers.give_up(held)
    else:
        assert tiers.start(held) is not None
        tiers.end(held)
    assert held.adapter is None


def test_added_time_is_that_of_the_tier_from_which_an_adapter_is_loaded(disk: Disk) -> None:
    waited: list[float] = []
    times = LoadTimes(from_cpu=0.01, from_disk=0.05)
    tiers = AdapterTiers(disk.load, max_loras=1, max_cpu_loras=2, times=times, sleep=waited.append)
    register(tiers, "abc", preload=False)
    assert waited == []
    found = []
    for name in "aababca":
        waited.clear()
        use(tiers, name)
        found.append(sum(waited))
    disk_load, cpu_load = 0.05 + 0.01, 0.01
    assert found == [disk_load, 0, disk_load, cpu_load, cpu_load, disk_load, disk_load]

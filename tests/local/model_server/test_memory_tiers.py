"""GPU, CPU and disk: what is loaded, what is evicted, in which order."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local_sagemaker.model_server.errors import (
    AdapterLoadError,
    NoFreeSlotError,
    NotFoundError,
)
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
    return make_tiers(disk, gpu=2, cpu=4)


def make_tiers(disk: Disk, *, gpu: int, cpu: int) -> AdapterTiers:
    return AdapterTiers(disk.load, max_loras=gpu, max_cpu_loras=cpu)


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
        found[adapter.tier] += adapter.name
    return found


def test_adapter_without_preload_stays_on_disk_until_used(tiers: AdapterTiers, disk: Disk) -> None:
    register(tiers, "ab", preload=False)
    assert layout(tiers) == {"gpu": "", "cpu": "", "disk": "ab"}

    use(tiers, "b")

    assert layout(tiers) == {"gpu": "b", "cpu": "", "disk": "a"}
    assert disk.loaded == ["b"]


def test_least_recently_used_adapter_makes_room(tiers: AdapterTiers) -> None:
    register(tiers, "abcd")
    use(tiers, "abda")
    assert layout(tiers) == {"gpu": "ad", "cpu": "bc", "disk": ""}

    register(tiers, "e")

    assert layout(tiers) == {"gpu": "ae", "cpu": "bd", "disk": "c"}


def test_adapter_is_read_again_after_its_eviction_alone(tiers: AdapterTiers, disk: Disk) -> None:
    register(tiers, "abcd")
    use(tiers, "abcdabcd")
    assert disk.loaded == ["a", "b", "c", "d"]
    register(tiers, "e")
    assert layout(tiers) == {"gpu": "de", "cpu": "bc", "disk": "a"}
    use(tiers, "a")
    assert disk.loaded == ["a", "b", "c", "d", "e", "a"]
    assert layout(tiers) == {"gpu": "ae", "cpu": "cd", "disk": "b"}


def test_pinned_adapter_is_never_evicted(tiers: AdapterTiers) -> None:
    register(tiers, "a", pin=True)
    register(tiers, "bcdef")
    use(tiers, "bcdef")
    assert layout(tiers) == {"gpu": "af", "cpu": "de", "disk": "bc"}


def test_pinning_more_than_the_slots_is_refused(tiers: AdapterTiers) -> None:
    register(tiers, "ab", pin=True)
    with pytest.raises(NoFreeSlotError, match="cannot pin adapter 'c': all 2 GPU slots are pinned"):
        register(tiers, "c", pin=True)
    with pytest.raises(NotFoundError):
        tiers.find("c")


def test_request_that_no_slot_can_ever_serve_is_refused(tiers: AdapterTiers) -> None:
    register(tiers, "ab", pin=True)
    register(tiers, "c")
    held = tiers.hold("c")
    with pytest.raises(NoFreeSlotError, match="no GPU slot for adapter 'c': all are pinned"):
        tiers.start(held)


def test_adapter_of_a_running_request_is_never_evicted(tiers: AdapterTiers) -> None:
    register(tiers, "abcd")
    end = start(tiers, "a")
    use(tiers, "bcd")
    assert layout(tiers)["gpu"] == "ad"

    end()
    use(tiers, "bc")

    assert layout(tiers)["gpu"] == "bc"


def test_request_waits_while_running_ones_occupy_every_slot(tiers: AdapterTiers) -> None:
    register(tiers, "abc")
    end_a, end_b = start(tiers, "a"), start(tiers, "b")
    held = tiers.hold("c")
    assert tiers.start(held) is None

    end_a()

    assert tiers.start(held) is not None
    assert layout(tiers) == {"gpu": "bc", "cpu": "a", "disk": ""}
    end_b()


def test_two_requests_share_one_slot(tiers: AdapterTiers) -> None:
    register(tiers, "abc")
    end_one, end_other, end_b = start(tiers, "a"), start(tiers, "a"), start(tiers, "b")
    end_one()
    held = tiers.hold("c")
    assert tiers.start(held) is None
    end_other()
    assert tiers.start(held) is not None
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
    tiers = make_tiers(disk, gpu=1, cpu=1)
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


def test_unregistered_adapter_is_unknown_and_frees_its_slot(tiers: AdapterTiers) -> None:
    register(tiers, "ab")
    tiers.unregister("a")
    for call in (tiers.find, tiers.hold, tiers.unregister):
        with pytest.raises(NotFoundError, match="adapter 'a' is not registered"):
            call("a")
    register(tiers, "c")
    assert layout(tiers) == {"gpu": "bc", "cpu": "", "disk": ""}


def test_running_request_keeps_the_weights_of_its_adapter_when_the_name_changes_hands(
    tiers: AdapterTiers,
) -> None:
    register(tiers, "a")
    held = tiers.hold("a")
    weights = tiers.start(held)

    tiers.unregister("a")
    tiers.register("a", Path("new"), preload=True, pin=False)

    assert held.weights is weights
    assert tiers.find("a") is not held
    register(tiers, "b")
    assert layout(tiers)["gpu"] == "b", "the old one still takes a slot"
    tiers.end(held)
    assert held.weights is None
    use(tiers, "a")
    assert layout(tiers)["gpu"] == "ab"


def test_waiting_request_still_gets_an_adapter_that_was_unregistered_and_deleted(
    tiers: AdapterTiers, disk: Disk
) -> None:
    register(tiers, "a", preload=False)
    held = tiers.hold("a")

    tiers.unregister("a")
    disk.lost.add("a")
    register(tiers, "bcdef")

    assert tiers.start(held) is not None
    tiers.end(held)
    assert held.adapter is None


def test_request_that_gives_up_lets_go_of_an_unregistered_adapter(tiers: AdapterTiers) -> None:
    register(tiers, "a")
    held = tiers.hold("a")
    tiers.unregister("a")
    assert held.adapter is not None
    tiers.give_up(held)
    assert held.adapter is None


def test_added_time_is_that_of_the_tier_from_which_an_adapter_is_loaded(disk: Disk) -> None:
    waited: list[float] = []
    times = LoadTimes(from_cpu=0.01, from_disk=0.05)
    tiers = AdapterTiers(disk.load, max_loras=1, max_cpu_loras=2, times=times, sleep=waited.append)
    register(tiers, "abc", preload=False)
    found = []
    for name in "aababca":
        waited.clear()
        use(tiers, name)
        found.append(sum(waited))
    disk_load, cpu_load = 0.05 + 0.01, 0.01
    assert found == [disk_load, 0, disk_load, cpu_load, cpu_load, disk_load, disk_load]

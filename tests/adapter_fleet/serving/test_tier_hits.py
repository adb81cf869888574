from __future__ import annotations

import random
from collections import OrderedDict

import pytest

from adapter_fleet.serving.tier_hits import TierHits, hit_share


def simulated(shares: list[float], slots: int, requests: int = 60_000) -> float:
    """The hits of a real LRU cache."""
    source, cache, hits = random.Random(1), OrderedDict[int, None](), 0
    for adapter in source.choices(range(len(shares)), weights=shares, k=requests):
        hits += adapter in cache
        cache[adapter] = None
        cache.move_to_end(adapter)
        if len(cache) > slots:
            cache.popitem(last=False)
    return hits / requests


def zipf(adapters: int, exponent: float) -> list[float]:
    weights = [(rank + 1) ** -exponent for rank in range(adapters)]
    return [weight / sum(weights) for weight in weights]


@pytest.mark.parametrize(("adapters", "slots"), [(300, 4), (300, 128), (10, 3)])
def test_uniform_requests_find_their_adapter_as_often_as_slots_are_to_adapters(
    adapters: int, slots: int
) -> None:
    assert hit_share([1 / adapters] * adapters, slots) == pytest.approx(slots / adapters)


@pytest.mark.parametrize(("adapters", "exponent", "slots"), [(300, 1.1, 4), (300, 1.1, 64), (50, 0.8, 8)])
def test_zipf_is_predicted_as_a_least_recently_used_cache_has_it(
    adapters: int, exponent: float, slots: int
) -> None:
    shares = zipf(adapters, exponent)
    assert hit_share(shares, slots) == pytest.approx(simulated(shares, slots), abs=0.02)


@pytest.mark.parametrize("slots", [10, 11])
def test_everything_is_found_if_every_adapter_has_a_slot(slots: int) -> None:
    assert hit_share([0.1] * 10, slots) == 1


def test_tiers_add_up_and_cpu_memory_includes_the_slots() -> None:
    hits = TierHits.of([1 / 300] * 300, max_loras=4, max_cpu_loras=128)
    assert hits.gpu == pytest.approx(4 / 300)
    assert hits.cpu == pytest.approx(124 / 300)
    assert hits.disk == pytest.approx(172 / 300)

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest

from adapters_cli.load.mix import Mix

NAMES = [f"adapter-{number}" for number in range(10)]


def drawn(mix: str, count: int, seed: int = 1) -> list[str]:
    return list(islice(Mix.parse(mix).draws(NAMES, random.Random(seed)), count))


def test_uniform_gives_each_adapter_the_same_share() -> None:
    counts = Counter(drawn("uniform", 10_000))
    assert all(850 < counts[name] < 1150 for name in NAMES)


def test_zipf_gives_the_adapter_of_rank_r_a_share_by_1_by_r_to_the_s() -> None:
    shares = Mix.parse("zipf:1.1").shares(10)
    assert shares[0] / shares[4] == pytest.approx(5**1.1)
    assert sum(shares) == pytest.approx(1)
    counts = Counter(drawn("zipf:1.1", 20_000))
    assert counts["adapter-0"] / 20_000 == pytest.approx(shares[0], abs=0.02)
    assert counts["adapter-9"] / 20_000 == pytest.approx(shares[9], abs=0.02)


def test_draws_with_the_same_seed_are_the_same() -> None:
    assert drawn("zipf:1", 600) == drawn("zipf:1", 600)
    assert drawn("zipf:1", 600) != drawn("zipf:1", 600, seed=2)


@pytest.mark.parametrize("text", ["", "zipf", "zipf:", "zipf:-1", "zipf:0", "zipf:nan", "all", "uniform:2"])
def test_text_that_is_no_mix_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'mix' should be uniform or zipf:S, such as zipf:1\.1, got "):
        Mix.parse(text)

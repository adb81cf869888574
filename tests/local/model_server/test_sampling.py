"""Choosing tokens: greedy, temperature, top-p, top-k, seeds."""

from collections import Counter
from typing import Any

import numpy as np
import pytest

from local_sagemaker.model_server.sampling import Sampler, Sampling

# Probabilities of about 0.64, 0.24, 0.09, 0.03 for the tokens 2, 0, 3, 1.
LOGITS = np.array([2.0, 0.0, 3.0, 1.0], np.float32)
PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum()


def drawn(draws: int = 4000, **settings: Any) -> dict[int, float]:
    sampler = Sampler(Sampling(**{"seed": 0, **settings}))
    counts = Counter(sampler.choose(LOGITS) for _ in range(draws))
    return {token: count / draws for token, count in counts.items()}


def test_temperature_flattens_or_sharpens_and_zero_takes_the_likeliest() -> None:
    assert drawn() == pytest.approx(dict(enumerate(PROBABILITIES)), abs=0.03)
    assert drawn(temperature=0) == {2: 1.0}
    assert drawn(temperature=0.5)[2] > drawn()[2] + 0.1
    assert drawn(temperature=3)[2] < drawn()[2] - 0.1


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    assert set(drawn(top_p=0.6)) == {2}
    assert set(drawn(top_p=0.7)) == {2, 0}
    assert set(drawn(top_p=0.9)) == {2, 0, 3}
    assert set(drawn(top_p=0)) == {2}
    assert drawn(top_p=0.7)[0] == pytest.approx(PROBABILITIES[0] / PROBABILITIES[[0, 2]].sum(), abs=0.03)


def test_top_k_keeps_the_likeliest_k() -> None:
    assert set(drawn(top_k=1)) == {2}
    assert set(drawn(top_k=3)) == {2, 0, 3}


def test_seed_decides_the_tokens() -> None:
    def tokens(seed: int | None) -> list[int]:
        sampler = Sampler(Sampling(seed=seed))
        return [sampler.choose(LOGITS) for _ in range(50)]

    assert tokens(1) == tokens(1)
    assert tokens(1) != tokens(2)
    assert tokens(None) != tokens(None)

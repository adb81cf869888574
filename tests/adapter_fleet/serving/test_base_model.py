"""What is read from a base model's config.json."""

from __future__ import annotations

from typing import Any

import pytest

from adapter_fleet.serving.base_model import Dimensions

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 128,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 100,
}


def test_dimensions_are_those_of_the_configuration() -> None:
    found = Dimensions.from_config(CONFIG)
    assert found is not None
    assert (found.layers, found.head_width, found.key_value_heads) == (2, 8, 4)


@pytest.mark.parametrize("name", [*list(CONFIG)[1:], "head_dim", "num_key_value_heads"])
def test_number_that_is_no_dimension_makes_the_model_unknown(name: str) -> None:
    assert Dimensions.from_config({**CONFIG, name: 10**300}) is None

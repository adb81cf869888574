"""What is read from a base model's config.json."""

from __future__ import annotations

import pytest

from adapter_fleet.serving.base_model import Dimensions
from tests.adapter_fleet.bad_adapters import BASE

NUMBERS = [key for key, value in BASE.items() if isinstance(value, int)]


@pytest.mark.parametrize("name", [*NUMBERS, "head_dim", "num_key_value_heads"])
def test_number_that_is_no_dimension_makes_the_model_unknown(name: str) -> None:
    assert Dimensions.from_config({**BASE, name: 4}) is not None
    assert Dimensions.from_config({**BASE, name: 10**300}) is None

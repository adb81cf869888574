import pytest

from adapter_fleet.serving.model_shape import known_model_hint


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("llama-3.1-8b-instruct/", "llama-3.1-8b-instruct"),
        ("models/meta-llama-Llama-3.1-8B-Instruct/", "llama-3.1-8b-instruct"),
        ("meta-llama/Llama-3.1-8B-Instrct", "llama-3.1-8b-instruct"),
        ("meta-llama/Lama-3.3-70B", "llama-3.3-70b"),
    ],
)
def test_a_name_that_is_near_a_known_model_hints_at_it(name: str, meant: str) -> None:
    assert known_model_hint(name) == f"did you mean {meant!r}?"


@pytest.mark.parametrize(
    "name", ["", "base/", "Qwen/Qwen2.5-7B-Instruct", "mistralai/Mistral-7B-Instruct-v0.3"]
)
def test_the_name_of_another_model_hints_at_all_known_ones(name: str) -> None:
    assert known_model_hint(name).startswith("known are llama-3.1-8b, ")

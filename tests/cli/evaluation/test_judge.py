import pytest

from adapters_cli.aws.account import Account
from adapters_cli.evaluation.judge import judge_of, sign_test


@pytest.mark.parametrize(
    ("better", "worse", "p_value"),
    [(0, 0, 1), (1, 1, 1), (5, 0, 0.0625), (0, 5, 0.0625), (8, 2, 0.109375), (3_000, 3_000, 1)],
)
def test_sign_test_is_the_exact_one(better: int, worse: int, p_value: float) -> None:
    assert sign_test(better, worse) == pytest.approx(p_value)


def test_sign_test_of_many_items_has_a_figure() -> None:
    assert 0 <= sign_test(5_000, 1_000) < 1e-300


@pytest.mark.parametrize("text", ["", "gpt", "bedrock:", "https://host/v1", "https://#gpt", "ftp://host#gpt"])
def test_anything_but_a_model_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'--judge' should be"):
        judge_of(text, Account())

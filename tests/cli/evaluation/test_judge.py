import socket

import pytest

from adapters_cli.aws.account import Account
from adapters_cli.aws.generation import GenerationRequest
from adapters_cli.aws.runtime_endpoint import UnaskedError
from adapters_cli.evaluation.judge import judge_of, sign_test


@pytest.mark.parametrize(
    ("better", "worse", "p_value"),
    [(0, 0, 1), (1, 1, 1), (5, 0, 0.0625), (0, 5, 0.0625), (8, 2, 0.109375), (3_000, 3_000, 1)],
)
def test_sign_test_is_the_exact_one(better: int, worse: int, p_value: float) -> None:
    assert sign_test(better, worse) == pytest.approx(p_value)


def test_sign_test_of_many_items_has_a_figure() -> None:
    assert 0 <= sign_test(5_000, 1_000) < 1e-300


@pytest.mark.timeout(20)
def test_sign_test_of_ten_thousand_verdicts_takes_no_minute() -> None:
    assert sign_test(14_900, 15_100) == pytest.approx(0.250, abs=1e-3)


@pytest.mark.parametrize("secret", ["https://me:s3cret@host/v1#m", "https://host/v1?key=s3cret#m"])
def test_url_with_a_key_is_refused_as_reports_name_the_judge_by_it(secret: str) -> None:
    with pytest.raises(ValueError, match="without user, password") as error:
        judge_of(secret, Account())
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("text", ["", "gpt", "bedrock:", "https://host/v1", "https://#gpt", "ftp://host#gpt"])
def test_anything_but_a_model_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="'--judge' should be"):
        judge_of(text, Account())


def test_host_without_an_address_is_not_reached_and_may_be_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    judge = judge_of("https://judge.invalid/v1#m", Account())
    with pytest.raises(UnaskedError, match="the judge cannot be reached") as error:
        judge.ask("judge", GenerationRequest(prompt="Hello", max_tokens=1))
    assert error.value.temporary

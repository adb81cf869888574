from collections.abc import Callable

import pytest

from adapter_fleet.common.validators import check_known, check_share, check_whole_number, holds_token

NUMBER_TOKEN = -1.8881545897087503e289
"""As the CDK has `CfnParameter.value_as_number`."""


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (
            lambda: check_whole_number("a", NUMBER_TOKEN, at_least=0),
            "'a' should be known at synth, got a token",
        ),
        (lambda: check_known("a", {"b": ["${Token[TOKEN.1]}"]}), "'a' should be known at synth, got a token"),
        (lambda: check_whole_number("a", 1.0, at_least=0), "'a' should be a whole number, got 1.0"),
        (lambda: check_whole_number("a", 1, at_least=2), "'a' should be at least 2, got 1"),
        (lambda: check_share("a", 1.5), "'a' should be from 0 to 1, got 1.5"),
    ],
)
def test_the_error_names_the_setting_what_it_should_be_and_what_was_got(
    check: Callable[[], None], message: str
) -> None:
    with pytest.raises(ValueError) as error:
        check()
    assert str(error.value) == message


@pytest.mark.parametrize(
    "value",
    [
        "a ${Token[TOKEN.1]}",
        ["#{Token[TOKEN.1]}"],
        NUMBER_TOKEN,
        {"a": (1, NUMBER_TOKEN)},
        {"${Token[TOKEN.1]}": 1},
    ],
)
def test_a_token_is_seen_wherever_it_is(value: object) -> None:
    assert holds_token(value)


@pytest.mark.parametrize("value", [None, True, 1, -1.5, 1e289, -1e300, "${AWS::Region}", {"a": ["b", 0.5]}])
def test_what_is_known_is_no_token(value: object) -> None:
    assert not holds_token(value)

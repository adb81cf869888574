"""Numbers with nouns, near names, names of components, and validators of values."""

import re
from collections.abc import Callable

import pytest
from botocore.loaders import Loader

from adapter_fleet.common.counts import counted, noun_of
from adapter_fleet.common.naming import (
    MAX_COMPONENT_NAME_LENGTH,
    check_component_name,
    check_component_prefix,
    component_name,
    did_you_mean,
    known_or_meant,
    near_names,
)
from adapter_fleet.common.validators import check_known, check_share, check_whole_number, holds_token


def test_number_decides_between_singular_and_plural() -> None:
    counts = [counted(number, "adapter") for number in (1, 1000, 0.5)]
    assert counts == ["1 adapter", "1,000 adapters", "0.5 adapters"]
    assert (counted(2, "copy", "copies"), noun_of(1, "copy", "copies")) == ("2 copies", "copy")


KNOWN = ("acme", "globex", "initech")


def test_mistyped_name_gets_the_nearest_known_one_as_a_hint() -> None:
    assert did_you_mean("acne", KNOWN) == "; did you mean 'acme'?"
    assert did_you_mean("zzz", KNOWN) == ""
    assert known_or_meant("globx", KNOWN) == "did you mean 'globex'?"
    assert known_or_meant("zzz", KNOWN) == "known are acme, globex, initech"
    assert near_names("tenant-1", ("tenant-100", "tenant-01", "other"), most=2) == ["tenant-01", "tenant-100"]


@pytest.mark.parametrize("name", ["a", "llm-ectsum", "a--b", "7", "x" * MAX_COMPONENT_NAME_LENGTH])
def test_name_that_sagemaker_takes_is_accepted(name: str) -> None:
    check_component_name(name)


@pytest.mark.parametrize("name", ["", "-a", "a-", "a_b", "a\n", "ä"])
def test_name_outside_of_the_pattern_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"'adapter' should be letters.*got {re.escape(repr(name))}"):
        check_component_name(name, what="adapter")


def test_component_name_is_prefix_and_adapter_and_never_cut() -> None:
    assert component_name("acme", "ectsum") == "acme-ectsum"
    assert len(component_name("acme", "x" * 58)) == MAX_COMPONENT_NAME_LENGTH
    with pytest.raises(ValueError, match="at most 63 characters, got 64"):
        component_name("acme", "x" * 59)


@pytest.mark.parametrize("prefix", ["a", "a-", "p" * 61])
def test_prefix_that_names_can_begin_with_is_accepted(prefix: str) -> None:
    check_component_prefix(prefix)
    check_component_name(component_name(prefix, "a"))


@pytest.mark.parametrize("prefix", ["", "-a", "a_b", "a\n", "p" * 62])
def test_prefix_that_no_name_can_begin_with_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match=f"'component_prefix' should .*{re.escape(repr(prefix))}"):
        check_component_prefix(prefix)


def test_pattern_of_names_is_that_of_the_service_model() -> None:
    model = Loader().load_service_model("sagemaker", "service-2")
    shape = model["shapes"]["InferenceComponentName"]
    assert shape["max"] == MAX_COMPONENT_NAME_LENGTH
    assert shape["pattern"] == "[a-zA-Z0-9]([\\-a-zA-Z0-9]*[a-zA-Z0-9])?"


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

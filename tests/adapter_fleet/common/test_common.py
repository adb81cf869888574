"""Numbers with nouns, near names, names of components, and expressions that strangers write."""

from __future__ import annotations

import re

import pytest
from botocore.loaders import Loader

from adapter_fleet.common import untrusted_pattern
from adapter_fleet.common.counts import counted, noun_of
from adapter_fleet.common.naming import (
    MAX_COMPONENT_NAME_LENGTH,
    check_component_name,
    check_component_prefix,
    component_name,
)
from adapter_fleet.common.near_names import did_you_mean, known_or_meant, near_names
from adapter_fleet.common.untrusted_pattern import matches


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


def test_expression_is_searched_for_anywhere_in_a_text_of_any_characters() -> None:
    assert matches("rev[a-z]+ rose", "The revenue rose.\nGood.")
    assert not matches("^rose", "The revenue rose.")
    assert matches("Umsätze.*€\0", "Umsätze: 4 €\0")


def test_expression_that_takes_for_ever_does_not_match() -> None:
    assert not matches(r"^(\w+\s?)+$", "Thequickbrownfoxjumpsoverthelazydog!!", seconds=0.3)


def test_search_that_is_killed_says_nothing_about_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untrusted_pattern, "_SEARCH", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(ChildProcessError, match="'rose' was ended by signal 9"):
        matches("rose", "The revenue rose.")


@pytest.mark.parametrize("pattern", ["\0", "a" * 200_000, "\ud800"])
def test_any_text_is_a_valid_pattern(pattern: str) -> None:
    assert not matches(pattern, "hello")

"""What a person who mistyped a name may have meant."""

from __future__ import annotations

from adapter_fleet.common.near_names import did_you_mean, known_or_meant, near_names

KNOWN = ("acme", "globex", "initech")


def test_near_name_is_meant() -> None:
    assert did_you_mean("acne", KNOWN) == "; did you mean 'acme'?"
    assert known_or_meant("globx", KNOWN) == "did you mean 'globex'?"


def test_name_that_is_near_none_gets_no_hint_or_all_known_ones() -> None:
    assert did_you_mean("zzz", KNOWN) == ""
    assert known_or_meant("zzz", KNOWN) == "known are acme, globex, initech"


def test_nearest_name_comes_first() -> None:
    assert near_names("tenant-1", ("tenant-100", "tenant-01", "other"), most=2) == ["tenant-01", "tenant-100"]

"""The names in an account that a person may have meant."""

from __future__ import annotations

from adapters_cli.aws.components import meant_name
from tests.fakes.errors import client_error


def test_near_name_of_a_listing_is_meant() -> None:
    assert meant_name("Tenatns", lambda: ["Tenants", "Other"]) == "; did you mean 'Tenants'?"


def test_listing_that_the_caller_may_not_read_gives_no_hint() -> None:
    def denied() -> list[str]:
        raise client_error("AccessDenied", "not allowed")

    assert meant_name("Tenatns", denied) == ""

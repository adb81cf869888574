"""The upgrade guide says what callers notice of each change of an app, as the evolutions expect it."""

from __future__ import annotations

import os

import pytest

from tests.evolutions.guide import PART

pytestmark = pytest.mark.documents


def test_the_guide_has_what_the_evolutions_expect() -> None:
    if os.environ.get("RECORD") == "1":
        PART.write()
    assert PART.in_guide() == PART.text(), "RECORD=1 writes it"

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.local.stacks import Stack


def test_custom_resource_whose_create_failed_gets_a_delete(
    stack: Stack, custom: Callable[..., dict[str, Any]], requests: Callable[[], list[str]]
) -> None:
    assert stack.create({"Thing": custom(Fails="Create")}) == "ROLLBACK_COMPLETE"
    assert requests() == ["Create Thing", "Delete Thing-made"]
    assert stack.reasons("CREATE_FAILED") == ["as told"]


def test_custom_resource_that_did_not_answer_its_create_gets_a_delete_with_an_id_made_up(
    stack: Stack, custom: Callable[..., dict[str, Any]], requests: Callable[[], list[str]]
) -> None:
    thing = custom(Fails="Create", Silent="yes", timeout=2)
    assert stack.create({"Thing": thing}) == "ROLLBACK_COMPLETE"
    create, delete = requests()
    assert create == "Create Thing"
    assert delete.startswith(f"Delete {stack.name}-Thing-")

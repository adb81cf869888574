from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.local.stacks import Stack


@pytest.fixture
def importer(client: Callable[..., Any], stack: Stack) -> Iterator[Stack]:
    """A stack that imports an export of another one, with the value `one`."""
    name = f"{stack.name}-export"
    assert stack.create(NEEDED, exports={name: "one"}) == "CREATE_COMPLETE"
    made = Stack(client("cloudformation"), f"{stack.name}-importer")
    assert made.create(importing(name)) == "CREATE_COMPLETE"
    yield made
    made.delete()


NEEDED: dict[str, Any] = {"Needed": {"Type": "AWS::S3::Bucket"}}


def importing(export: str) -> dict[str, Any]:
    value = {"Type": "String", "Value": {"Fn::ImportValue": export}}
    return {"Imported": {"Type": "AWS::SSM::Parameter", "Properties": value}}


@pytest.mark.parametrize(("value", "done"), [("two", "updated"), (None, "deleted")])
def test_export_that_another_stack_imports_is_neither_changed_nor_removed(
    stack: Stack, importer: Stack, value: str | None, done: str
) -> None:
    name = f"{stack.name}-export"
    other = {"Other": {"Type": "AWS::S3::Bucket"}}
    status = stack.update(NEEDED | other, exports={name: value} if value else {})
    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.events("Other")[0] == "DELETE_COMPLETE"
    assert f"Export {name} cannot be {done} as it is in use by {importer.name}" in stack.why_failed()
    # It imports what it did before.
    assert importer.update(importing(name) | NEEDED) == "UPDATE_COMPLETE"


def test_export_that_no_stack_imports_any_more_is_changed_and_removed(stack: Stack, importer: Stack) -> None:
    name = f"{stack.name}-export"
    assert stack.update(NEEDED, exports={name: "one", f"{name}-more": "x"}) == "UPDATE_COMPLETE"
    assert importer.update(NEEDED) == "UPDATE_COMPLETE"
    assert stack.update(NEEDED, exports={name: "two"}) == "UPDATE_COMPLETE"
    assert stack.update({**NEEDED, "Other": {"Type": "AWS::S3::Bucket"}}) == "UPDATE_COMPLETE"
    assert importer.update(NEEDED | importing(name)) == "UPDATE_ROLLBACK_COMPLETE"  # it is gone

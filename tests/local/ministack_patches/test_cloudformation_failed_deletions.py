from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.local.stacks import Stack


def test_what_a_resource_needs_that_could_not_be_deleted_stays_until_it_is(
    stack: Stack, custom: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    resources = {
        "Needed": {"Type": "AWS::S3::Bucket"},
        "Other": {"Type": "AWS::S3::Bucket"},
        "Thing": custom(Fails="Delete", Bucket={"Ref": "Needed"}),
    }
    assert stack.create(resources) == "CREATE_COMPLETE"
    assert stack.delete() == "DELETE_FAILED"
    assert stack.reasons("DELETE_FAILED") == ["as told"]
    assert (stack.events("Needed")[0], stack.events("Other")[0]) == ("CREATE_COMPLETE", "DELETE_COMPLETE")
    (tmp_path / "let-go").touch()
    assert stack.delete() == "DELETE_COMPLETE"

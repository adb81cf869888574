from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from tests.local.stacks import Bucket, Stack, serving


@pytest.fixture(autouse=True)
def together(cloud: LocalCloud) -> Iterator[None]:
    cloud.admin.change_settings(parallel_creation=True)
    yield
    cloud.admin.change_settings(parallel_creation=False)


def test_resources_that_do_not_depend_on_each_other_are_created_together(
    stack: Stack, custom: Callable[..., dict[str, Any]], requests: Callable[[], list[str]]
) -> None:
    after = custom() | {"DependsOn": ["One", "Two"]}
    resources = {"One": custom(WaitsFor="Two"), "Two": custom(WaitsFor="One"), "After": after}
    assert stack.create(resources) == "CREATE_COMPLETE"
    assert sorted(requests()[:2]) == ["Create One", "Create Two"]
    assert requests()[2:] == ["Create After"]


def test_creation_that_ends_after_another_failed_is_rolled_back(
    stack: Stack, custom: Callable[..., dict[str, Any]], requests: Callable[[], list[str]]
) -> None:
    assert stack.create({"A": custom(Fails="Create"), "B": custom()}) == "ROLLBACK_COMPLETE"
    assert requests().index("Create B") < requests().index("Delete B-made")
    assert stack.events("B")[:2] == ["DELETE_COMPLETE", "DELETE_IN_PROGRESS"]


@pytest.mark.parametrize(
    ("depends_on", "status"), [("Base", "ROLLBACK_COMPLETE"), ("One", "CREATE_COMPLETE")]
)
def test_adapters_refuse_each_other_where_a_base_takes_one_write_unless_one_depends_on_the_other(
    stack: Stack, bucket: Bucket, settings: Callable[..., Any], depends_on: str, status: str
) -> None:
    settings(one_write_per_base=True, component_create_seconds=0.5)
    resources = serving(stack.name, bucket, {"one": bucket.adapter("1"), "two": bucket.adapter("2")})
    resources["Two"]["DependsOn"] = depends_on
    assert stack.create(resources) == status

"""Stacks that are deleted while something is done to them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.local.conftest import QUICK, boto_client
from tests.local.stacks import Bucket, Stack, serving
from tests.local.waiting import until

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def slow() -> Iterator[LocalCloud]:
    """A cloud whose endpoints take a second."""
    with LocalCloud(settings=QUICK | {"endpoint_seconds": 1}) as running:
        yield running


@pytest.fixture
def resources(slow: LocalCloud) -> dict[str, Any]:
    """An endpoint with an adapter, and a queue that is retained."""
    bucket = Bucket(boto_client(slow, "s3"))
    retained = {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Retain"}
    return {"Retained": retained} | serving("serving", bucket, {"one": bucket.adapter("1")})


@pytest.fixture
def deleted(slow: LocalCloud) -> Stack:
    return Stack(boto_client(slow, "cloudformation"), f"deleted-{uuid.uuid4().hex[:8]}")


def test_stack_is_gone_when_what_was_being_created_is_there(
    slow: LocalCloud, deleted: Stack, resources: dict[str, Any]
) -> None:
    # What is retained outlives a creation that ended early, too.
    resources["Endpoint"]["DependsOn"] = "Retained"
    deleted.start(resources)
    until(lambda: "CREATE_IN_PROGRESS" in deleted.events("Endpoint"))
    statuses = deleted.statuses_of_deletion()
    assert statuses == ["DELETE_IN_PROGRESS", "DELETE_COMPLETE"]
    assert deleted.reasons("CREATE_FAILED") == ["Resource creation cancelled"]
    assert deleted.events("Retained")[0] == "DELETE_SKIPPED"
    sagemaker = boto_client(slow, "sagemaker")
    for found in (
        sagemaker.list_endpoints()["Endpoints"],
        sagemaker.list_models()["Models"],
        sagemaker.list_inference_components()["InferenceComponents"],
    ):
        assert found == []


def test_second_deletion_joins_the_first(deleted: Stack, resources: dict[str, Any]) -> None:
    assert deleted.create(resources) == "CREATE_COMPLETE"
    deleted.request_deletion()
    deleted.request_deletion()
    assert deleted.settled() == "DELETE_COMPLETE"
    assert deleted.events("Endpoint").count("DELETE_IN_PROGRESS") == 1


def test_stack_that_is_being_updated_is_not_deleted(
    slow: LocalCloud, deleted: Stack, resources: dict[str, Any]
) -> None:
    deleted.create({"Queue": {"Type": "AWS::SQS::Queue"}})
    boto_client(slow, "cloudformation").update_stack(
        StackName=deleted.name, TemplateBody=json.dumps({"Resources": resources})
    )
    with pytest.raises(ClientError, match="cannot be deleted while in status UPDATE_IN_PROGRESS"):
        deleted.request_deletion()
    assert deleted.settled() == "UPDATE_COMPLETE"
    assert deleted.delete() == "DELETE_COMPLETE"

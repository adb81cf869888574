"""What a recorded cloud writes down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.iam.recorded_cloud import RecordedCloud
from tests.local.conftest import boto_client
from tests.local.credentials import allow, make_user

pytestmark = pytest.mark.integration

OBJECTS = "arn:aws:s3:::recorded/*"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calls") / "calls.jsonl"


@pytest.fixture(scope="module")
def recorded(path: Path) -> Iterator[LocalCloud]:
    with RecordedCloud(path, iam=True) as running:
        boto_client(running, "s3").create_bucket(Bucket="recorded")
        yield running


def lines(path: Path, action: str) -> list[dict[str, Any]]:
    return [line for line in map(json.loads, path.read_text().splitlines()) if line["action"] == action]


def test_a_call_is_recorded_once_with_the_statement_that_allows_it(recorded: LocalCloud, path: Path) -> None:
    condition = {"StringEquals": {"aws:PrincipalType": "User"}}
    user = make_user(
        boto_client(recorded, "iam"),
        lambda service, **keys: boto_client(recorded, service, **keys),
        allow("s3:PutObject", ["arn:aws:s3:::other/*", OBJECTS], **condition),
    )
    for key in ("one", "two"):
        user("s3").put_object(Bucket="recorded", Key=key, Body=b"")
    (line,) = lines(path, "s3:PutObject")
    assert line["principal"].startswith("user-")
    assert line["resource"] == "arn:aws:s3:::recorded/one"
    assert line["grants"] == [[OBJECTS, condition]]


def test_a_call_that_is_denied_is_not_recorded(recorded: LocalCloud, path: Path) -> None:
    user = make_user(
        boto_client(recorded, "iam"), lambda service, **keys: boto_client(recorded, service, **keys)
    )
    with pytest.raises(ClientError, match="AccessDenied"):
        user("s3").delete_object(Bucket="recorded", Key="one")
    assert lines(path, "s3:DeleteObject") == []


def test_the_root_user_is_recorded_where_the_client_names_its_application(
    recorded: LocalCloud, path: Path
) -> None:
    boto_client(recorded, "sts").get_caller_identity()
    assert lines(path, "sts:GetCallerIdentity") == []
    named = Config(user_agent_appid="adapters-status")  # type: ignore[call-arg]
    boto_client(recorded, "sts", config=named).get_caller_identity()
    (line,) = lines(path, "sts:GetCallerIdentity")
    assert (line["application"], line.get("principal")) == ("adapters-status", None)

# ruff: noqa: N803 - the names are those of boto3
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adapters_cli.manifests.stored_manifest import StoredManifest
from tests.fakes import FakeClient, client_error


def read(listed: list[str]) -> StoredManifest:
    def get_object(Bucket: str, Key: str) -> dict[str, Any]:
        raise client_error("AccessDenied", "Access Denied")

    def list_objects_v2(Bucket: str, Prefix: str, MaxKeys: int) -> dict[str, Any]:
        return {"Contents": [{"Key": key} for key in listed]}

    s3: Any = FakeClient(get_object=get_object, list_objects_v2=list_objects_v2)
    return StoredManifest.read(s3, "bucket", "a.yaml")


def test_manifest_that_may_be_listed_alone_and_is_not_there_is_none() -> None:
    assert (read([]).etag, read(["a.yaml.old"]).text) == (None, b"")


def test_manifest_that_may_not_be_read_is_refused() -> None:
    with pytest.raises(ClientError, match="Access Denied"):
        read(["a.yaml"])

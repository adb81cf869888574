from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from adapters_cli.manifests.stored_manifest import StoredManifest
from tests.fakes import FakeS3


def read(listed: list[str]) -> StoredManifest:
    s3 = FakeS3()
    for key in listed:
        s3.put("bucket", key, b"")
    s3.forbidden = ("bucket/a.yaml",)
    return StoredManifest.read(cast(Any, s3), "bucket", "a.yaml")


def test_manifest_that_may_be_listed_alone_and_is_not_there_is_none() -> None:
    assert (read([]).etag, read(["a.yaml.old"]).text) == (None, b"")


def test_manifest_that_may_not_be_read_is_refused() -> None:
    with pytest.raises(ClientError, match="Access Denied"):
        read(["a.yaml"])

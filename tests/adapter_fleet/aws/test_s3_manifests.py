"""Manifests in S3: their text, their version, and objects that do not exist."""

from __future__ import annotations

import io
from typing import Any

import pytest
from botocore.exceptions import ClientError

from adapter_fleet.aws.s3_manifests import S3Manifests


class Object:
    """A client of S3 that knows one object, or has an error for every call."""

    def __init__(self, error: str | None = None, **answer: Any) -> None:
        self._error, self._answer = error, answer

    def get_object(self, **_: str) -> dict[str, Any]:
        if self._error is not None:
            raise ClientError({"Error": {"Code": self._error}}, "GetObject")
        return {"ETag": '"e1"', "Body": io.BytesIO(b"adapters: []"), **self._answer}

    def head_object(self, **_: str) -> dict[str, Any]:
        return self.get_object()


def manifests(error: str | None = None, **answer: Any) -> S3Manifests:
    return S3Manifests(Object(error, **answer))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "version"), [({"VersionId": "v1"}, "v1"), ({"VersionId": "null"}, "e1"), ({}, "e1")]
)
def test_version_is_the_entity_tag_in_a_bucket_without_versioning(
    answer: dict[str, str], version: str
) -> None:
    assert manifests(**answer).read("bucket", "live.yaml") == (b"adapters: []", version)
    assert manifests(**answer).version("bucket", "live.yaml") == version


@pytest.mark.parametrize("code", ["NoSuchKey", "404"])
def test_object_that_does_not_exist_is_none(code: str) -> None:
    assert manifests(code).read("bucket", "live.yaml") is None
    assert manifests(code).version("bucket", "live.yaml") is None


def test_other_errors_are_raised() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        manifests("AccessDenied").read("bucket", "live.yaml")

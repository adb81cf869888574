"""S3 with objects in memory that are read by ranges, and what was read of them."""

# ruff: noqa: N803 - the names are those of boto3

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError, IncompleteReadError


def client_error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "GetObject")


class Body:
    """What comes over the line. `most` is the largest piece that was asked for."""

    def __init__(self, s3: FakeS3, data: bytes) -> None:
        self._s3 = s3
        self._data = data
        self._position = 0

    def read(self, size: int) -> bytes:
        if self._s3.cuts and self._position:
            self._s3.cuts -= 1
            raise IncompleteReadError(actual_bytes=self._position, expected_bytes=len(self._data))
        data = self._data[self._position : self._position + size]
        self._position += len(data)
        self._s3.bytes_read += len(data)
        self._s3.most = max(self._s3.most, size)
        return data

    def close(self) -> None:
        self._s3.closed += 1


class FakeS3:
    """Objects by bucket and key. `cuts` is how many times a connection is cut after its first piece."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self.refused: set[str] = set()
        self.cuts = 0
        self.requests = self.bytes_read = self.most = self.closed = 0

    def get_object(
        self, *, Bucket: str, Key: str, Range: str | None = None, IfMatch: str | None = None
    ) -> dict[str, Any]:
        self.requests += 1
        if Bucket in self.refused or Key in self.refused:
            raise client_error("AccessDenied", "Access Denied")
        data = self.objects.get((Bucket, Key))
        if data is None:
            raise client_error("NoSuchKey", "The specified key does not exist.")
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        if IfMatch not in (None, etag):
            raise client_error("PreconditionFailed", "At least one of the pre-conditions did not hold")
        if Range is None:
            return {"ETag": etag, "ContentLength": len(data), "Body": Body(self, data)}
        first, _, last = Range.removeprefix("bytes=").partition("-")
        begin, end = int(first), min(int(last or len(data)) + 1, len(data))
        if begin >= len(data):
            raise client_error("InvalidRange", "The requested range is not satisfiable")
        return {
            "ETag": etag,
            "ContentLength": end - begin,
            "ContentRange": f"bytes {begin}-{end - 1}/{len(data)}",
            "Body": Body(self, data[begin:end]),
        }

    def get_paginator(self, operation: str) -> FakeS3:
        assert operation == "list_objects_v2"
        return self

    def paginate(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        if Bucket in self.refused:
            raise client_error("AccessDenied", "Access Denied")
        keys = sorted(key for bucket, key in self.objects if bucket == Bucket and key.startswith(Prefix))
        yield {"Contents": [{"Key": key} for key in keys]} if keys else {}

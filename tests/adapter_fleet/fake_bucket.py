"""The part of S3 that a model is copied with, in memory: objects, and uploads in parts."""

# ruff: noqa: N803 - the names are those of boto3

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

MOST_KEYS = 3
"""On a page, so that there is a next one."""


class FakeS3:
    """One bucket.

    calls:
        The names of all calls, in order.
    forbidden:
        What the keys begin with that nobody may read or delete.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        self.calls: list[str] = []
        self.forbidden: tuple[str, ...] = ()
        self._begun: dict[str, datetime] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: Any, **_: Any) -> dict[str, Any]:
        self.calls.append("put_object")
        self.objects[Key] = Body if isinstance(Body, bytes) else Body.read()
        return {"ETag": etag(self.objects[Key])}

    def get_object(self, *, Bucket: str, Key: str, Range: str = "", **_: Any) -> dict[str, Any]:
        self.calls.append("get_object")
        content = self._object(Key)
        if Range:
            first, last = Range.removeprefix("bytes=").split("-")
            content = content[int(first) : int(last) + 1]
        return {"Body": io.BytesIO(content)}

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        content = self._object(Key)
        return {"ETag": etag(content), "ContentLength": len(content)}

    def delete_object(self, *, Bucket: str, Key: str) -> None:
        self.objects.pop(Key, None)

    def delete_objects(self, *, Bucket: str, Delete: Any) -> dict[str, Any]:
        keys = [item["Key"] for item in Delete["Objects"]]
        refused = [key for key in keys if key.startswith(self.forbidden)]
        for key in {*keys} - {*refused}:
            self.objects.pop(key, None)
        error = {"Code": "AccessDenied", "Message": "Access Denied"}
        return {"Errors": [{"Key": key, **error} for key in refused]} if refused else {}

    def create_multipart_upload(self, *, Bucket: str, Key: str, ChecksumAlgorithm: str) -> dict[str, str]:
        assert ChecksumAlgorithm == "CRC32"
        upload = f"upload-{len(self._begun)}"
        self.uploads[upload] = (Key, {})
        self._begun[upload] = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=len(self._begun))
        return {"UploadId": upload}

    def upload_part(self, *, Key: str, UploadId: str, PartNumber: int, Body: Any, **_: Any) -> None:
        self.calls.append("upload_part")
        self._parts(Key, UploadId)[PartNumber] = Body.read()

    def complete_multipart_upload(self, *, Key: str, UploadId: str, MultipartUpload: Any, **_: Any) -> None:
        parts = self._parts(Key, UploadId)
        assert all(item["ChecksumCRC32"] for item in MultipartUpload["Parts"])
        self.objects[Key] = b"".join(parts[item["PartNumber"]] for item in MultipartUpload["Parts"])
        del self.uploads[UploadId]

    def abort_multipart_upload(self, *, Key: str, UploadId: str, **_: Any) -> None:
        self._parts(Key, UploadId)
        del self.uploads[UploadId]

    def get_paginator(self, name: str) -> Any:
        return _Paginator(getattr(self, f"_{name}"))

    def _list_objects_v2(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        keys = sorted(key for key in self.objects if key.startswith(Prefix))
        if not keys:
            yield {}
        for start in range(0, len(keys), MOST_KEYS):
            contents = [(key, self.objects[key]) for key in keys[start : start + MOST_KEYS]]
            yield {
                "Contents": [
                    {"Key": key, "ETag": etag(content), "Size": len(content)} for key, content in contents
                ]
            }

    def _list_multipart_uploads(self, *, Bucket: str, Prefix: str) -> Iterator[dict[str, Any]]:
        yield {
            "Uploads": [
                {"Key": key, "UploadId": upload, "Initiated": self._begun[upload]}
                for upload, (key, _) in self.uploads.items()
                if key.startswith(Prefix)
            ]
        }

    def _list_parts(self, *, Bucket: str, Key: str, UploadId: str) -> Iterator[dict[str, Any]]:
        for number, content in sorted(self._parts(Key, UploadId).items()):
            part = {"PartNumber": number, "ETag": etag(content), "Size": len(content), "ChecksumCRC32": "crc"}
            yield {"Parts": [part]}

    def _object(self, key: str) -> bytes:
        if key.startswith(self.forbidden):
            raise client_error("AccessDenied")
        if key not in self.objects:
            raise client_error("NoSuchKey")
        return self.objects[key]

    def _parts(self, key: str, upload: str) -> dict[int, bytes]:
        found = self.uploads.get(upload)
        if found is None or found[0] != key:
            raise client_error("NoSuchUpload")
        return found[1]


class _Paginator:
    def __init__(self, pages: Any) -> None:
        self.paginate = pages


def etag(content: bytes) -> str:
    return f'"{hashlib.md5(content).hexdigest()}"'


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "Operation")

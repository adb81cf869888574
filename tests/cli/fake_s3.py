"""An S3 in memory with conditional writes, checksums and uploads in parts, that may fail at any call."""

# ruff: noqa: N803 - the names are those of boto3

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.cli.fleet_account import client_error


@dataclass
class Object:
    """An object with what was said of it when it was written."""

    body: bytes
    metadata: dict[str, str] = field(default_factory=dict)
    checksum: str | None = None

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


@dataclass
class Upload:
    """An upload in parts that is not complete."""

    key: str
    metadata: dict[str, str]
    parts: dict[int, Object] = field(default_factory=dict)


class FakeS3:
    """One bucket.

    before, after:
        Called with the name of each operation, before it has an effect and after.
    calls:
        Names of the operations that were asked for.
    """

    def __init__(self, bucket: str = "my-adapters") -> None:
        self.bucket = bucket
        self.objects: dict[str, Object] = {}
        self.uploads: dict[str, Upload] = {}
        self.calls: list[str] = []
        self.page_size = 1000
        self.before: Callable[[str], None] = lambda operation: None
        self.after: Callable[[str], None] = lambda operation: None
        self._ids = itertools.count()
        self._lock = threading.RLock()

    @property
    def writes(self) -> list[str]:
        return [call for call in self.calls if not call.startswith(("head", "get", "list"))]

    @property
    def bodies(self) -> dict[str, bytes]:
        return {key: stored.body for key, stored in sorted(self.objects.items())}

    def _begin(self, operation: str, bucket: str) -> None:
        with self._lock:
            self.calls.append(operation)
        self.before(operation)
        if bucket != self.bucket:
            raise client_error("404" if operation.startswith("head") else "NoSuchBucket", "no such bucket")

    def head_object(self, *, Bucket: str, Key: str, ChecksumMode: str = "") -> dict[str, Any]:
        self._begin("head_object", Bucket)
        if Key not in self.objects:
            raise client_error("404", "Not Found")
        stored = self.objects[Key]
        head = {"ContentLength": len(stored.body), "ETag": stored.etag, "Metadata": stored.metadata}
        if ChecksumMode == "ENABLED" and stored.checksum is not None:
            head["ChecksumSHA256"] = stored.checksum
        return head

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        self._begin("get_object", Bucket)
        if Key not in self.objects:
            raise client_error("NoSuchKey", "The specified key does not exist.")
        stored = self.objects[Key]
        return {"ETag": stored.etag, "Body": io.BytesIO(stored.body)}

    def put_object(
        self,
        *,
        Bucket: str,
        Key: str,
        Body: Any,
        ContentType: str,
        ChecksumSHA256: str | None = None,
        Metadata: dict[str, str] | None = None,
        **condition: str,
    ) -> dict[str, Any]:
        self._begin("put_object", Bucket)
        body = Body if isinstance(Body, bytes) else Body.read()
        if ChecksumSHA256 is not None and ChecksumSHA256 != sha256(body):
            raise client_error("BadDigest", "The SHA256 you specified did not match what we received.")
        self._store(Key, Object(body, Metadata or {}, ChecksumSHA256), condition)
        self.after("put_object")
        return {"ETag": self.objects[Key].etag}

    def _store(self, key: str, made: Object, condition: dict[str, str]) -> None:
        with self._lock:
            there = self.objects.get(key)
            if "IfNoneMatch" in condition and there is not None:
                raise client_error("PreconditionFailed", "At least one of the pre-conditions did not hold")
            if "IfMatch" in condition and (there is None or there.etag != condition["IfMatch"]):
                raise client_error("PreconditionFailed", "At least one of the pre-conditions did not hold")
            self.objects[key] = made

    def create_multipart_upload(
        self, *, Bucket: str, Key: str, ContentType: str, ChecksumAlgorithm: str, Metadata: dict[str, str]
    ) -> dict[str, str]:
        self._begin("create_multipart_upload", Bucket)
        upload = f"upload-{next(self._ids)}"
        self.uploads[upload] = Upload(Key, Metadata)
        self.after("create_multipart_upload")
        return {"UploadId": upload}

    def upload_part(
        self, *, Bucket: str, Key: str, UploadId: str, PartNumber: int, Body: bytes, ChecksumSHA256: str
    ) -> dict[str, str]:
        self._begin("upload_part", Bucket)
        assert ChecksumSHA256 == sha256(Body)
        part = self._upload(UploadId).parts[PartNumber] = Object(Body, checksum=ChecksumSHA256)
        self.after("upload_part")
        return {"ETag": part.etag}

    def complete_multipart_upload(
        self, *, Bucket: str, Key: str, UploadId: str, MultipartUpload: dict[str, Any], IfNoneMatch: str
    ) -> dict[str, str]:
        self._begin("complete_multipart_upload", Bucket)
        upload = self._upload(UploadId)
        parts = [upload.parts[part["PartNumber"]] for part in MultipartUpload["Parts"]]
        assert [part.etag for part in parts] == [part["ETag"] for part in MultipartUpload["Parts"]]
        body = b"".join(part.body for part in parts)
        of_parts = sha256(b"".join(base64.b64decode(part.checksum or "") for part in parts))
        made = Object(body, upload.metadata, f"{of_parts}-{len(parts)}")
        self._store(Key, made, {"IfNoneMatch": IfNoneMatch})
        del self.uploads[UploadId]
        self.after("complete_multipart_upload")
        return {"ETag": self.objects[Key].etag}

    def abort_multipart_upload(self, *, Bucket: str, Key: str, UploadId: str) -> None:
        self._begin("abort_multipart_upload", Bucket)
        self.uploads.pop(UploadId, None)

    def _upload(self, upload: str) -> Upload:
        if upload not in self.uploads:
            raise client_error("NoSuchUpload", "The specified upload does not exist.")
        return self.uploads[upload]

    def get_paginator(self, operation: str) -> _Pages:
        return _Pages(self, operation)


class _Pages:
    def __init__(self, s3: FakeS3, operation: str) -> None:
        self._s3, self._operation = s3, operation

    def paginate(
        self, *, Bucket: str, Prefix: str = "", Key: str = "", UploadId: str = ""
    ) -> Iterator[dict[str, Any]]:
        self._s3._begin(self._operation, Bucket)
        if self._operation == "list_objects_v2":
            found = [
                {"Key": key, "Size": len(stored.body), "ETag": stored.etag}
                for key, stored in sorted(self._s3.objects.items())
                if key.startswith(Prefix)
            ]
            size = self._s3.page_size
            for begin in range(0, max(1, len(found)), size):
                yield {"Contents": found[begin : begin + size], "IsTruncated": begin + size < len(found)}
            return
        if self._operation == "list_parts":
            for number, part in self._s3._upload(UploadId).parts.items():
                listed = {"PartNumber": number, "ETag": part.etag, "ChecksumSHA256": part.checksum}
                yield {"Parts": [listed]}
            return
        for order, (upload, made) in enumerate(self._s3.uploads.items()):
            if made.key.startswith(Prefix):
                listed = {"Key": made.key, "UploadId": upload, "Initiated": order}
                yield {"Uploads": [listed | {"ChecksumAlgorithm": "SHA256"}]}


def sha256(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()

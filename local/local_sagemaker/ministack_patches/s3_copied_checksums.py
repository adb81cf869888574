"""A copied object has the checksum that CopyObject requests, and no other.

Fault of ministack: it reads only the header of PutObject, `x-amz-sdk-checksum-algorithm`, and keeps the
source's checksums too. [V CopyObject, x-amz-checksum-algorithm] S3 computes the checksum from the copied
bytes.
"""

from contextvars import ContextVar
from typing import Any

from ministack.services import s3

from local_sagemaker.ministack_patches.internals import expect

_REQUESTED = "x-amz-checksum-algorithm"
_READ = "x-amz-sdk-checksum-algorithm"

_algorithm: ContextVar[str | None] = ContextVar("algorithm of the copy", default=None)


def install() -> None:
    """Pass the algorithm in the header that ministack reads, and drop the other checksums."""
    for name in ("_copy_object", "_record_object_version"):
        expect(hasattr(s3, name), f"s3.{name} exists")
    copy, record = s3._copy_object, s3._record_object_version

    def copy_with_checksum(bucket: str, key: str, headers: dict[str, str]) -> Any:
        algorithm = headers.get(_REQUESTED)
        if not algorithm:
            return copy(bucket, key, headers)
        before = _algorithm.set(algorithm.upper())
        try:
            return copy(bucket, key, {**headers, _READ: algorithm})
        finally:
            _algorithm.reset(before)

    def record_with_one_checksum(
        bucket: str, key: str, before: Any, written: dict[str, Any], content: Any
    ) -> Any:
        algorithm = _algorithm.get()
        if algorithm is not None:
            written["checksums"] = {algorithm: written["checksums"][algorithm]}
        return record(bucket, key, before, written, content)

    s3._copy_object = copy_with_checksum
    s3._record_object_version = record_with_one_checksum

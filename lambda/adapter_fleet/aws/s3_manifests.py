"""The manifests of fleets in S3."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.documents.document import MAX_DOCUMENT_BYTES

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_MISSING = ("NoSuchKey", "404")


class S3Manifests:
    """`Manifests` by boto3's client."""

    def __init__(self, client: "S3Client") -> None:
        self._client = client

    def read(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        """Return the newest text of an object and its version, None if there is no such object."""
        try:
            found = self._client.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if code_of(error) in _MISSING:
                return None
            raise
        # One byte more than a manifest may have, so that a manifest that is too large is refused as such.
        return found["Body"].read(MAX_DOCUMENT_BYTES + 1), _version_of(found)

    def version(self, bucket: str, key: str) -> str | None:
        """Return the newest version of an object, None if there is no such object."""
        try:
            found = self._client.head_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if code_of(error) in _MISSING:
                return None
            raise
        return _version_of(found)


def _version_of(answer: Mapping[str, Any]) -> str:
    """Return the version id of an object; in a bucket without versioning, its entity tag."""
    version: str | None = answer.get("VersionId")
    return answer["ETag"].strip('"') if version in (None, "null") else version

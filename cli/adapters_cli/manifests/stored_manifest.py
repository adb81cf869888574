"""A manifest in S3: read with its version, and replaced only if it is still that version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from adapter_fleet.aws.s3_objects import is_unlisted
from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.documents.document import MAX_DOCUMENT_BYTES
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import ManifestError
from adapters_cli.aws.s3_location import CONDITION_FAILED, NO_OBJECT

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


_NOT_SEEN = (*NO_OBJECT, "NoSuchBucket", "403", "AccessDenied")
"""Codes of an object that is not there, or that the caller may not read."""


class ChangedMeanwhileError(Exception):
    """Someone else has written the manifest since it was read."""


@dataclass(frozen=True, kw_only=True)
class StoredManifest:
    """A manifest in S3 as it was read.

    etag:
        Entity tag of the object; None if there was none.
    version:
        The version by which a fleet knows it; None if there was no object.
    """

    bucket: str
    key: str
    etag: str | None
    version: str | None
    text: bytes

    @classmethod
    def read(cls, s3: "S3Client", bucket: str, key: str) -> "StoredManifest":
        """Read the object. `etag` is None if there is none."""
        try:
            answer = s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            code = code_of(error)
            if code != "NoSuchKey" and not (code == "AccessDenied" and is_unlisted(s3, bucket, key)):
                raise
            return cls(bucket=bucket, key=key, etag=None, version=None, text=b"")
        # One byte more than the limit, so that a larger manifest is refused.
        text = answer["Body"].read(MAX_DOCUMENT_BYTES + 1)
        return cls(bucket=bucket, key=key, etag=answer["ETag"], version=_version_of(answer), text=text)

    @property
    def uri(self) -> str:
        """The object's URI."""
        return f"s3://{self.bucket}/{self.key}"

    @property
    def digest(self) -> str | None:
        """Digest of the manifest; None if the object is no valid manifest."""
        try:
            return Manifest.parse(self.text, where=self.key, folder=None).digest
        except ManifestError:
            return None

    def write(self, s3: "S3Client", text: bytes) -> str:
        """Replace the object and return its new version. Raises ChangedMeanwhileError if it has changed."""
        condition: Mapping[str, Any] = {"IfMatch": self.etag} if self.etag else {"IfNoneMatch": "*"}
        try:
            answer = s3.put_object(
                Bucket=self.bucket, Key=self.key, Body=text, ContentType=_content_type(self.key), **condition
            )
        except ClientError as error:
            gone = self.etag is not None and code_of(error) == "NoSuchKey"
            if code_of(error) not in CONDITION_FAILED and not gone:
                raise
            raise ChangedMeanwhileError from None
        return _version_of(answer)


def present_version(s3: "S3Client", bucket: str, key: str) -> str | None:
    """Return the version by which a fleet knows the object; None if it is not there or may not be read."""
    try:
        return _version_of(s3.head_object(Bucket=bucket, Key=key))
    except ClientError as error:
        if code_of(error) not in _NOT_SEEN:
            raise
        return None


def _content_type(key: str) -> str:
    return "application/json" if key.endswith(".json") else "application/yaml"


def _version_of(answer: Mapping[str, Any]) -> str:
    """Return the version by which a fleet knows a manifest: its entity tag in a bucket without versioning."""
    version: str | None = answer.get("VersionId")
    return version if version not in (None, "null") else answer["ETag"].strip('"')

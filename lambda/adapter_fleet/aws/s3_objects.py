"""The manifests of fleets and the archives of adapters in S3."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.artifacts.archive import ArchiveError
from adapter_fleet.artifacts.decompressing_reader import Readable
from adapter_fleet.artifacts.identity import identities_of
from adapter_fleet.artifacts.object_stream import ObjectStream
from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.documents.document import MAX_DOCUMENT_BYTES
from adapter_fleet.fleet.state.archive_version import ArchiveReading, ArchiveVersion
from adapter_fleet.fleet.state.sagemaker_port import MissingError, RefusedError, UnansweredError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_MISSING = ("NoSuchKey", "404")


def is_unlisted(client: "S3Client", bucket: str, key: str) -> bool:
    """Tell whether a list of exactly this key shows that there is no such object.

    S3 denies a missing object to who may list some prefixes alone: such a request has no prefix.
    """
    try:
        found = client.list_objects_v2(Bucket=bucket, Prefix=key, MaxKeys=1)
    except (BotoCoreError, ClientError):
        return False
    return all(item["Key"] != key for item in found.get("Contents", ()))


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


CallContext = Callable[[str], AbstractContextManager[None]]
"""Counts a call of an operation, and translates its errors into those of the port."""


class S3Archives:
    """Archives in S3 by their URIs."""

    def __init__(self, s3: "S3Client", call: CallContext) -> None:
        self._s3, self._call = s3, call

    def find(self, uri: str) -> ArchiveVersion | None:
        """Return the newest version of an archive, None if there is none."""
        bucket, key = bucket_and_key(uri)
        try:
            with self._call("HeadObject"):
                head = self._s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except MissingError:
            return None
        except RefusedError:
            if not is_unlisted(self._s3, bucket, key):
                raise
            return None
        return ArchiveVersion.of_head(uri, head)

    def read(self, version: ArchiveVersion, stop: Callable[[], bool]) -> ArchiveReading:
        """Read an archive to its end. Raises UnansweredError if it is replaced, or if `stop` returns True."""
        bucket, key = bucket_and_key(version.uri)

        def open_() -> Readable:
            # By its entity tag: to read by a version id needs another permission.
            return _Stoppable(ObjectStream(self._s3, bucket, key, etag=version.etag), stop, version.uri)

        with self._call("GetObject"):
            try:
                return ArchiveReading(version=version, identities=identities_of(open_))
            except ArchiveError as error:
                return ArchiveReading(version=version, problem=f"it holds none: {error}")
            except ClientError as error:
                if code_of(error) != "PreconditionFailed":
                    raise
                raise UnansweredError(f"{version.uri} was replaced while it was read") from None

    def copy(self, source: str, uri: str) -> None:
        """Copy an archive inside S3. Raises MissingError (the source)."""
        from_bucket, from_key = bucket_and_key(source)
        bucket, key = bucket_and_key(uri)
        with self._call("CopyObject"):
            self._s3.copy_object(
                Bucket=bucket,
                Key=key,
                CopySource={"Bucket": from_bucket, "Key": from_key},
                ChecksumAlgorithm="SHA256",
                # `cdk gc` tags what it will delete, and to copy tags needs another permission.
                TaggingDirective="REPLACE",
            )


class _Stoppable:
    """A stream that raises UnansweredError once `stop` returns True."""

    def __init__(self, stream: Readable, stop: Callable[[], bool], uri: str) -> None:
        self._stream, self._stop, self._uri = stream, stop, uri

    def read(self, size: int) -> bytes:
        if self._stop():
            raise UnansweredError(f"there was no time to read {self._uri} to its end")
        return self._stream.read(size)

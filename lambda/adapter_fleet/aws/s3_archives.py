"""The archives of adapters in S3, as the fleet's functions see them: found, read and copied."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from adapter_fleet.artifacts.archive_error import ArchiveError
from adapter_fleet.artifacts.decompressing_reader import Readable
from adapter_fleet.artifacts.identity import identities_of
from adapter_fleet.artifacts.object_stream import open_object
from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.fleet.state.archive_version import ArchiveReading, ArchiveVersion
from adapter_fleet.fleet.state.sagemaker_port import MissingError, UnansweredError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

Calling = Callable[[str], AbstractContextManager[None]]
"""Counts a call by its operation, and raises what its errors mean."""


class S3Archives:
    """Archives by their URIs."""

    def __init__(self, s3: "S3Client", calling: Calling) -> None:
        self._s3, self._calling = s3, calling

    def find(self, uri: str) -> ArchiveVersion | None:
        """Return the newest version of an archive, None where there is none."""
        bucket, key = bucket_and_key(uri)
        try:
            with self._calling("HeadObject"):
                head = self._s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except MissingError:
            return None
        return ArchiveVersion.of_head(uri, head)

    def read(self, version: ArchiveVersion, stop: Callable[[], bool]) -> ArchiveReading:
        """Read an archive to its end. UnansweredError where it is replaced meanwhile, or `stop` says so."""
        bucket, key = bucket_and_key(version.uri)

        @contextmanager
        def open_() -> Iterator[Readable]:
            # By its entity tag: to read by a version id takes a right of its own.
            with open_object(self._s3, bucket, key, etag=version.etag) as stream:
                yield _Stoppable(stream, stop, version.uri)

        with self._calling("GetObject"):
            try:
                return ArchiveReading(version=version, identities=identities_of(open_))
            except ArchiveError as error:
                return ArchiveReading(version=version, problem=f"it holds none: {error}")
            except ClientError as error:
                if code_of(error) != "PreconditionFailed":
                    raise
                raise UnansweredError(f"{version.uri} was replaced while it was read") from None

    def copy(self, source: str, uri: str) -> None:
        """Copy an archive inside S3. MissingError where there is none."""
        from_bucket, from_key = bucket_and_key(source)
        bucket, key = bucket_and_key(uri)
        with self._calling("CopyObject"):
            self._s3.copy_object(
                Bucket=bucket,
                Key=key,
                CopySource={"Bucket": from_bucket, "Key": from_key},
                ChecksumAlgorithm="SHA256",
                # `cdk gc` marks by tags what it will delete; to copy them takes rights of its own.
                TaggingDirective="REPLACE",
            )


class _Stoppable:
    """A stream that ends with an error once it is to stop."""

    def __init__(self, stream: Readable, stop: Callable[[], bool], uri: str) -> None:
        self._stream, self._stop, self._uri = stream, stop, uri

    def read(self, size: int) -> bytes:
        if self._stop():
            raise UnansweredError(f"there was no time to read {self._uri} to its end")
        return self._stream.read(size)

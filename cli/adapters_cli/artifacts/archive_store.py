"""The archives of published adapters in S3. Their keys contain their identities."""

import base64
import hashlib
import itertools
import os
from dataclasses import dataclass
from functools import cached_property
from typing import IO, TYPE_CHECKING, cast

from botocore.exceptions import ClientError

from adapter_fleet.artifacts.archive import DIGEST_METADATA, ArchiveError
from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.naming import archive_name
from adapter_fleet.common.s3_uri import bucket_and_key, problem_of_bucket
from adapter_fleet.fleet.state.archive_version import checksum_text
from adapter_rules.archives.packing import identity_of
from adapters_cli.aws.s3_location import CONDITION_FAILED, NO_OBJECT
from adapters_cli.output.errors import CommandError, NoAnswerError, UsageError
from adapters_cli.output.progress_bars import Watch

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: a single upload has at most 5 GB.
LARGEST_PUT = 5 * 1000**3
_MAX_ATTEMPTS = 3

SHA256 = "sha256"
"""The key of the SHA-256 of the archive itself, in hexadecimal."""


@dataclass(frozen=True, kw_only=True)
class StoredArchive:
    """An archive in S3, with its size in bytes.

    checksum:
        S3's SHA-256 of the archive, in the form of a manifest; None if unknown.
    """

    size: int
    checksum: str | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The keys of archives in S3. It has all of them only if it is `complete`."""

    keys: frozenset[str]
    complete: bool

    @cached_property
    def _folders(self) -> frozenset[str]:
        return frozenset(key.rpartition("/")[0] for key in self.keys)

    def has_folder(self, key: str) -> bool:
        """Return True if there is an archive in the same folder as this key."""
        return key.rpartition("/")[0] in self._folders


class ArchiveStore:
    """The archives in one folder of a bucket. An object appears whole or not at all, and is never replaced.

    An archive is uploaded in one request, with its SHA-256 as S3's checksum and in the metadata.
    """

    def __init__(self, s3: "S3Client", folder: str) -> None:
        self._s3 = s3
        bucket, prefix = bucket_and_key(folder)
        if not folder.startswith("s3://") or not bucket:
            raise UsageError(f"the destination should be 's3://<bucket>/<prefix>', got {short_repr(folder)}")
        if (problem := problem_of_bucket(bucket)) is not None:
            raise UsageError(f"the destination {problem}")
        self._bucket, self._prefix = bucket, prefix.strip("/")

    def key(self, name: str, identity: str) -> str:
        """Return the key of an adapter's archive."""
        return "/".join(filter(None, (self._prefix, name, archive_name(identity))))

    def uri(self, key: str) -> str:
        """Return the URI of a key."""
        return f"s3://{self._bucket}/{key}"

    def listed(self, *, pages: int) -> Listing:
        """List the archives, in `pages` calls at most. Raises NoAnswerError if there is no such bucket."""
        keys: set[str] = set()
        folder = f"{self._prefix}/" if self._prefix else ""
        found = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=folder)
        try:
            for page in itertools.islice(found, pages):
                keys.update(item["Key"] for item in page.get("Contents", ()))
        except ClientError as error:
            if code_of(error) != "NoSuchBucket":
                raise
            raise NoAnswerError(f"there is no bucket '{self._bucket}'") from None
        return Listing(keys=frozenset(keys), complete=not page["IsTruncated"])

    def find(self, key: str, identity: str) -> StoredArchive | None:
        """Return the archive of an adapter, None if there is none.

        Metadata may have been copied from another object. It is trusted only if its SHA-256 is the checksum
        that S3 computed. Else the archive is read: one uploaded in parts, or not by `upload`. Raises
        CommandError if it holds another adapter than its key says.
        """
        try:
            found = self._s3.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if code_of(error) not in NO_OBJECT:
                raise
            return None
        metadata = found.get("Metadata", {})
        trusted = _is_checksum_of(found.get("ChecksumSHA256"), metadata.get(SHA256))
        if metadata.get(DIGEST_METADATA) != identity or not trusted:
            self._verify(key, identity)
        return StoredArchive(size=found["ContentLength"], checksum=checksum_text(found.get("ChecksumSHA256")))

    def _verify(self, key: str, identity: str) -> None:
        body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"]
        try:
            found = identity_of(cast(IO[bytes], body))
        except ArchiveError as error:
            found = str(error)
        if found != identity:
            raise CommandError(
                f"{self.uri(key)} is there already, and should be the adapter of its name, got {found}"
            )

    def upload(self, key: str, identity: str, archive: IO[bytes], watch: Watch) -> tuple[StoredArchive, bool]:
        """Upload an archive; return it, and False if someone else has uploaded the same one meanwhile.

        Raises CommandError for an archive of more than 5 GB.
        """
        if (size := archive.seek(0, os.SEEK_END)) > LARGEST_PUT:
            raise CommandError(f"the archive should have at most {LARGEST_PUT} bytes, got {size}")
        archive.seek(0)
        sha256 = hashlib.file_digest(archive, "sha256")  # type: ignore[arg-type]  # it asks only to read
        metadata = {DIGEST_METADATA: identity, SHA256: sha256.hexdigest()}
        for attempt in range(_MAX_ATTEMPTS):
            try:
                checksum = base64.b64encode(sha256.digest()).decode()
                self._put(key, _Watched(archive, watch), metadata, checksum)
                return StoredArchive(size=size, checksum=checksum_text(checksum)), True
            except ClientError as error:
                # Someone else was uploading the same key, or deleted it.
                if code_of(error) not in CONDITION_FAILED:
                    raise
                if (there := self.find(key, identity)) is not None:
                    return there, False
                if attempt == _MAX_ATTEMPTS - 1:
                    raise
        raise AssertionError  # the last attempt returns or raises

    def _put(self, key: str, archive: "_Watched", metadata: dict[str, str], sha256: str) -> None:
        archive.seek(0)
        self._s3.put_object(
            Bucket=self._bucket,
            Key=key,
            Body=cast(IO[bytes], archive),
            ContentType="application/gzip",
            ChecksumSHA256=sha256,
            Metadata=metadata,
            IfNoneMatch="*",
        )


class _Watched:
    """An archive that reports how far it is read. A reader may start again, for example to sign it first."""

    def __init__(self, archive: IO[bytes], watch: Watch) -> None:
        self._archive, self._watch = archive, watch

    def read(self, size: int = -1) -> bytes:
        data = self._archive.read(size)
        self._watch(self._archive.tell())
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._archive.seek(offset, whence)

    def tell(self) -> int:
        return self._archive.tell()


def _is_checksum_of(checksum: str | None, sha256: str | None) -> bool:
    """Return True if a checksum of S3 is this SHA-256 of the whole object."""
    try:
        return checksum is not None and base64.b64decode(checksum, validate=True).hex() == sha256
    except ValueError:
        return False  # `…-2` is the checksum of the checksums of two parts

"""Places in S3 as people write them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter_fleet.common.digests import ARCHIVE_SUFFIX
from adapters_cli.account import UsageError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_SCHEME = "s3://"


@dataclass(frozen=True, kw_only=True)
class Location:
    """An object, or what objects lie under."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> "Location | None":
        """Return the place that `s3://bucket/key` names, or None for what is none in S3."""
        if not text.startswith(_SCHEME):
            return None
        bucket, _, key = text.removeprefix(_SCHEME).partition("/")
        return cls(bucket=bucket, key=key)

    @classmethod
    def of_manifest(cls, text: str) -> "Location | None":
        """Return the object that a manifest is, or None for one that is none in S3.

        Raises UsageError for a bucket or a folder.
        """
        location = cls.parse(text)
        if location is not None and (not location.bucket or not location.key or location.key.endswith("/")):
            raise UsageError(f"a manifest in S3 should be 's3://<bucket>/<key>', got {text!r}")
        return location

    @property
    def is_archive(self) -> bool:
        """Whether the key is that of an archive; others are folders."""
        return self.key.endswith(ARCHIVE_SUFFIX)

    @property
    def uri(self) -> str:
        """The place as people write it."""
        return f"{_SCHEME}{self.bucket}/{self.key}"

    def archives(self, s3: "S3Client") -> Iterator["Location"]:
        """Yield the archives below a folder. Raises ClientError or BotoCoreError."""
        prefix = f"{self.key.rstrip('/')}/" if self.key else ""
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                location = Location(bucket=self.bucket, key=found["Key"])
                if location.is_archive:
                    yield location

"""Objects and prefixes in S3, as people write them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from adapter_fleet.common.bounded_text import without_query
from adapter_fleet.common.naming import ARCHIVE_SUFFIX
from adapter_fleet.common.s3_uri import SCHEME, bucket_and_key, uri_of_address
from adapters_cli.output.errors import UsageError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

NO_OBJECT = ("404", "NoSuchKey", "NotFound")
"""Codes of an object that is not there. S3 gives a HEAD a status alone."""
CONDITION_FAILED = ("PreconditionFailed", "ConditionalRequestConflict")
"""Codes of S3 if the condition of a write does not hold: someone else wrote the object meanwhile."""


_IN_S3 = "an object in S3 is s3://<bucket>/<key>"
_OTHER_ADDRESSES = (
    # `pathlib` makes one slash of two.
    (re.compile(r"s3[an]?:/|arn:", re.IGNORECASE), _IN_S3),
    (re.compile(r"https?:/", re.IGNORECASE), f"download it first, to this machine or to S3; {_IN_S3}"),
)


def other_address(text: str) -> str | None:
    """Return what is wrong with an address that is neither of S3 nor a path; None for any other text."""
    if (uri := uri_of_address(re.sub("^(https?:/)(?!/)", r"\1/", text))) is not None:
        return f"write {uri}"
    return next((problem for form, problem in _OTHER_ADDRESSES if form.match(text)), None)


@dataclass(frozen=True, kw_only=True)
class S3Location:
    """An object in S3, or a prefix of objects."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> "S3Location | None":
        """Return the location that `s3://bucket/key` names; None for a path.

        Raises UsageError for another address, which is no path of a file either.
        """
        if not text.startswith(SCHEME):
            if (problem := other_address(text)) is not None:
                raise UsageError(f"{without_query(text)}: {problem}")
            return None
        bucket, key = bucket_and_key(text)
        return cls(bucket=bucket, key=key)

    @classmethod
    def of_manifest(cls, text: str) -> "S3Location | None":
        """Return the object of a manifest in S3; None for a path on this machine.

        Raises UsageError for a bucket or a folder.
        """
        location = cls.parse(text)
        if location is not None and (not location.bucket or not location.key or location.key.endswith("/")):
            raise UsageError(f"a manifest in S3 should be 's3://<bucket>/<key>', got {text!r}")
        return location

    @property
    def is_archive(self) -> bool:
        """True if the key names an archive. Any other key is a folder."""
        return self.key.endswith(ARCHIVE_SUFFIX)

    @property
    def uri(self) -> str:
        """The location as `s3://bucket/key`."""
        return f"{SCHEME}{self.bucket}/{self.key}"

    def archives(self, s3: "S3Client") -> Iterator["S3Location"]:
        """Yield the archives in a folder. Raises ClientError or BotoCoreError."""
        prefix = f"{self.key.rstrip('/')}/" if self.key else ""
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                location = S3Location(bucket=self.bucket, key=found["Key"])
                if location.is_archive:
                    yield location

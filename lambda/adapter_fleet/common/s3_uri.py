"""The URIs of objects in S3."""

import re

SCHEME = "s3://"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Split `s3://<bucket>/<key>`; a URI without a slash after the bucket has the key ''."""
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    return bucket, key


def problem_of_bucket(name: str) -> str | None:
    """Return why no bucket can have a name; None if one can."""
    if _BUCKET.fullmatch(name):
        return None
    return f"should have a bucket of 3 to 63 of a-z, 0-9, '.' and '-', got {name!r:.100}"

"""The URIs of objects in S3."""

import re
from urllib.parse import unquote

from adapter_fleet.common.bounded_text import short_repr

SCHEME = "s3://"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_SERVER = r"s3[.\w-]{0,50}\.amazonaws\.com(?:\.cn)?"
_OTHER_ADDRESSES = (
    r"arn:aws[\w-]*:s3:::([^/]+)/(.+)",
    rf"https?://([\w.-]{{3,63}})\.{_SERVER}/([^?#]+).*",
    rf"https?://{_SERVER}/([^/?#]+)/([^?#]+).*",
    r"https?://[\w.-]{0,50}console\.(?:aws\.amazon\.com|amazonaws\.cn)/s3/\w+/([^/?#]+)\?(?:.*&)?prefix=([^&#]+).*",
)
"""Other addresses of an object: its ARN, its URL by each of S3's two styles, and its page in the console."""


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Split `s3://<bucket>/<key>`; a URI without a slash after the bucket has the key ''."""
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    return bucket, key


def uri_of_address(text: str) -> str | None:
    """Return `s3://<bucket>/<key>` of an object's ARN or URL; None for any other text."""
    found = next(filter(None, (re.fullmatch(form, text) for form in _OTHER_ADDRESSES)), None)
    return found and f"{SCHEME}{found[1]}/{unquote(found[2])}"


def problem_of_bucket(name: str) -> str | None:
    """Return why no bucket can have a name; None if one can."""
    if _BUCKET.fullmatch(name):
        return None
    return f"should have a bucket of 3 to 63 of a-z, 0-9, '.' and '-', got {short_repr(name)}"

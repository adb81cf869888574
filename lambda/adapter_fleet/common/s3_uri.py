"""The URIs of objects in S3."""

SCHEME = "s3://"


def bucket_and_key(uri: str) -> tuple[str, str]:
    """Split `s3://<bucket>/<key>`; a URI without a slash after the bucket has the key ''."""
    bucket, _, key = uri.removeprefix(SCHEME).partition("/")
    return bucket, key

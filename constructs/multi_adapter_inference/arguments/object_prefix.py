"""Prefixes of keys in S3 that are folders."""

from aws_cdk import aws_s3 as s3

from adapter_fleet.common.validators import TOKEN


def as_folder(prefix: str) -> str:
    """Return a prefix with one slash at its end, unless it is empty or a token.

    Without the slash, `acme` would also be a prefix of `acme-eu/`.
    """
    if TOKEN in prefix:
        return prefix
    if prefix.startswith("/"):
        raise ValueError(f"'prefix' should not start with '/', got {prefix!r}")
    return f"{prefix.rstrip('/')}/" if prefix else ""


def folder_url(bucket: s3.IBucket, prefix: str) -> str:
    """Return the URL of a folder in S3, or of the whole bucket if `prefix` is empty."""
    return bucket.s3_url_for_object(prefix) if prefix else f"s3://{bucket.bucket_name}/"

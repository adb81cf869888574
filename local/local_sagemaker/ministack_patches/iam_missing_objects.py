"""S3 answers 403 for a missing object if the caller may not list the bucket.

Fault of ministack: it answers 404 to every caller.
"""

from collections.abc import Mapping
from typing import Any

from ministack.core import iam_actions
from ministack.services import s3

from local_sagemaker.ministack_patches.internals import expect_names


def install() -> None:
    """Require `s3:ListBucket` too for reading a missing object.

    [V GetObject, HeadObject] 404 with that permission, 403 without it.
    """
    expect_names(iam_actions, "s3_additional_checks")
    expect_names(s3, "_buckets", "_bucket_owner_account")
    known = iam_actions.s3_additional_checks

    def checks(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = known(method, path, headers, body, query)
        bucket, _, key = path.strip("/").partition("/")
        if method in ("GET", "HEAD") and key and _is_missing(bucket, key):
            found.append(("s3:ListBucket", f"arn:aws:s3:::{bucket}"))
        return found

    iam_actions.s3_additional_checks = checks


def _is_missing(name: str, key: str) -> bool:
    owner = s3._bucket_owner_account(name)
    bucket = None if owner is None else s3._buckets.get_scoped(owner, None, name)
    return bucket is not None and key not in bucket["objects"]

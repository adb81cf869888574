from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.local.conftest import boto_client
from tests.local.iam_users import allow
from tests.local.stacks import Bucket


def test_missing_object_looks_denied_to_who_may_not_list_the_bucket(
    guarded: LocalCloud, user: Callable[..., Callable[[str], Any]]
) -> None:
    bucket = Bucket(boto_client(guarded, "s3"))
    objects, itself = f"arn:aws:s3:::{bucket.name}/*", f"arn:aws:s3:::{bucket.name}"

    def code(*statements: dict[str, Any]) -> str:
        with pytest.raises(ClientError) as refused:
            user(*statements)("s3").head_object(Bucket=bucket.name, Key="missing")
        return str(refused.value.response["Error"]["Code"])

    reads, lists = allow("s3:GetObject", objects), allow("s3:ListBucket", itself)
    assert (code(reads), code(reads, lists)) == ("403", "404")

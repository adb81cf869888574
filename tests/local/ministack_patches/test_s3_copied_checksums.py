from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable
from typing import Any


def test_copied_object_has_the_checksum_that_the_copy_asks_for(client: Callable[..., Any]) -> None:
    s3, name, content = client("s3"), f"copies-{time.monotonic_ns()}", b"weights"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=name, Key="source", Body=content, ChecksumAlgorithm="CRC32")
    source = {"Bucket": name, "Key": "source"}
    copied = s3.copy_object(Bucket=name, Key="copy", CopySource=source, ChecksumAlgorithm="SHA256")
    for version in ({}, {"VersionId": copied["VersionId"]}):
        head = s3.head_object(Bucket=name, Key="copy", ChecksumMode="ENABLED", **version)
        assert head["ChecksumSHA256"] == base64.b64encode(hashlib.sha256(content).digest()).decode()
        assert head["ChecksumType"] == "FULL_OBJECT"
        assert "ChecksumCRC32" not in head

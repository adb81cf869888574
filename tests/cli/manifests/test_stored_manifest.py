from __future__ import annotations

from typing import Any, cast

from adapter_fleet.documents.document import MAX_DOCUMENT_BYTES
from adapters_cli.manifests.stored_manifest import StoredManifest
from tests.fakes.s3 import FakeS3, Object


def test_no_more_is_read_than_tells_that_it_is_too_large() -> None:
    s3 = FakeS3("my-adapters")
    s3.objects["my-adapters", "fleet.yaml"] = Object(b"#" * (2 * MAX_DOCUMENT_BYTES))
    stored = StoredManifest.read(cast(Any, s3), "my-adapters", "fleet.yaml")
    assert len(stored.text) == MAX_DOCUMENT_BYTES + 1
    assert stored.digest is None

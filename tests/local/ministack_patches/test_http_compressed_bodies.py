from __future__ import annotations

import gzip

import ministack.app
import pytest

from local_sagemaker.ministack_patches import http_compressed_bodies


def test_compressed_body_is_inflated_no_further_than_a_body_may_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ministack.app, "_decompress_request_body", ministack.app._decompress_request_body)
    http_compressed_bodies.install(1000)
    for size, inflated in ((1000, True), (1001, False)):
        body = gzip.compress(bytes(size))
        given = ministack.app._decompress_request_body(body, {"content-encoding": "gzip"})
        assert given == (bytes(size) if inflated else body)

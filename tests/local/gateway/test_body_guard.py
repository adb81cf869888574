import pytest
from starlette.datastructures import Headers

from local_sagemaker.gateway.body_guard import BODY_BYTES, UNDECLARED_BYTES, body_limit


@pytest.mark.parametrize(
    ("headers", "limit"),
    [
        ({}, UNDECLARED_BYTES),
        ({"content-length": "5"}, BODY_BYTES),
        ({"x-amz-decoded-content-length": str(1024**3 // 2)}, 1024**3 + UNDECLARED_BYTES),
        ({"x-amz-decoded-content-length": "9" * 12}, BODY_BYTES),
        ({"x-amz-decoded-content-length": "many"}, UNDECLARED_BYTES),
    ],
)
def test_body_may_be_as_long_as_it_declares(headers: dict[str, str], limit: int) -> None:
    assert body_limit(Headers(headers)) == limit

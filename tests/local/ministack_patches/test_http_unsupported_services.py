from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("service-quotas", "list_service_quotas", {"ServiceCode": "sagemaker"}),
        ("polly", "describe_voices", {}),
        ("redshift", "describe_clusters", {}),
    ],
    ids=["json", "rest-json", "query"],
)
def test_service_that_is_not_there_is_named(
    client: Callable[..., Any], service: str, operation: str, parameters: dict[str, str]
) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(client(service), operation)(**parameters)
    error = refused.value.response["Error"]
    assert error["Code"] == "UnknownOperationException"
    signed_as = service.replace("-", "")
    assert error["Message"] == f"The embedded cloud does not have the service '{signed_as}'."

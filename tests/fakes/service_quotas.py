"""Service Quotas in memory."""

# ruff: noqa: N803 - the names are those of boto3

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class FakeQuotas:
    """The quotas of an account for SageMaker, by name. They may be changed."""

    def __init__(self, **values: float) -> None:
        self.values = values

    def get_paginator(self, operation: str) -> FakeQuotas:
        assert operation in ("list_service_quotas", "list_aws_default_service_quotas")
        return self

    def paginate(self, *, ServiceCode: str) -> Iterator[dict[str, Any]]:
        assert ServiceCode == "sagemaker"
        yield {"Quotas": [{"QuotaName": "Processing jobs", "QuotaCode": "L-1", "Value": 1.0}]}
        for number, (name, value) in enumerate(self.values.items()):
            yield {"Quotas": [{"QuotaName": name, "QuotaCode": f"L-{number:08X}", "Value": value}]}

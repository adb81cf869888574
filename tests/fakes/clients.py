"""Clients of boto3 that answer from a test, and what they raise."""

# ruff: noqa: N803 - the names are those of boto3

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError


def client_error(code: str, message: str = "") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message or code}}, "Operation")


class FakeClient:
    """Answers calls and paginators with functions of a test, and any other one with a real client.

    pages:
        Functions that yield pages, by the operations.
    """

    def __init__(
        self, real: Any = None, *, pages: Mapping[str, Callable[..., Any]] | None = None, **calls: Any
    ) -> None:
        self._real, self._pages, self._calls = real, pages or {}, calls

    def get_paginator(self, operation: str) -> Any:
        if operation in self._pages:
            return SimpleNamespace(paginate=self._pages[operation])
        return self._real.get_paginator(operation)

    def __getattr__(self, name: str) -> Any:
        return self._calls[name] if name in self._calls else getattr(self._real, name)


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

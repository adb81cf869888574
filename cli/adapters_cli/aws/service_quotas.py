"""The account's quotas for SageMaker."""

from collections.abc import Callable
from typing import Any

SERVICE = "sagemaker"


def find_quota(client: Any, matches: Callable[[str], bool]) -> dict[str, Any] | None:
    """Return the quota whose name matches: the account's own value, or else AWS's default one."""
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        for page in client.get_paginator(operation).paginate(ServiceCode=SERVICE):
            for quota in page["Quotas"]:
                if matches(quota["QuotaName"]):
                    return dict(quota)
    return None


def is_component_quota(name: str) -> bool:
    """Return True for the quota of components on one endpoint.

    [I] AWS publishes neither its name nor a number. ResourceLimitExceeded quotes such names.
    """
    words = name.lower()
    return "inference component" in words and "endpoint" in words

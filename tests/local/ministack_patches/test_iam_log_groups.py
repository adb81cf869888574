from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.local.conftest import boto_client
from tests.local.iam_users import allow


def test_policy_for_a_log_group_needs_the_end_that_aws_wants(
    guarded: LocalCloud, user: Callable[..., Callable[[str], Any]]
) -> None:
    boto_client(guarded, "logs").create_log_group(logGroupName="/groups/mine")
    group = "arn:aws:logs:us-east-1:000000000000:log-group:/groups/mine"

    def read(resource: str) -> Any:
        return user(allow("logs:FilterLogEvents", resource))("logs").filter_log_events(
            logGroupName="/groups/mine"
        )

    assert read(f"{group}:*")["events"] == []
    with pytest.raises(ClientError, match="AccessDenied"):
        read(group)

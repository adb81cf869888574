"""Users of a cloud that enforces IAM, and their policies."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(actions: str | list[str], resources: str | list[str], **conditions: Any) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Action": actions, "Resource": resources}
    return statement | ({"Condition": conditions} if conditions else {})


def make_keys(iam: Any, *statements: dict[str, Any]) -> tuple[str, str]:
    """Make a user with policy statements; return its key and its secret."""
    name = f"user-{time.monotonic_ns()}"
    iam.create_user(UserName=name)
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=policy(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]


def make_user(iam: Any, client: Callable[..., Any], *statements: dict[str, Any]) -> Callable[[str], Any]:
    """Make a user with policy statements; return what makes the user's clients."""
    key, secret = make_keys(iam, *statements)
    return lambda service: client(service, aws_access_key_id=key, aws_secret_access_key=secret)

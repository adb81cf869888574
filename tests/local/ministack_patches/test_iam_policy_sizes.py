from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError


def policy(size: int) -> str:
    """Return a policy of so many characters, and some white space."""

    def with_key(key: str) -> dict[str, Any]:
        return {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::b/{key}"},
        }

    rest = size - len(json.dumps(with_key(""), separators=(",", ":")))
    return json.dumps(with_key("k" * rest), indent=4)


def test_policies_of_a_role_have_10240_characters_together(client: Callable[..., Any]) -> None:
    iam = client("iam")
    iam.create_role(RoleName="Sized", AssumeRolePolicyDocument="{}")
    try:
        for name, size in {"one": 6000, "two": 4240}.items():
            iam.put_role_policy(RoleName="Sized", PolicyName=name, PolicyDocument=policy(size))
        iam.put_role_policy(RoleName="Sized", PolicyName="two", PolicyDocument=policy(4239))
        with pytest.raises(ClientError, match="Maximum policy size of 10240 bytes exceeded for role Sized"):
            iam.put_role_policy(RoleName="Sized", PolicyName="two", PolicyDocument=policy(4241))
        assert iam.list_role_policies(RoleName="Sized")["PolicyNames"] == ["one", "two"]
    finally:
        for name in ("one", "two"):
            iam.delete_role_policy(RoleName="Sized", PolicyName=name)
        iam.delete_role(RoleName="Sized")

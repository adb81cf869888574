"""The inline policies of a role have 10,240 characters together.

Fault of ministack: it takes any number.
"""

import json
from typing import Any

from ministack.services import iam

from local_sagemaker.ministack_patches.internals import expect

# [V IAM guide, "IAM and AWS STS quotas"] White space does not count.
_LONGEST = 10_240
_PUT = "PutRolePolicy"


def install() -> None:
    """Refuse a policy that is too long beside the others; CloudFormation puts policies the same way."""
    expect(hasattr(iam, "_put_role_policy"), "iam._put_role_policy puts an inline policy on a role")
    expect(iam._IAM_HANDLERS.get(_PUT) is iam._put_role_policy, f"iam._IAM_HANDLERS has {_PUT}")
    put = iam._put_role_policy

    def put_if_short(parameters: dict[str, Any]) -> Any:
        role = iam._roles.get(iam._p(parameters, "RoleName"))
        name, document = iam._p(parameters, "PolicyName"), iam._p(parameters, "PolicyDocument")
        if role is not None:
            policies = role["InlinePolicies"] | {name: document}
            if sum(map(_length, policies.values())) > _LONGEST:
                # [T] The sentence as users quote it.
                return iam._error(
                    409,
                    "LimitExceeded",
                    f"Maximum policy size of {_LONGEST} bytes exceeded for role {role['RoleName']}",
                    ns="iam",
                )
        return put(parameters)

    iam._put_role_policy = iam._IAM_HANDLERS[_PUT] = put_if_short


def _length(document: str | dict[str, Any]) -> int:
    text = document if isinstance(document, str) else json.dumps(document)
    return len("".join(text.split()))

"""Application Auto Scaling where IAM is enforced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

SCALED = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "inference-component/base",
    "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
}


@pytest.mark.parametrize(
    ("resource", "answer"),
    [
        ("arn:aws:application-autoscaling:us-east-1:000000000000:scalable-target/*", "AccessDenied"),
        ("*", "Inference component doesn't exist"),
    ],
)
def test_permission_is_needed_on_all_targets(
    user: Callable[..., Callable[[str], Any]], resource: str, answer: str
) -> None:
    allowed = {"Effect": "Allow", "Action": "application-autoscaling:*", "Resource": resource}
    with pytest.raises(ClientError, match=answer):
        user(allowed)("application-autoscaling").register_scalable_target(
            **SCALED, MinCapacity=1, MaxCapacity=2
        )

"""Application Auto Scaling as a service of ministack: its API and its CloudFormation types."""

import json
from collections.abc import Mapping
from typing import Any

import ministack.app
from ministack.core import iam_actions, router
from ministack.services import eventbridge

from local_sagemaker.autoscaling.service import SERVICE
from local_sagemaker.cloudformation.autoscaling_types import AUTOSCALING_TYPES
from local_sagemaker.errors import ApiError
from local_sagemaker.gateway.cloud import CONTENT_TYPE, Cloud, Response, parse_request, refusal
from local_sagemaker.ministack_patches.internals import expect, provision_type


def install(cloud: Cloud) -> None:
    """Register Application Auto Scaling with ministack; UnknownMinistackError if its internals differ."""
    expect(SERVICE not in ministack.app.SERVICE_HANDLERS, "ministack has no Application Auto Scaling")
    for name in ("_parse_cron_fields", "_cron_next_fire"):
        expect(hasattr(eventbridge, name), f"eventbridge.{name} reads cron expressions")

    async def handle(
        method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> Response:
        del method, path, query
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            answer = cloud.autoscaling().call(operation, parse_request(body))
        except ApiError as error:
            return refusal(error, CONTENT_TYPE, "message")
        return 200, {"Content-Type": CONTENT_TYPE}, json.dumps(answer).encode()

    ministack.app.SERVICE_HANDLERS[SERVICE] = handle
    router.SERVICE_PATTERNS[SERVICE] = {
        "target_prefixes": ["AnyScaleFrontendService."],
        "host_patterns": [],
        "credential_scope": SERVICE,
    }
    iam_actions.SERVICE_TO_IAM_NAMESPACE[SERVICE] = SERVICE
    iam_actions._BOTOCORE_SERVICE_MAP[SERVICE] = [SERVICE]

    for kind in AUTOSCALING_TYPES:
        handlers = kind(lambda operation, request: cloud.autoscaling().call(operation, request))
        provision_type(kind.name, handlers, kind.create_only)

"""Application Auto Scaling as a service of ministack: its API and its CloudFormation types."""

import json
from collections.abc import Mapping
from typing import Any

import ministack.app
from ministack.core import iam_actions, router
from ministack.services.cloudformation import provisioners

from local_sagemaker.autoscaling.records import scalable_target_arn
from local_sagemaker.autoscaling.service import SERVICE
from local_sagemaker.cloudformation.autoscaling_types import AUTOSCALING_TYPES
from local_sagemaker.errors import ApiError
from local_sagemaker.gateway.cloud import CONTENT_TYPE, Cloud, Response, parse_request, refusal
from local_sagemaker.ministack_patches.internals import expect


def install(cloud: Cloud) -> None:
    """Register Application Auto Scaling with ministack; UnknownMinistackError if its internals differ."""
    expect(SERVICE not in ministack.app.SERVICE_HANDLERS, "ministack has no Application Auto Scaling")

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
    _install_resources()

    def call(operation: str, request: dict[str, Any]) -> dict[str, Any]:
        return cloud.autoscaling().call(operation, request)

    for kind in AUTOSCALING_TYPES:
        handlers = kind(call)
        provisioners._RESOURCE_HANDLERS[kind.name] = {
            "create": handlers.create,
            "update": handlers.update,
            "delete": handlers.delete,
        }
        provisioners._REPLACING_PROPERTIES[kind.name] = kind.create_only


def _install_resources() -> None:
    """Let IAM see the scalable target of a call."""
    expect(hasattr(iam_actions, "extract_resource_arn"), "iam_actions.extract_resource_arn finds resources")
    extract = iam_actions.extract_resource_arn

    def extract_for_autoscaling(
        service: str,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes,
        query: Mapping[str, Any],
        region: str,
        account: str,
    ) -> Any:
        if service != SERVICE:
            return extract(service, method, path, headers, body, query, region, account)
        return resource_arn(headers.get("x-amz-target", ""), body, region=region, account=account)

    iam_actions.extract_resource_arn = extract_for_autoscaling


def resource_arn(target: str, body: bytes, *, region: str, account: str) -> str:
    """[V service authorization reference] The ARN of a call's scalable target; "*" for descriptions."""
    try:
        request = json.loads(body or b"{}")
    except ValueError:
        return "*"
    if not isinstance(request, dict) or target.rpartition(".")[2].startswith("Describe"):
        return "*"
    if "ResourceARN" in request:
        return str(request["ResourceARN"])
    resource, dimension = str(request.get("ResourceId")), str(request.get("ScalableDimension"))
    return scalable_target_arn(resource, dimension, account=account, region=region)

"""Faults of DynamoDB: calls of ministack's DynamoDB that fail, are slow, or lose their answer."""

import json
from collections.abc import Mapping
from typing import Any

import ministack.app

from local_sagemaker.control_plane.faults import DYNAMODB, CallFault, Faults
from local_sagemaker.gateway.cloud import Response, lost_answer
from local_sagemaker.ministack_patches.internals import replaces

_MEDIA_TYPE = "application/x-amz-json-1.0"

# [V developer guide, "Error handling with DynamoDB"] All of these are answered with 400. [T, quoted answers]
# Errors of AWS's framework have other namespaces than DynamoDB's own; that of a refusal has `Message`.
_NAMESPACES = {
    "AccessDeniedException": "com.amazon.coral.service",
    "ThrottlingException": "com.amazon.coral.availability",
}
_OWN_NAMESPACE = "com.amazonaws.dynamodb.v20120810"


def install_dynamodb_faults(faults: Faults) -> None:
    """Let calls of DynamoDB meet the faults in force; UnknownMinistackError if ministack has no DynamoDB."""

    @replaces(ministack.app.SERVICE_HANDLERS, "dynamodb")
    async def handle(
        answer: Any, method: str, path: str, headers: Mapping[str, str], body: bytes, query: Mapping[str, Any]
    ) -> Response:
        operation = DYNAMODB + headers.get("x-amz-target", "").rpartition(".")[2]
        tables = _tables(body) if faults.calls else set()
        await faults.delay(operation, tables)
        fault = faults.of_call(operation, tables)
        if fault is not None:
            return _error(fault)
        found: Response = await answer(method, path, headers, body, query)
        if faults.loses_answer(operation, tables):
            return 200, {"Content-Type": _MEDIA_TYPE}, lost_answer()
        return found


def _error(fault: CallFault) -> Response:
    kind = f"{_NAMESPACES.get(fault.code, _OWN_NAMESPACE)}#{fault.code}"
    key = "Message" if fault.code == "AccessDeniedException" else "message"
    body = json.dumps({"__type": kind, key: fault.message}).encode()
    return fault.status, {"Content-Type": _MEDIA_TYPE}, body


def _tables(body: bytes) -> set[str]:
    """Return the names of the tables that a request is for, also where it has their ARNs."""
    try:
        request = json.loads(body or b"{}")
        actions = [action for item in request.get("TransactItems", ()) for action in item.values()]
        found = {part.get("TableName") or part.get("ResourceArn") or "" for part in (request, *actions)}
        found |= set(request.get("RequestItems", ()))
        return {name.rpartition("table/")[2] for name in found}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return set()  # ministack refuses it

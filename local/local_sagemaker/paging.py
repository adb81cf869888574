"""Listings: filters, order and pages, the same for every kind of resource."""

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any

from local_sagemaker.errors import validation_exception

# [V] ListInferenceComponents answers 10 unless told otherwise and at most 100; its siblings do the same.
_DEFAULT_PAGE = 10

Summary = dict[str, Any]

_BOUNDS: dict[str, Callable[[float, float], bool]] = {
    "Before": lambda moment, limit: moment < limit,
    "After": lambda moment, limit: moment > limit,
}


def page(
    request: dict[str, Any],
    summaries: Sequence[Summary],
    *,
    kind: str,
    equals: dict[str, str] | None = None,
) -> dict[str, Any]:
    """The page of a listing that a request asks for, as the operation's answer.

    kind is the prefix of the resource's members ("Endpoint"); equals maps the request's filters for
    equality to the members they compare, beside the name and time filters that all listings share.
    """
    name_key, answer_key = f"{kind}Name", f"{kind}s"
    chosen = [summary for summary in summaries if _matches(request, summary, name_key, equals or {})]
    chosen.sort(key=lambda summary: str(summary[name_key]))
    sort_by = request.get("SortBy", "CreationTime")
    sort_key = {"Name": name_key, "Status": f"{kind}Status"}.get(sort_by, sort_by)
    descending = request.get("SortOrder", "Descending") == "Descending"
    chosen.sort(key=lambda summary: summary[sort_key], reverse=descending)

    start = _decode(request["NextToken"]) if request.get("NextToken") else 0
    end = start + request.get("MaxResults", _DEFAULT_PAGE)
    answer: dict[str, Any] = {answer_key: chosen[start:end]}
    if end < len(chosen):
        answer["NextToken"] = _encode(end)
    return answer


def _matches(request: dict[str, Any], summary: Summary, name_key: str, equals: dict[str, str]) -> bool:
    if request.get("NameContains", "") not in summary[name_key]:
        return False
    for filter_name, member in equals.items():
        if filter_name in request and summary[member] != request[filter_name]:
            return False
    return all(
        holds(summary[member], request[member + bound])
        for member in ("CreationTime", "LastModifiedTime")
        for bound, holds in _BOUNDS.items()
        if member + bound in request
    )


def _encode(offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"offset": offset}).encode()).decode()


def _decode(token: str) -> int:
    try:
        offset = json.loads(base64.urlsafe_b64decode(token))["offset"]
    except (ValueError, KeyError, TypeError):
        raise validation_exception("The pagination token is invalid.") from None
    if not isinstance(offset, int) or offset < 0:
        raise validation_exception("The pagination token is invalid.")
    return offset

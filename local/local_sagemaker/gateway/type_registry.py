"""DescribeType, and the identifiers of GetTemplateSummary, by which `cdk import` finds resources."""

from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import Any

from ministack.core.responses import get_region
from ministack.services.cloudformation import changesets, handlers, helpers, provisioners

from local_sagemaker.ministack_patches.internals import expect, expect_names

_DESCRIBE = "DescribeType"
_SUMMARY = "GetTemplateSummary"
_RESOURCE = "RESOURCE"


def install() -> None:
    """Register the operation with ministack; UnknownMinistackError if its internals differ."""
    expect(_DESCRIBE not in handlers._ACTION_HANDLERS, f"ministack has no {_DESCRIBE} of its own")
    expect(_SUMMARY in handlers._ACTION_HANDLERS, f"handlers._ACTION_HANDLERS has {_SUMMARY}")
    expect_names(helpers, "_p", "_xml", "_error")
    expect_names(handlers, "_resolve_template", "_parse_template")
    handlers._ACTION_HANDLERS[_DESCRIBE] = _describe_type
    handlers._ACTION_HANDLERS[_SUMMARY] = _with_identifiers(handlers._ACTION_HANDLERS[_SUMMARY])


def _with_identifiers(summarize: Callable[[Mapping[str, Any]], Any]) -> Callable[[Mapping[str, Any]], Any]:
    def summarize_with_identifiers(parameters: Mapping[str, Any]) -> Any:
        answer = summarize(parameters)
        template, refusal = handlers._resolve_template(parameters)
        if b"<ResourceTypes>" not in answer[2] or refusal or not template:
            return answer
        resources = handlers._parse_template(template).get("Resources", {})
        summaries = ""
        for kind, (identifiers, _) in changesets._IMPORT_LOOKUPS.items():
            ids = [name for name, resource in resources.items() if resource.get("Type") == kind]
            if ids:
                summaries += (
                    f"<member><ResourceType>{kind}</ResourceType>"
                    f"<LogicalResourceIds>{_members(ids)}</LogicalResourceIds>"
                    f"<ResourceIdentifiers>{_members(identifiers)}</ResourceIdentifiers></member>"
                )
        end = f"</{_SUMMARY}Result>".encode()
        found = f"<ResourceIdentifierSummaries>{summaries}</ResourceIdentifierSummaries>".encode()
        return *answer[:2], answer[2].replace(end, found + end)

    return summarize_with_identifiers


def _members(texts: Iterable[str]) -> str:
    return "".join(f"<member>{escape(text)}</member>" for text in texts)


def _describe_type(parameters: Mapping[str, Any]) -> Any:
    name = helpers._p(parameters, "TypeName")
    if helpers._p(parameters, "Type", _RESOURCE) != _RESOURCE or name not in provisioners._RESOURCE_HANDLERS:
        # [T] The sentence as users quote it.
        return helpers._error("TypeNotFoundException", f"The type '{name}' cannot be found.", 404)
    described = {
        "Arn": f"arn:aws:cloudformation:{get_region()}::type/resource/{name.replace('::', '-')}",
        "Type": _RESOURCE,
        "TypeName": name,
    }
    members = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in described.items())
    return helpers._xml(200, f"{_DESCRIBE}Response", f"<{_DESCRIBE}Result>{members}</{_DESCRIBE}Result>")

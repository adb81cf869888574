"""SageMaker and Application Auto Scaling as services of ministack: APIs, CloudFormation types, registry."""

import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

import ministack.app
from ministack.core import iam_actions, router
from ministack.core.responses import get_region
from ministack.services import eventbridge
from ministack.services.cloudformation import changesets, drift, handlers, helpers, provisioners

from local_sagemaker.autoscaling.service import SERVICE
from local_sagemaker.cloudformation.autoscaling_types import AUTOSCALING_TYPES
from local_sagemaker.cloudformation.handlers import Handlers
from local_sagemaker.cloudformation.resource_types import RESOURCE_TYPES
from local_sagemaker.errors import ApiError
from local_sagemaker.gateway import bearer_token, iam
from local_sagemaker.gateway.cloud import CONTENT_TYPE, Cloud, Response, parse_request, refusal
from local_sagemaker.ministack_patches.internals import expect, expect_names, provision_type, replaces


def install_sagemaker(cloud: Cloud) -> None:
    """Register SageMaker with ministack; UnknownMinistackError if ministack's internals differ."""
    for holder, name in (
        (ministack.app, "SERVICE_HANDLERS"),
        (router, "SERVICE_PATTERNS"),
        (provisioners, "_RESOURCE_HANDLERS"),
        (provisioners, "_REPLACING_PROPERTIES"),
        (provisioners, "_CUSTOM_NAME_REPLACEMENT"),
        (provisioners, "_STACK_TAG_PROPERTY"),
        (drift, "_DRIFT_READERS"),
        (changesets, "_IMPORT_LOOKUPS"),
    ):
        expect(isinstance(getattr(holder, name, None), dict), f"{name} is a dictionary")
    expect_names(ministack.app, "app", "AUTH", "_MAIN_LOOP")
    expect("sagemaker" not in ministack.app.SERVICE_HANDLERS, "ministack has no SageMaker of its own")
    ministack.app.SERVICE_HANDLERS["sagemaker"] = cloud.handle
    router.SERVICE_PATTERNS["sagemaker"] = {"target_prefixes": ["SageMaker."], "host_patterns": []}
    for resource in RESOURCE_TYPES:
        handlers = Handlers(resource, cloud.plane, lambda: ministack.app._MAIN_LOOP)
        name = resource.cloudformation_type
        provision_type(name, handlers, resource.create_only)
        provisioners._STACK_TAG_PROPERTY[name] = ("Tags", "list")
        drift._DRIFT_READERS[name] = handlers.read, resource.readable
        provisioners._RESOURCE_HANDLERS[name]["import"] = handlers.adopt
        changesets._IMPORT_LOOKUPS[name] = (resource.arn,), handlers.import_problem
        if resource.create_only:
            provisioners._CUSTOM_NAME_REPLACEMENT[name] = {"name": resource.name}
    drift.DRIFT_DETECTABLE_STATUSES |= {"IMPORT_COMPLETE"}  # [V user guide on imports]
    iam.install(lambda: cloud.plane().tags.all().items())
    install_type_registry()
    bearer_token.check_internals()


def install_autoscaling(cloud: Cloud) -> None:
    """Register Application Auto Scaling with ministack; UnknownMinistackError if its internals differ."""
    expect(SERVICE not in ministack.app.SERVICE_HANDLERS, "ministack has no Application Auto Scaling")
    expect_names(eventbridge, "_parse_cron_fields", "_cron_next_fire")

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


_DESCRIBE = "DescribeType"
_SUMMARY = "GetTemplateSummary"
_RESOURCE = "RESOURCE"


def install_type_registry() -> None:
    """Register DescribeType, and the identifiers of GetTemplateSummary, which `cdk import` asks."""
    expect(_DESCRIBE not in handlers._ACTION_HANDLERS, f"ministack has no {_DESCRIBE} of its own")
    expect_names(helpers, "_p", "_xml", "_error")
    expect_names(handlers, "_resolve_template", "_parse_template")
    handlers._ACTION_HANDLERS[_DESCRIBE] = _describe_type
    replaces(handlers._ACTION_HANDLERS, _SUMMARY)(_summarize_with_identifiers)


def _summarize_with_identifiers(summarize: Any, parameters: Mapping[str, Any]) -> Any:
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

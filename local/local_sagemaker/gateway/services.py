"""SageMaker and Application Auto Scaling as services of ministack: APIs and CloudFormation types."""

import json
from collections.abc import Mapping
from typing import Any

import ministack.app
from ministack.core import iam_actions, router
from ministack.services import eventbridge
from ministack.services.cloudformation import changesets, drift, provisioners

from local_sagemaker.autoscaling.service import SERVICE
from local_sagemaker.cloudformation.autoscaling_types import AUTOSCALING_TYPES
from local_sagemaker.cloudformation.handlers import Handlers
from local_sagemaker.cloudformation.resource_types import RESOURCE_TYPES
from local_sagemaker.errors import ApiError
from local_sagemaker.gateway import bearer_token, iam, type_registry
from local_sagemaker.gateway.cloud import CONTENT_TYPE, Cloud, Response, parse_request, refusal
from local_sagemaker.ministack_patches.internals import expect, expect_names, provision_type


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
    type_registry.install()
    bearer_token.check_internals()


def install_autoscaling(cloud: Cloud) -> None:
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

"""SageMaker's API and CloudFormation types as services of ministack."""

import ministack.app
from ministack.core import router
from ministack.services.cloudformation import changesets, drift, provisioners

from local_sagemaker.cloudformation.handlers import Handlers
from local_sagemaker.cloudformation.resource_types import RESOURCE_TYPES
from local_sagemaker.gateway import bearer_token, iam, type_registry
from local_sagemaker.gateway.cloud import Cloud
from local_sagemaker.ministack_patches.internals import expect, expect_names, provision_type


def install(cloud: Cloud) -> None:
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

"""How CloudFormation treats resources of some types, and finds a resource or a template."""

import re
from collections.abc import Mapping
from typing import Any

from ministack.services import cloudformation, lambda_svc, s3
from ministack.services.cloudformation import handlers, helpers, provisioners, stacks

from local_sagemaker.ministack_patches.internals import after_provisioning, expect, expect_names, replaces


def install_native_types(prefix: str) -> None:
    """The types with a prefix run on threads, and their failed updates are rolled back, as on AWS.

    Faults of ministack: it runs the handlers of unknown types on the event loop, which blocks the whole
    cloud, as they wait. In a rollback, it sends a resource whose update failed its old properties only if the
    resource is a custom resource or a nested stack.
    """
    expect_names(stacks, "_runs_on_worker_thread")
    expect(not stacks._runs_on_worker_thread(f"{prefix}Anything"), f"{prefix} runs on the event loop")
    for name in ("_runs_on_worker_thread", "_sends_back_failed_update"):

        @replaces(stacks, name)
        def is_so_for_native_types(is_so: Any, resource_type: str) -> bool:
            return resource_type.startswith(prefix) or bool(is_so(resource_type))


_BUCKET_TYPE = "AWS::S3::Bucket"


def install_bucket_tags() -> None:
    """Buckets have the tags of their template and of the stack.

    Fault of ministack: it drops them, and the auto-delete-objects handler of the CDK empties tagged buckets
    only.
    """
    expect(_BUCKET_TYPE not in provisioners._STACK_TAG_PROPERTY, f"{_BUCKET_TYPE} takes no stack tags")
    expect_names(s3, "_bucket_tags")
    after_provisioning(_BUCKET_TYPE, _tag_bucket)
    provisioners._STACK_TAG_PROPERTY[_BUCKET_TYPE] = ("Tags", "list")


def _tag_bucket(bucket: str, properties: dict[str, Any]) -> None:
    tags = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
    if tags:
        s3._bucket_tags[bucket] = tags
    else:
        s3._bucket_tags.pop(bucket, None)


_QUEUE_SETTING = "DeadLetterConfig"


def install_dead_letter_queues() -> None:
    """Functions send events that they fail to handle to the queue of their template.

    Fault of ministack: it ignores the property DeadLetterConfig.
    """
    expect_names(lambda_svc, "_functions")
    after_provisioning("AWS::Lambda::Function", _set_queue)


def _set_queue(function: str, properties: dict[str, Any]) -> None:
    config = lambda_svc._functions[function]["config"]
    config.pop(_QUEUE_SETTING, None)
    if properties.get(_QUEUE_SETTING):
        config[_QUEUE_SETTING] = properties[_QUEUE_SETTING]


def install_physical_ids() -> None:
    """DescribeStackResources finds the stack of a resource by the physical id alone.

    Fault of ministack: it asks for the name of the stack, which a caller with a resource in hand does not
    know.
    """
    expect_names(cloudformation, "_stacks")
    expect_names(helpers, "_p", "_error")

    @replaces(handlers._ACTION_HANDLERS, "DescribeStackResources")
    def describe_by_id(describe: Any, parameters: Mapping[str, Any]) -> Any:
        wanted = helpers._p(parameters, "PhysicalResourceId")
        if not wanted or helpers._p(parameters, "StackName"):
            return describe(parameters)
        for stack in cloudformation._stacks.values():
            gone = stack.get("StackStatus") == "DELETE_COMPLETE"
            resources = [] if gone else stack.get("_resources", {}).values()
            if any(resource.get("PhysicalResourceId") == wanted for resource in resources):
                return describe({**parameters, "StackName": stack["StackId"]})
        return helpers._error("ValidationError", f"Stack for {wanted} does not exist")


_BUCKET_IN_HOST = re.compile(r"^(https?://)([^/]+)\.(s3[.-][^/]+/)")


def install_template_urls() -> None:
    """The URL of a template may have the bucket in its host, as `cdk orphan` writes it.

    Fault of ministack: it takes the first part of the path for the bucket. [V S3 user guide, virtual-hosted
    style requests]
    """

    @replaces(helpers, "_resolve_document")
    def resolve_either_style(
        resolve: Any, parameters: Mapping[str, Any], body: str, url: str, label: str
    ) -> Any:
        address = _BUCKET_IN_HOST.sub(r"\1\3\2/", helpers._p(parameters, url))
        return resolve({**parameters, url: [address]}, body, url, label)

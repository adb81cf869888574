"""What exists in the embedded cloud's account, so that the demo can tell that nothing is left."""

from collections.abc import Callable, Iterable
from typing import Any

Client = Callable[[str], Any]
"""Service name → boto3 client."""

_BOOTSTRAP = "cdk-hnb659fds-"
# SageMaker makes these itself, and they outlive endpoints and components, on AWS too.
_SAGEMAKER_LOGS = "/aws/sagemaker/"


def leftovers(client: Client) -> list[str]:
    """Return everything that is there beside the bootstrap stack, each as `kind name`."""
    sagemaker = client("sagemaker")
    found = {
        "stack": (
            stack["StackName"]
            for stack in _all(client("cloudformation"), "describe_stacks", "Stacks")
            if stack["StackName"] != "CDKToolkit"
        ),
        "inference component": _names(sagemaker, "list_inference_components", "InferenceComponentName"),
        "endpoint": _names(sagemaker, "list_endpoints", "EndpointName"),
        "endpoint configuration": _names(sagemaker, "list_endpoint_configs", "EndpointConfigName"),
        "model": _names(sagemaker, "list_models", "ModelName"),
        "role": (
            role["RoleName"]
            for role in _all(client("iam"), "list_roles", "Roles")
            if not role["RoleName"].startswith(_BOOTSTRAP)
            and not role["Path"].startswith("/aws-service-role/")
        ),
        "bucket": (
            bucket["Name"]
            for bucket in client("s3").list_buckets()["Buckets"]
            if not bucket["Name"].startswith(_BOOTSTRAP)
        ),
        "table": _all(client("dynamodb"), "list_tables", "TableNames"),
        "function": _names(client("lambda"), "list_functions", "FunctionName"),
        "state machine": _names(client("stepfunctions"), "list_state_machines", "name"),
        "rule": (rule["Name"] for rule in _all(client("events"), "list_rules", "Rules")),
        "log group": (
            name
            for name in _names(client("logs"), "describe_log_groups", "logGroupName")
            if not name.startswith(_SAGEMAKER_LOGS)
        ),
    }
    return [f"{kind} {name}" for kind, names in found.items() for name in names]


def _all(client: Any, operation: str, key: str) -> Iterable[Any]:
    """Return the items of every page."""
    return list(client.get_paginator(operation).paginate().search(f"{key}[]"))


def _names(client: Any, operation: str, name: str) -> Iterable[str]:
    """Return a field of the items of every page; the one list in the answer has them."""
    paginator = client.get_paginator(operation)
    (key,) = [result.expression for result in paginator.result_keys]
    return list(paginator.paginate().search(f"{key}[].{name}"))

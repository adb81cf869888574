"""What exists in the embedded cloud's account, so that the demo can tell that nothing is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Client = Callable[[str], Any]
"""Service name → boto3 client."""


def leftovers(client: Client) -> list[str]:
    """Return everything that is there beside the bootstrap stack, each as `kind name`."""
    stacks = client("cloudformation").describe_stacks()["Stacks"]
    sagemaker = client("sagemaker")
    found = [f"stack {stack['StackName']}" for stack in stacks if stack["StackName"] != "CDKToolkit"]
    found += [
        f"inference component {item['InferenceComponentName']}"
        for item in sagemaker.list_inference_components()["InferenceComponents"]
    ]
    found += [f"endpoint {item['EndpointName']}" for item in sagemaker.list_endpoints()["Endpoints"]]
    found += [
        f"endpoint configuration {item['EndpointConfigName']}"
        for item in sagemaker.list_endpoint_configs()["EndpointConfigs"]
    ]
    found += [f"model {item['ModelName']}" for item in sagemaker.list_models()["Models"]]
    found += [
        f"role {role['RoleName']}"
        for role in client("iam").list_roles()["Roles"]
        if not role["RoleName"].startswith("cdk-hnb659fds-")
        and not role["Path"].startswith("/aws-service-role/")
    ]
    found += [
        f"bucket {bucket['Name']}"
        for bucket in client("s3").list_buckets()["Buckets"]
        if not bucket["Name"].startswith("cdk-hnb659fds-")
    ]
    return found

"""boto3's waiters, and the paginators that the AWS CLI has no command for.

SageMaker's waiters are for endpoints, CloudFormation's for stacks and change sets, CloudWatch's for alarms.
botocore has no waiter for inference components.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3

from tests.clients.calls import Calls

NAME, STACK = "by-boto3", "by-boto3"
PARAMETER = {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "first"}}
TEMPLATE = json.dumps({"Resources": {"Parameter": PARAMETER}})


class Script:
    """The calls, in their order."""

    def __init__(self, calls: Calls) -> None:
        self.calls, self.given = calls, calls.given
        make: Any = boto3.client  # whose stubs want each service by its name
        self.sagemaker, self.stacks, self.cloudwatch = map(
            make, ("sagemaker", "cloudformation", "cloudwatch")
        )

    def run(self) -> None:
        """Make all calls."""
        self.endpoints()
        self.stacks_and_change_sets()
        self.alarms()

    def waits(self, client: Any, name: str, **arguments: Any) -> None:
        """Report a waiter of a client."""
        with self.calls.call(f"{client.meta.service_model.service_name} waiter {name}"):
            client.get_waiter(name).wait(**arguments)

    def pages(self, client: Any, name: str, key: str, least: int, /, **arguments: Any) -> None:
        """Report a paginator.

        It is a failure if there are fewer than `least` entries, or if one is on two pages.
        """
        found: list[Any] = []
        with self.calls.call(f"{client.meta.service_model.service_name} paginator {name}"):
            paginator = client.get_paginator(name)
            for page in paginator.paginate(**arguments):
                found += page.get(key, [])
            texts = [json.dumps(one, default=str, sort_keys=True) for one in found]
            if len(found) < least or len(set(texts)) < len(texts):
                raise ValueError(f"there should be at least {least} different entries, got {texts}")

    def endpoints(self) -> None:
        """Wait for an endpoint, and page through what SageMaker has."""
        sagemaker, given = self.sagemaker, self.given
        role = given["role"]
        variant = {"VariantName": "A", "InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(
            EndpointConfigName=NAME, ExecutionRoleArn=role, ProductionVariants=[variant]
        )
        sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME)
        self.waits(sagemaker, "endpoint_in_service", EndpointName=NAME)
        one = {"PaginationConfig": {"PageSize": 1}}
        self.pages(sagemaker, "list_endpoints", "Endpoints", 2, **one)
        self.pages(sagemaker, "list_endpoint_configs", "EndpointConfigs", 2, **one)
        of_fleet = {"EndpointNameEquals": given["endpoint"], **one}
        least = 1 + len(given["adapters"])
        self.pages(sagemaker, "list_inference_components", "InferenceComponents", least, **of_fleet)
        sagemaker.delete_endpoint(EndpointName=NAME)
        self.waits(sagemaker, "endpoint_deleted", EndpointName=NAME)
        sagemaker.delete_endpoint_config(EndpointConfigName=NAME)

    def stacks_and_change_sets(self) -> None:
        """Create, change, break and delete a stack, and page through the fleet's."""
        stacks, named = self.stacks, {"StackName": STACK}
        stacks.create_stack(**named, TemplateBody=TEMPLATE)
        self.waits(stacks, "stack_exists", **named)
        self.waits(stacks, "stack_create_complete", **named)
        stacks.update_stack(**named, TemplateBody=TEMPLATE.replace("first", "second"))
        self.waits(stacks, "stack_update_complete", **named)
        set_name = {"ChangeSetName": "third"}
        stacks.create_change_set(**named, **set_name, TemplateBody=TEMPLATE.replace("first", "third"))
        self.waits(stacks, "change_set_create_complete", **named, **set_name)
        self.pages(stacks, "describe_change_set", "Changes", 1, **named, **set_name)
        broken = Path(__file__).parent / "templates" / "failing.yaml"
        parameters = {
            "EndpointName": self.given["endpoint"],
            "BaseName": self.given["base"],
            "GoodArchive": self.given["archives"]["shout"],
            "BadArchive": self.given["archives"]["broken"],
        }
        stacks.update_stack(
            **named,
            TemplateBody=broken.read_text(),
            Parameters=[{"ParameterKey": name, "ParameterValue": one} for name, one in parameters.items()],
        )
        self.waits(stacks, "stack_rollback_complete", **named)
        stacks.delete_stack(**named)
        self.waits(stacks, "stack_delete_complete", **named)
        of_fleet = {"StackName": self.given["stack"]}
        self.pages(stacks, "describe_stack_events", "StackEvents", 10, **of_fleet)
        self.pages(stacks, "list_stack_resources", "StackResourceSummaries", 10, **of_fleet)
        of_types = {"Visibility": "PUBLIC", "Filters": {"TypeNamePrefix": "AWS::SageMaker::"}}
        self.pages(stacks, "list_types", "TypeSummaries", 4, **of_types, PaginationConfig={"PageSize": 1})
        self.pages(stacks, "describe_events", "OperationEvents", 10, **of_fleet)

    def alarms(self) -> None:
        """Wait for alarms, and page through them."""
        cloudwatch = self.cloudwatch
        names = ["by-boto3-0", "by-boto3-1"]
        for name in names:
            cloudwatch.put_metric_alarm(
                AlarmName=name,
                Namespace="AWS/SageMaker",
                MetricName="NoCapacityInvocationFailures",
                Dimensions=[{"Name": "InferenceComponentName", "Value": self.given["base"]}],
                Statistic="Maximum",
                Period=60,
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanOrEqualToThreshold",
            )
        self.waits(cloudwatch, "alarm_exists", AlarmNames=names)
        listed = {"AlarmNamePrefix": "by-boto3", "PaginationConfig": {"PageSize": 1}}
        self.pages(cloudwatch, "describe_alarms", "MetricAlarms", 2, **listed)
        self.pages(cloudwatch, "describe_alarm_history", "AlarmHistoryItems", 1, AlarmName=names[0])
        cloudwatch.delete_alarms(AlarmNames=names)


if __name__ == "__main__":
    Script(Calls()).run()

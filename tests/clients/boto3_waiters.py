"""boto3's waiters and paginators for everything that the embedded cloud has of its own.

SageMaker's are for endpoints, CloudFormation's for stacks and change sets, Application Auto Scaling's for its
four listings, CloudWatch's for alarms and metrics. botocore has no waiter for inference components.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import boto3

from tests.clients.calls import Calls

NAME, STACK = "by-boto3", "by-boto3"
TEMPLATE = {
    "Resources": {
        "Topic": {"Type": "AWS::SSM::Parameter", "Properties": {"Type": "String", "Value": "first"}}
    },
    "Outputs": {"Name": {"Value": {"Ref": "Topic"}, "Export": {"Name": "by-boto3-name"}}},
}


class Script:
    """The calls, in their order."""

    def __init__(self, calls: Calls) -> None:
        self.calls, self.given = calls, calls.given
        make: Any = boto3.client  # whose stubs want each service by its name
        self.sagemaker, self.stacks = make("sagemaker"), make("cloudformation")
        self.scaling, self.cloudwatch = make("application-autoscaling"), make("cloudwatch")

    def run(self) -> None:
        """Make all calls."""
        self.endpoints()
        self.stacks_and_change_sets()
        self.pages_of_stacks()
        self.scaling_and_alarms()

    def waits(self, client: Any, name: str, **arguments: Any) -> None:
        """Report a waiter of a client."""
        with self.calls.call(f"{client.meta.service_model.service_name} waiter {name}"):
            client.get_waiter(name).wait(**arguments)

    def pages(self, client: Any, name: str, key: str, least: int = 1, /, **arguments: Any) -> None:
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
        """Wait for endpoints, and list what SageMaker has."""
        sagemaker, given = self.sagemaker, self.given
        role = given["role"]
        container = {"Image": given["image"], "Environment": given["environment"]}
        sagemaker.create_model(ModelName=NAME, ExecutionRoleArn=role, PrimaryContainer=container)
        variant = {"VariantName": "A", "InstanceType": "ml.g5.2xlarge", "InitialInstanceCount": 1}
        sagemaker.create_endpoint_config(
            EndpointConfigName=NAME, ExecutionRoleArn=role, ProductionVariants=[variant]
        )
        tags = [{"Key": f"key-{number}", "Value": "value"} for number in range(3)]
        arn = sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName=NAME, Tags=tags)["EndpointArn"]
        self.waits(sagemaker, "endpoint_in_service", EndpointName=NAME)
        one = {"PaginationConfig": {"PageSize": 1}}
        self.pages(sagemaker, "list_endpoints", "Endpoints", 2, **one)
        self.pages(sagemaker, "list_endpoint_configs", "EndpointConfigs", 2, **one)
        self.pages(sagemaker, "list_models", "Models", 2, **one)
        # Pages of tags have 50 at least.
        self.pages(sagemaker, "list_tags", "Tags", 3, ResourceArn=arn)
        least = 1 + len(given["adapters"])
        self.pages(
            sagemaker,
            "list_inference_components",
            "InferenceComponents",
            least,
            EndpointNameEquals=given["endpoint"],
            **one,
        )
        sagemaker.delete_endpoint(EndpointName=NAME)
        self.waits(sagemaker, "endpoint_deleted", EndpointName=NAME)
        sagemaker.delete_endpoint_config(EndpointConfigName=NAME)
        sagemaker.delete_model(ModelName=NAME)

    def stacks_and_change_sets(self) -> None:
        """Create, change, break and delete a stack."""
        stacks, named = self.stacks, {"StackName": STACK}
        stacks.create_stack(**named, TemplateBody=json.dumps(TEMPLATE))
        self.waits(stacks, "stack_exists", **named)
        self.waits(stacks, "stack_create_complete", **named)
        stacks.update_stack(**named, TemplateBody=json.dumps(TEMPLATE).replace("first", "second"))
        self.waits(stacks, "stack_update_complete", **named)
        changed = json.dumps(TEMPLATE).replace("first", "third")
        set_name = {"ChangeSetName": "third"}
        stacks.create_change_set(**named, **set_name, TemplateBody=changed)
        self.waits(stacks, "change_set_create_complete", **named, **set_name)
        self.pages(stacks, "list_change_sets", "Summaries", **named)
        self.pages(stacks, "describe_change_set", "Changes", **named, **set_name)
        self.pages(stacks, "list_exports", "Exports")
        importing = {
            "Resources": {
                "Importer": {
                    "Type": "AWS::SSM::Parameter",
                    "Properties": {"Type": "String", "Value": {"Fn::ImportValue": "by-boto3-name"}},
                }
            }
        }
        stacks.create_stack(StackName=f"{STACK}-importer", TemplateBody=json.dumps(importing))
        stacks.get_waiter("stack_create_complete").wait(StackName=f"{STACK}-importer")
        self.pages(stacks, "list_imports", "Imports", ExportName="by-boto3-name")
        stacks.delete_stack(StackName=f"{STACK}-importer")
        stacks.get_waiter("stack_delete_complete").wait(StackName=f"{STACK}-importer")
        broken = Path(__file__).parent / "templates" / "failing.yaml"
        archives = self.given["archives"]
        parameters = {
            "EndpointName": self.given["endpoint"],
            "BaseName": self.given["base"],
            "GoodArchive": archives["shout"],
            "BadArchive": archives["broken"],
        }
        stacks.update_stack(
            **named,
            TemplateBody=broken.read_text(),
            Parameters=[{"ParameterKey": name, "ParameterValue": one} for name, one in parameters.items()],
        )
        self.waits(stacks, "stack_rollback_complete", **named)
        stacks.delete_stack(**named)
        self.waits(stacks, "stack_delete_complete", **named)

    def pages_of_stacks(self) -> None:
        """List what CloudFormation says of the fleet's stack."""
        stacks, named = self.stacks, {"StackName": self.given["stack"]}
        self.pages(stacks, "describe_stacks", "Stacks")
        self.pages(stacks, "describe_stack_events", "StackEvents", 10, **named)
        self.pages(stacks, "list_stack_resources", "StackResourceSummaries", 10, **named)
        self.pages(stacks, "list_stacks", "StackSummaries")
        named_types = {"Visibility": "PUBLIC", "Filters": {"TypeNamePrefix": "AWS::SageMaker::"}}
        self.pages(stacks, "list_types", "TypeSummaries", 4, **named_types, PaginationConfig={"PageSize": 1})
        self.pages(stacks, "describe_events", "OperationEvents", 10, **named)

    def scaling_and_alarms(self) -> None:
        """List what scales the copies of the fleet's base, and its alarms and metrics."""
        scaling, cloudwatch = self.scaling, self.cloudwatch
        target = {
            "ServiceNamespace": "sagemaker",
            "ResourceId": f"inference-component/{self.given['base']}",
            "ScalableDimension": "sagemaker:inference-component:DesiredCopyCount",
        }
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=1)
        for number in range(2):
            scaling.put_scheduled_action(
                **target,
                ScheduledActionName=f"action-{number}",
                Schedule="at(2099-01-01T00:00:00)",
                ScalableTargetAction={"MinCapacity": 1},
            )
            step = {"MetricIntervalLowerBound": 0.0, "ScalingAdjustment": 1}
            steps = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [step]}
            policy = scaling.put_scaling_policy(
                **target,
                PolicyName=f"policy-{number}",
                PolicyType="StepScaling",
                StepScalingPolicyConfiguration=steps,
            )
        named = {"ServiceNamespace": "sagemaker"}
        one = {"PaginationConfig": {"PageSize": 1}}
        self.pages(scaling, "describe_scalable_targets", "ScalableTargets", **named)
        self.pages(scaling, "describe_scaling_policies", "ScalingPolicies", 2, **named, **one)
        self.pages(scaling, "describe_scheduled_actions", "ScheduledActions", 2, **named, **one)
        self.pages(scaling, "describe_scaling_activities", "ScalingActivities", 0, **named)
        for number in range(2):
            cloudwatch.put_metric_alarm(
                AlarmName=f"by-boto3-{number}",
                Namespace="AWS/SageMaker",
                MetricName="NoCapacityInvocationFailures",
                Dimensions=[{"Name": "InferenceComponentName", "Value": self.given["base"]}],
                Statistic="Maximum",
                Period=60,
                EvaluationPeriods=1,
                Threshold=1,
                ComparisonOperator="GreaterThanOrEqualToThreshold",
                AlarmActions=[policy["PolicyARN"]],
            )
        self.waits(cloudwatch, "alarm_exists", AlarmNames=["by-boto3-0"])
        self.pages(cloudwatch, "describe_alarms", "MetricAlarms", 2, AlarmNamePrefix="by-boto3", **one)
        self.pages(cloudwatch, "describe_alarm_history", "AlarmHistoryItems", AlarmName="by-boto3-0")
        cloudwatch.put_composite_alarm(AlarmName="by-boto3", AlarmRule='ALARM("by-boto3-0")')
        self.waits(
            cloudwatch, "composite_alarm_exists", AlarmNames=["by-boto3"], AlarmTypes=["CompositeAlarm"]
        )
        cloudwatch.delete_alarms(AlarmNames=["by-boto3"])
        self.pages(cloudwatch, "list_metrics", "Metrics", Namespace="AWS/SageMaker")
        query = {
            "Id": "m",
            "MetricStat": {
                "Metric": {"Namespace": "AWS/SageMaker", "MetricName": "InvocationsPerCopy"},
                "Period": 60,
                "Stat": "Sum",
            },
        }
        times = {"StartTime": time.time() - 3600, "EndTime": time.time()}
        self.pages(cloudwatch, "get_metric_data", "MetricDataResults", MetricDataQueries=[query], **times)
        cloudwatch.put_dashboard(DashboardName="by-boto3", DashboardBody=json.dumps({"widgets": []}))
        self.pages(cloudwatch, "list_dashboards", "DashboardEntries")
        cloudwatch.delete_dashboards(DashboardNames=["by-boto3"])
        cloudwatch.delete_alarms(AlarmNames=[f"by-boto3-{number}" for number in range(2)])
        scaling.deregister_scalable_target(**target)


if __name__ == "__main__":
    Script(Calls()).run()

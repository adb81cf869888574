"""Stacks with a model that is copied from the hub, alone or for an endpoint."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import (
    ComputeRequirements,
    HubModel,
    IMultiAdapterEndpoint,
    InstanceType,
    LmiContainer,
    LmiVersion,
    MultiAdapterEndpoint,
)
from tests.hub import COMMIT, HubStandIn
from tests.integration.by_hand import client
from tests.integration.fleet_stack import LORA, FleetStack

PART = 5 * 1024 * 1024


class HubStack(FleetStack):
    """A stack with a copy of what a stand-in has; outputs `Commit`, `Prefix` and `Machine`.

    secret:
        The ARN of the secret with the token.
    served:
        Whether an endpoint has the copy as its base model.
    settings:
        Further arguments of the construct.
    """

    def __init__(
        self,
        cloud: LocalCloud,
        folder: Path,
        hub: HubStandIn,
        *,
        bucket: str,
        secret: str | None = None,
        served: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(cloud, folder)
        self.hub, self.bucket, self.secret, self.served = hub, bucket, secret, served
        self.settings: dict[str, Any] = {
            "revision": COMMIT,
            "prefix": "models",
            "part_size": cdk.Size.mebibytes(5),
            "max_concurrency": 3,
            **settings,
        }
        self.machines = client(cloud, "stepfunctions")
        self._cloud = cloud

    def _endpoint(self, stack: cdk.Stack) -> IMultiAdapterEndpoint:
        settings = {
            "bucket": s3.Bucket.from_bucket_name(stack, "Models", self.bucket),
            "hub_endpoint": self.hub.url,
            "token": None
            if self.secret is None
            else secretsmanager.Secret.from_secret_complete_arn(stack, "Token", self.secret),
            **self.settings,
        }
        model = None
        if self.served:
            base = HubModel(stack, "HubModel", model_id=self.hub.model_id, **settings).base_model
        else:
            model = HubModel(stack, "Model", model_id=self.hub.model_id, **settings)
            base = model.base_model
        if model is not None:
            cdk.CfnOutput(stack, "Commit", value=model.commit)
            cdk.CfnOutput(stack, "Prefix", value=model.prefix)
            cdk.CfnOutput(stack, "Machine", value=model.state_machine.state_machine_arn)
            return None  # type: ignore[return-value]  # there is no fleet to give it to
        endpoint = MultiAdapterEndpoint(
            stack,
            "Llm",
            base_model=base,
            container=LmiContainer(version=LmiVersion.V19),
            lora=LORA,
            instance_type=InstanceType.ML_G5_2XLARGE,
            compute=ComputeRequirements(accelerators=1, min_memory=cdk.Size.mebibytes(1024)),
            component_prefix=self.prefix,
            network_isolation=True,
        )
        cdk.CfnOutput(stack, "EndpointName", value=endpoint.endpoint_name)
        cdk.CfnOutput(stack, "BaseComponentName", value=endpoint.base_component_name)
        return endpoint

    def objects(self) -> dict[str, bytes]:
        """Return all that is in the bucket, by key."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {key: self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read() for key in keys}

    def uploads(self) -> list[Any]:
        """Return the uploads that were begun and not ended."""
        return list(self._s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", []))

    def machine(self) -> str:
        """Return the ARN of the state machine of the copy, also while the stack is being made."""
        listed = self._stacks.list_stack_resources(StackName=self.name)["StackResourceSummaries"]
        (arn,) = [
            str(item["PhysicalResourceId"])
            for item in listed
            if item["LogicalResourceId"].startswith("ModelMachine")
            and item["ResourceType"] == "AWS::StepFunctions::StateMachine"
        ]
        return arn

    def told(self) -> dict[str, str]:
        """Return all that the cloud tells of a copy but its objects, by where: the template, the inputs,
        outputs and histories of the machine, and of all stacks the functions, logs and tables."""
        told = {"template": json.dumps(self._stacks.get_template(StackName=self.name))}
        machines = self.machines
        for execution in machines.list_executions(stateMachineArn=self.machine())["executions"]:
            arn = execution["executionArn"]
            told[arn] = json.dumps(machines.describe_execution(executionArn=arn), default=str)
            told[f"{arn} history"] = json.dumps(
                machines.get_execution_history(executionArn=arn, maxResults=1000), default=str
            )
            for run in machines.list_map_runs(executionArn=arn)["mapRuns"]:
                for child in machines.list_executions(mapRunArn=run["mapRunArn"])["executions"]:
                    told[child["executionArn"]] = json.dumps(
                        machines.describe_execution(executionArn=child["executionArn"]), default=str
                    )
        for page in client(self._cloud, "lambda").get_paginator("list_functions").paginate():
            told |= {item["FunctionName"]: json.dumps(item) for item in page["Functions"]}
        logs = client(self._cloud, "logs")
        for page in logs.get_paginator("describe_log_groups").paginate():
            for group in page["logGroups"]:
                events = logs.get_paginator("filter_log_events").paginate(logGroupName=group["logGroupName"])
                told[group["logGroupName"]] = "\n".join(
                    item["message"] for events_page in events for item in events_page["events"]
                )
        tables = client(self._cloud, "dynamodb")
        for table in tables.list_tables()["TableNames"]:
            told[table] = json.dumps(tables.scan(TableName=table), default=str)
        return told

    def running(self, seconds: float = 30) -> str:
        """Wait until the machine runs, and return its execution."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                machine = self.machine()
            except ValueError:  # it is not there yet
                found = []
            else:
                found = self.machines.list_executions(stateMachineArn=machine, statusFilter="RUNNING")[
                    "executions"
                ]
            if found:
                return str(found[0]["executionArn"])
            time.sleep(0.1)
        raise AssertionError(f"the machine of {self.name} did not start in {seconds:.0f} s")

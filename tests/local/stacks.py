"""Templates and stacks, written and deployed without the CDK."""

from __future__ import annotations

import io
import json
import tarfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ROLE = "arn:aws:iam::000000000000:role/Execution"


def archive(**files: str) -> bytes:
    """A .tar.gz of small text files, named by their stems."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for stem, text in files.items():
            info = tarfile.TarInfo(f"{stem}.txt")
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


@dataclass
class Bucket:
    """A bucket with a base model and adapters for the engine of the tests."""

    s3: Any
    name: str = field(default_factory=lambda: f"artifacts-{uuid.uuid4().hex[:8]}")

    def __post_init__(self) -> None:
        self.s3.create_bucket(Bucket=self.name)
        self.put("model.tar.gz", archive(model="base"))

    def put(self, key: str, content: bytes) -> str:
        self.s3.put_object(Bucket=self.name, Key=key, Body=content)
        return f"s3://{self.name}/{key}"

    def adapter(self, text: str) -> str:
        """The URL of an archive whose adapter says a text."""
        return self.put(f"{text}.tar.gz", archive(adapter=text))


def serving(prefix: str, bucket: Bucket, adapters: dict[str, str], **environment: str) -> dict[str, Any]:
    """The resources of an endpoint with a base and adapters, whose names begin with a prefix."""
    resources: dict[str, Any] = {
        "Model": {
            "Type": "AWS::SageMaker::Model",
            "Properties": {
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {
                    "Image": "image",
                    "ModelDataUrl": f"s3://{bucket.name}/model.tar.gz",
                    "Environment": environment,
                },
            },
        },
        "Config": {
            "Type": "AWS::SageMaker::EndpointConfig",
            "Properties": {
                "ExecutionRoleArn": ROLE,
                "ProductionVariants": [
                    {"VariantName": "v", "InstanceType": "ml.g5.12xlarge", "InitialInstanceCount": "1"}
                ],
            },
        },
        "Endpoint": {
            "Type": "AWS::SageMaker::Endpoint",
            "Properties": {"EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]}},
        },
        "Base": {
            "Type": "AWS::SageMaker::InferenceComponent",
            "Properties": {
                "InferenceComponentName": f"{prefix}-base",
                "EndpointName": {"Fn::GetAtt": ["Endpoint", "EndpointName"]},
                "VariantName": "v",
                "Specification": {
                    "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
                    "ComputeResourceRequirements": {
                        "MinMemoryRequiredInMb": 1024,
                        "NumberOfAcceleratorDevicesRequired": 4,
                    },
                },
                "RuntimeConfig": {"CopyCount": 1},
            },
        },
    }
    for name, url in adapters.items():
        resources[name.title()] = {
            "Type": "AWS::SageMaker::InferenceComponent",
            "DependsOn": "Base",
            "Properties": {
                "InferenceComponentName": f"{prefix}-{name}",
                "EndpointName": {"Fn::GetAtt": ["Endpoint", "EndpointName"]},
                "Specification": {
                    "BaseInferenceComponentName": f"{prefix}-base",
                    "Container": {"ArtifactUrl": url},
                },
            },
        }
    return resources


def settled(sagemaker: Any, component: str) -> dict[str, Any]:
    """The description of a component once it is neither being created nor updated."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        described: dict[str, Any] = sagemaker.describe_inference_component(InferenceComponentName=component)
        if not described["InferenceComponentStatus"].endswith("ing"):
            return described
        time.sleep(0.02)
    raise TimeoutError(f"component {component} is still {described['InferenceComponentStatus']}")


class Stack:
    """One stack, deployed by plain API calls."""

    def __init__(self, cloudformation: Any, name: str) -> None:
        self.name = name
        self._api = cloudformation

    def create(self, resources: dict[str, Any], *, tags: dict[str, str] | None = None) -> str:
        """Create it, and return the status it ends in."""
        return self._deployed(self._api.create_stack, resources, tags)

    def update(self, resources: dict[str, Any], *, tags: dict[str, str] | None = None) -> str:
        """Update it, and return the status it ends in."""
        return self._deployed(self._api.update_stack, resources, tags)

    def _deployed(
        self, call: Callable[..., Any], resources: dict[str, Any], tags: dict[str, str] | None
    ) -> str:
        call(
            StackName=self.name,
            TemplateBody=json.dumps({"Resources": resources}),
            Tags=_tags(tags),
            Capabilities=["CAPABILITY_IAM"],
        )
        return self.settled()

    def change_set(
        self, template: dict[str, Any], parameters: dict[str, str], *, kind: str = "UPDATE"
    ) -> ChangeSet:
        """Create a change set of a whole template."""
        name = f"changes-{uuid.uuid4().hex[:8]}"
        self._api.create_change_set(
            StackName=self.name,
            ChangeSetName=name,
            ChangeSetType=kind,
            TemplateBody=json.dumps(template),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        return ChangeSet(self._api, self, name)

    def outputs(self) -> dict[str, str]:
        return {output["OutputKey"]: output["OutputValue"] for output in self._describe().get("Outputs", [])}

    def start(self, resources: dict[str, Any]) -> None:
        """Begin to create it, and return at once."""
        self._api.create_stack(StackName=self.name, TemplateBody=json.dumps({"Resources": resources}))

    def delete(self) -> str:
        self.request_deletion()
        return self.settled()

    def request_deletion(self) -> None:
        """Begin to delete it, and return at once."""
        self._stack_id = self._describe()["StackId"]
        self._api.delete_stack(StackName=self.name)

    def statuses_of_deletion(self) -> list[str]:
        """Delete it, and return every status that it was seen in from then on."""
        self.request_deletion()
        statuses: list[str] = []
        while not statuses or statuses[-1].endswith("_IN_PROGRESS"):
            status = self._describe()["StackStatus"]
            if statuses[-1:] != [status]:
                statuses.append(status)
        return statuses

    def settled(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status: str = self._describe()["StackStatus"]
            if not status.endswith("_IN_PROGRESS"):
                return status
            time.sleep(0.05)
        raise TimeoutError(f"stack {self.name} is still {status}")

    def _describe(self) -> dict[str, Any]:
        name = getattr(self, "_stack_id", self.name)
        stack: dict[str, Any] = self._api.describe_stacks(StackName=name)["Stacks"][0]
        return stack

    def _events(self) -> list[dict[str, Any]]:
        name = getattr(self, "_stack_id", self.name)
        events: list[dict[str, Any]] = self._api.describe_stack_events(StackName=name)["StackEvents"]
        return events

    def stack_id(self) -> str:
        identifier: str = self._describe()["StackId"]
        return identifier

    def physical_id(self, logical_id: str) -> str:
        answer = self._api.describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        identifier: str = answer["StackResourceDetail"]["PhysicalResourceId"]
        return identifier

    def reasons(self, status: str) -> list[str]:
        """Why resources came into a status, newest first."""
        events = self._events()
        return [
            event.get("ResourceStatusReason", "")
            for event in events
            if event["ResourceStatus"] == status and event["LogicalResourceId"] != self.name
        ]

    def why_failed(self) -> str:
        """Why the last operation of the stack failed."""
        events = self._events()
        own = (event for event in events if event["LogicalResourceId"] == self.name)
        return next(
            str(event["ResourceStatusReason"]) for event in own if event["ResourceStatus"].endswith("_FAILED")
        )

    def events(self, logical_id: str) -> list[str]:
        """The statuses a resource went through, newest first."""
        events = self._events()
        return [event["ResourceStatus"] for event in events if event["LogicalResourceId"] == logical_id]


@dataclass
class ChangeSet:
    """A change set of a stack."""

    api: Any
    stack: Stack
    name: str

    def describe(self) -> dict[str, Any]:
        described: dict[str, Any] = self.api.describe_change_set(
            StackName=self.stack.name, ChangeSetName=self.name
        )
        return described

    def changes(self) -> dict[str, str]:
        """What happens to each resource."""
        changes = (change["ResourceChange"] for change in self.describe()["Changes"])
        return {change["LogicalResourceId"]: change["Action"] for change in changes}

    def execute(self) -> str:
        """Execute it, and return the status that the stack ends in."""
        self.api.execute_change_set(StackName=self.stack.name, ChangeSetName=self.name)
        return self.stack.settled()


def _tags(tags: dict[str, str] | None) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in (tags or {}).items()]

"""Templates, stacks and functions, written and deployed without the CDK."""

from __future__ import annotations

import io
import json
import tarfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

Found = TypeVar("Found")


def until(find: Callable[[], Found], seconds: float = 20) -> Found:
    """Look until something is found that is not false or empty; return it. AssertionError after some time."""
    deadline = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


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


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    """A resource of SageMaker."""
    return {"Type": f"AWS::SageMaker::{kind}", "Properties": properties}


def serving(prefix: str, bucket: Bucket, adapters: dict[str, str], **environment: str) -> dict[str, Any]:
    """The resources of an endpoint with a base and adapters, whose names begin with a prefix."""
    model = {"Image": "image", "ModelDataUrl": f"s3://{bucket.name}/model.tar.gz", "Environment": environment}
    variant = {"VariantName": "v", "InstanceType": "ml.g5.12xlarge", "InitialInstanceCount": "1"}
    compute = {"MinMemoryRequiredInMb": 1024, "NumberOfAcceleratorDevicesRequired": 4}
    endpoint = {"Fn::GetAtt": ["Endpoint", "EndpointName"]}
    resources = {
        "Model": resource("Model", ExecutionRoleArn=ROLE, PrimaryContainer=model),
        "Config": resource("EndpointConfig", ExecutionRoleArn=ROLE, ProductionVariants=[variant]),
        "Endpoint": resource("Endpoint", EndpointConfigName={"Fn::GetAtt": ["Config", "EndpointConfigName"]}),
        "Base": resource(
            "InferenceComponent",
            InferenceComponentName=f"{prefix}-base",
            EndpointName=endpoint,
            VariantName="v",
            Specification={
                "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
                "ComputeResourceRequirements": compute,
            },
            RuntimeConfig={"CopyCount": 1},
        ),
    }
    for name, url in adapters.items():
        adapter = resource(
            "InferenceComponent",
            InferenceComponentName=f"{prefix}-{name}",
            EndpointName=endpoint,
            Specification={"BaseInferenceComponentName": f"{prefix}-base", "Container": {"ArtifactUrl": url}},
        )
        resources[name.title()] = adapter | {"DependsOn": "Base"}
    return resources


def settled(sagemaker: Any, component: str) -> dict[str, Any]:
    """The description of a component once it is neither being created nor updated."""

    def find() -> dict[str, Any] | None:
        described = sagemaker.describe_inference_component(InferenceComponentName=component)
        return None if described["InferenceComponentStatus"].endswith("ing") else dict(described)

    return until(find, 60) or {}


MakeFunction = Callable[[str], str]


def functions(lambda_: Any) -> Iterator[MakeFunction]:
    """What makes functions of Python source with a `handler`; they are deleted afterwards."""
    made = []

    def make(source: str) -> str:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(zipfile.ZipInfo("index.py"), source)  # the same source is the same archive
        name = f"function-{time.monotonic_ns()}"
        answer = lambda_.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role=ROLE,
            Handler="index.handler",
            Code={"ZipFile": buffer.getvalue()},
            Timeout=30,
        )
        made.append(name)
        return str(answer["FunctionArn"])

    yield make
    for name in made:
        lambda_.delete_function(FunctionName=name)


class Stack:
    """One stack, deployed by plain API calls."""

    def __init__(self, cloudformation: Any, name: str) -> None:
        self.name = name
        self._api = cloudformation
        # The id of a stack that is being deleted: afterwards, it has no name.
        self._id = name

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
            Tags=[{"Key": key, "Value": value} for key, value in (tags or {}).items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        return self.settled()

    def change_set(
        self, template: dict[str, Any], parameters: dict[str, str], *, kind: str = "UPDATE"
    ) -> ChangeSet:
        """Create a change set of a whole template."""
        given = [{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()]
        names = {"StackName": self.name, "ChangeSetName": f"changes-{uuid.uuid4().hex[:8]}"}
        body = json.dumps(template)
        self._api.create_change_set(**names, ChangeSetType=kind, TemplateBody=body, Parameters=given)
        return ChangeSet(self._api, self, names)

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
        self._id = str(self._describe()["StackId"])
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
        """The status of the stack once nothing is being done to it."""
        return until(self._settled_status, 60)

    def _settled_status(self) -> str:
        status = str(self._describe()["StackStatus"])
        return "" if status.endswith("_IN_PROGRESS") else status

    def _describe(self) -> dict[str, Any]:
        return dict(self._api.describe_stacks(StackName=self._id)["Stacks"][0])

    def _events(self) -> list[dict[str, Any]]:
        return list(self._api.describe_stack_events(StackName=self._id)["StackEvents"])

    def physical_id(self, logical_id: str) -> str:
        answer = self._api.describe_stack_resource(StackName=self.name, LogicalResourceId=logical_id)
        return str(answer["StackResourceDetail"]["PhysicalResourceId"])

    def reasons(self, status: str) -> list[str]:
        """Why resources came into a status, newest first."""
        return [
            event.get("ResourceStatusReason", "")
            for event in self._events()
            if event["ResourceStatus"] == status and event["LogicalResourceId"] != self.name
        ]

    def why_failed(self) -> str:
        """Why the last operation of the stack failed."""
        own = (event for event in self._events() if event["LogicalResourceId"] == self.name)
        return next(
            str(event["ResourceStatusReason"]) for event in own if event["ResourceStatus"].endswith("_FAILED")
        )

    def events(self, logical_id: str) -> list[str]:
        """The statuses a resource went through, newest first."""
        return [one["ResourceStatus"] for one in self._events() if one["LogicalResourceId"] == logical_id]


@dataclass
class ChangeSet:
    """A change set of a stack."""

    api: Any
    stack: Stack
    names: dict[str, str]

    def describe(self) -> dict[str, Any]:
        return dict(self.api.describe_change_set(**self.names))

    def changes(self) -> dict[str, str]:
        """What happens to each resource."""
        changes = (change["ResourceChange"] for change in self.describe()["Changes"])
        return {change["LogicalResourceId"]: change["Action"] for change in changes}

    def execute(self) -> str:
        """Execute it, and return the status that the stack ends in."""
        self.api.execute_change_set(**self.names)
        return self.stack.settled()

"""What the CDK command line offers, on the reference app in the embedded cloud: `make qa SUITE=suites`."""

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from examples.demo.cdk import Cdk
from examples.demo.workspace import ROOT, Workspace
from local_sagemaker.cdk_app import CdkError
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import client
from tests.integration.test_deployment import STACK
from tests.local.stacks import settled

pytestmark = pytest.mark.timeout(600)

FEATURES = tomllib.loads((Path(__file__).parent / "cdk.toml").read_text())["features"]
ACCOUNT = "000000000000"


class App:
    """The reference app, and changes by hand of what it has deployed."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self._folder, self._workspace = folder, Workspace(folder / "app")
        self._cdk = Cdk(
            options=(), out=self._workspace.cdk_out, home=folder / "home", variables=cloud.environment
        )
        self._sagemaker = client(cloud, "sagemaker")
        self._cloudformation = client(cloud, "cloudformation")

    def run(self, feature: dict[str, Any]) -> None:
        """Run a command; AssertionError if it ends, or says, otherwise than it should."""
        getattr(self, feature.get("by_hand", "wait"))()
        out = self._workspace.cdk_out
        filled = {"stack": STACK, "account": ACCOUNT, "out": out, "folder": self._folder}
        arguments = [argument.format(**filled) for argument in feature["runs"].split()]
        needs = feature.get("needs", "assembly")
        if needs == "app":
            arguments += ["-c", f"environment={self._workspace.environment}", "--output", str(out)]
        elif needs == "assembly":
            arguments += ["--app", str(out)]
        try:
            status, printed = 0, self._cdk.run(*arguments, folder=ROOT)
        except CdkError as error:
            status, printed = 1, str(error)
        assert status == feature.get("exits", 0), printed
        assert re.search(feature.get("says", "").format(stack=STACK), printed, re.MULTILINE), printed

    def wait(self) -> None:
        """Change nothing."""

    def _of_kind(self, kind: str) -> dict[str, str]:
        found = self._cloudformation.describe_stack_resources(StackName=STACK)["StackResources"]
        arns = {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found}
        return {name: arn for name, arn in arns.items() if f":{kind}/" in arn}

    def note_components(self) -> None:
        """Remember the components before `cdk orphan` detaches one."""
        self._components = self._of_kind("inference-component")

    def map_orphan(self) -> None:
        """Write what `cdk import` asks for: the ARN of the component that was detached."""
        (orphan,) = self._components.keys() - self._of_kind("inference-component").keys()
        mapping = {orphan: {"InferenceComponentArn": self._components[orphan]}}
        (self._folder / "mapping.json").write_text(json.dumps(mapping))

    def change(self) -> None:
        """Change a tag, an artifact, a base and a configuration by hand, and delete an adapter."""
        sagemaker, adapters = self._sagemaker, {}
        for arn in self._of_kind("inference-component").values():
            name = arn.rpartition("/")[2]
            specification = sagemaker.describe_inference_component(InferenceComponentName=name)[
                "Specification"
            ]
            if "BaseInferenceComponentName" in specification:
                adapters[name] = specification["Container"]["ArtifactUrl"]
            else:
                base, compute = name, specification
        (endpoint,) = self._of_kind("endpoint").values()
        sagemaker.add_tags(ResourceArn=endpoint, Tags=[{"Key": "owner", "Value": "me"}])
        first, second, *_ = adapters
        sagemaker.delete_inference_component(InferenceComponentName=second)
        container = {"ArtifactUrl": adapters[second]}
        sagemaker.update_inference_component(
            InferenceComponentName=first, Specification={"Container": container}
        )
        settled(sagemaker, first)
        compute["ComputeResourceRequirements"]["MinMemoryRequiredInMb"] += 1
        sagemaker.update_inference_component(InferenceComponentName=base, Specification=compute)
        settled(sagemaker, base)
        described = sagemaker.describe_endpoint(EndpointName=endpoint.rpartition("/")[2])
        config = sagemaker.describe_endpoint_config(EndpointConfigName=described["EndpointConfigName"])
        kept = {key: config[key] for key in ("ExecutionRoleArn", "ProductionVariants")}
        sagemaker.create_endpoint_config(EndpointConfigName="by-hand", **kept)
        sagemaker.update_endpoint(EndpointName=described["EndpointName"], EndpointConfigName="by-hand")
        sagemaker.get_waiter("endpoint_in_service").wait(
            EndpointName=described["EndpointName"], WaiterConfig={"Delay": 1}
        )


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    with LocalCloud() as cloud:
        yield App(cloud, tmp_path_factory.mktemp("cdk"))


@pytest.mark.parametrize("feature", FEATURES, ids=lambda one: one["runs"])
def test_command_does_what_it_says(app: App, feature: dict[str, Any]) -> None:
    app.run(feature)

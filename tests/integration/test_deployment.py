"""The reference app, deployed once by the unmodified CDK command line and then read and changed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from examples.demo.cdk import Cdk
from examples.demo.endpoint import Endpoint
from examples.demo.inventory import leftovers
from examples.demo.workspace import Workspace
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import ask, client, prompts

pytestmark = pytest.mark.integration

STACK = "MultiAdapterInference-local"


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The deployed stack and the means to change it.

    findings:
        What the CDK's own validation said of the template.
    """

    findings: list[Any]
    cloud: LocalCloud
    workspace: Workspace
    cdk: Cdk

    def components(self) -> dict[str, str]:
        """Return the component names of the base and of each adapter."""
        outputs = self.cdk.outputs()
        return {"base": outputs["BaseComponentName"], **json.loads(outputs["Adapters"])}

    def ask(self, label: str, prompt: str) -> str:
        """Return what the base or an adapter answers."""
        return ask(self.cloud, self.cdk.outputs()["EndpointName"], self.components()[label], prompt)


@pytest.fixture(scope="module")
def deployment(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    workspace = Workspace(folder / "app")
    cdk = Cdk(
        options=("-c", f"environment={workspace.environment}"),
        out=workspace.cdk_out,
        home=folder / "home",
        variables=cloud.environment,
    )
    account = client(cloud, "sts").get_caller_identity()["Account"]
    cdk.bootstrap(account, cloud.environment["AWS_DEFAULT_REGION"])
    cdk.deploy()
    report = json.loads((workspace.cdk_out / "validation-report.json").read_text())
    deployed = Deployment(findings=report["pluginReports"], cloud=cloud, workspace=workspace, cdk=cdk)
    names = [STACK, *deployed.components().values()]
    yield deployed
    cdk.destroy()
    left = leftovers(lambda service: client(cloud, service))
    assert [item for item in left if any(name in item for name in names)] == []


def test_the_cdks_own_validation_finds_nothing(deployment: Deployment) -> None:
    assert deployment.findings == []


def test_base_and_every_adapter_answer_with_their_own_skill(deployment: Deployment) -> None:
    for label in deployment.components():
        assert [deployment.ask(label, prompt["prompt"]) for prompt in prompts()[:3]] == [
            prompt["answers"][label] for prompt in prompts()[:3]
        ]


def test_every_tenant_of_the_fleet_answers_with_its_own_skill(deployment: Deployment) -> None:
    outputs, tenants = deployment.cdk.outputs(), deployment.workspace.tenants()
    endpoint = Endpoint(client(deployment.cloud, "sagemaker-runtime"), outputs["EndpointName"])
    prefix = outputs["TenantsComponentPrefix"]
    assert outputs["TenantsSummary"] == "100 of 100 adapters in service"
    assert endpoint.wrong({f"{prefix}-{name}": version for name, version in tenants.items()}) == []


def test_diff_after_a_deployment_says_no_differences(deployment: Deployment) -> None:
    # What was synthesized for the deployment will do.
    compared = deployment.cdk.run("diff", "--all", "--fail", "--app", str(deployment.workspace.cdk_out))
    assert "Number of stacks with differences: 0" in compared

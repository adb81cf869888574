"""The reference app, deployed once by the unmodified CDK command line and then read and changed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from examples.demo.cdk import Cdk, CdkError
from examples.demo.endpoint import Endpoint
from examples.demo.inventory import leftovers
from examples.demo.workspace import Workspace
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import client, prompts

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
        response = client(self.cloud, "sagemaker-runtime").invoke_endpoint(
            EndpointName=self.cdk.outputs()["EndpointName"],
            InferenceComponentName=self.components()[label],
            ContentType="application/json",
            Body=json.dumps({"inputs": prompt, "parameters": {"max_new_tokens": 60, "temperature": 0}}),
        )
        return str(json.loads(response["Body"].read())["generated_text"])

    def status(self) -> str:
        """Return the status of the stack."""
        (stack,) = client(self.cloud, "cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return str(stack["StackStatus"])


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
    assert re.search(r"Number of stacks with differences: 0", deployment.cdk.diff().output)


def test_second_deployment_makes_no_write(deployment: Deployment) -> None:
    deployment.cloud.admin.reset_calls()
    deployment.cdk.deploy(validate=False)
    assert deployment.cloud.admin.writes() == {}


def test_broken_archive_fails_with_the_services_reason_and_the_version_before_goes_on_serving(
    deployment: Deployment,
) -> None:
    s3, bucket = client(deployment.cloud, "s3"), "broken-archives"
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="adapters/summary.tar.gz", Body=b"this is not a gzip stream")
    environment = deployment.workspace.environment
    intact = environment.read_text()
    environment.write_text(
        re.sub(
            r"(\[adapters\.summary\]\n)directory = .*\n",
            rf'\1uri = "s3://{bucket}/adapters/summary.tar.gz"\n',
            intact,
        )
        + f'\n[[artifact_sources]]\nbucket = "{bucket}"\nprefix = "adapters/"\n'
    )
    try:
        with pytest.raises(CdkError, match="gzip"):
            deployment.cdk.deploy(validate=False)
    finally:
        environment.write_text(intact)

    assert deployment.status() == "UPDATE_ROLLBACK_COMPLETE"
    prompt: dict[str, Any] = prompts()[0]
    assert deployment.ask("summary", prompt["prompt"]) == prompt["answers"]["summary"]


def test_broken_directory_is_refused_before_anything_is_called(
    deployment: Deployment, tmp_path: Path
) -> None:
    folder = deployment.workspace.folder / "examples" / "tickets" / "adapters" / "triage"
    config = folder / "adapter_config.json"
    intact = config.read_text()
    config.write_text(json.dumps({**json.loads(intact), "use_dora": True}))
    deployment.cloud.admin.reset_calls()
    try:
        with pytest.raises(CdkError, match="use_dora"):
            deployment.cdk.deploy()
    finally:
        config.write_text(intact)
    assert deployment.cloud.admin.calls() == {}

"""An environment with AWS's vLLM container, deployed by the unmodified CDK command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from examples.demo.cdk import Cdk
from examples.demo.workspace import Workspace
from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import client, prompts

pytestmark = pytest.mark.integration

CHANGES = {
    "lmi_version = 19": 'vllm_version = "2.6"',
    'component_prefix = "tickets"': 'component_prefix = "on-vllm"',
}
TENANTS = """
adapters:
  - {name: acme, artifact: ../examples/tickets/adapters/summary}
  - {name: zeta, artifact: ../examples/tickets/adapters/shout}
"""


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """The deployed stack: its endpoint, and what each of its components should answer as."""

    cloud: LocalCloud
    endpoint: str
    base: str
    labels: dict[str, str]

    def ask(self, component: str, prompt: str) -> str:
        """Return what a component answers to OpenAI's body, the only one of the container."""
        response = client(self.cloud, "sagemaker-runtime").invoke_endpoint(
            EndpointName=self.endpoint,
            InferenceComponentName=component,
            ContentType="application/json",
            Body=json.dumps({"prompt": prompt, "max_tokens": 60, "temperature": 0}),
        )
        return str(json.loads(response["Body"].read())["choices"][0]["text"])


@pytest.fixture(scope="module")
def deployment(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("vllm")
    workspace = Workspace(folder / "app")
    text = workspace.environment.read_text()
    for before, after in CHANGES.items():
        assert before in text
        text = text.replace(before, after)
    file = workspace.environment.with_name("vllm.toml")
    file.write_text(text)
    workspace.manifest.write_text(TENANTS)
    cdk = Cdk(
        options=("-c", f"environment={file}"),
        out=workspace.cdk_out,
        home=folder / "home",
        variables=cloud.environment,
    )
    account = client(cloud, "sts").get_caller_identity()["Account"]
    cdk.bootstrap(account, cloud.environment["AWS_DEFAULT_REGION"])
    cdk.deploy(validate=False)
    outputs = cdk.outputs()
    assert outputs["TenantsSummary"] == "2 of 2 adapters in service"
    yield Deployment(
        cloud=cloud,
        endpoint=outputs["EndpointName"],
        base=outputs["BaseComponentName"],
        labels={
            outputs["BaseComponentName"]: "base",
            **{component: name for name, component in json.loads(outputs["Adapters"]).items()},
            f"{outputs['TenantsComponentPrefix']}-acme": "summary",
            f"{outputs['TenantsComponentPrefix']}-zeta": "shout",
        },
    )
    cdk.destroy()


def test_base_adapters_and_tenants_answer_with_their_own_skill(deployment: Deployment) -> None:
    assert len(deployment.labels) == 6
    for component, label in deployment.labels.items():
        assert [deployment.ask(component, prompt["prompt"]) for prompt in prompts()[:3]] == [
            prompt["answers"][label] for prompt in prompts()[:3]
        ]


def test_body_of_lmi_is_refused_as_the_container_does(deployment: Deployment) -> None:
    runtime = client(deployment.cloud, "sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ModelError) as refusal:
        runtime.invoke_endpoint(
            EndpointName=deployment.endpoint,
            InferenceComponentName=deployment.base,
            ContentType="application/json",
            Body=json.dumps({"inputs": "Hello"}),
        )
    assert refusal.value.response["OriginalStatusCode"] == 400


def test_container_gets_its_own_variables_and_keeps_no_prefixes(deployment: Deployment) -> None:
    sagemaker = client(deployment.cloud, "sagemaker")
    base = sagemaker.describe_inference_component(InferenceComponentName=deployment.base)
    model = sagemaker.describe_model(ModelName=base["Specification"]["ModelName"])["PrimaryContainer"]
    assert model["Image"].endswith("/vllm:server-sagemaker-cuda-v2.6")
    assert model["Environment"] == {
        "SM_VLLM_ENABLE_LORA": "true",
        "SM_VLLM_MAX_CPU_LORAS": "128",
        "SM_VLLM_MAX_LORAS": "4",
        "SM_VLLM_MAX_LORA_RANK": "8",
        "SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",
    }

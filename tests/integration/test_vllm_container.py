"""AWS's vLLM container under a base model and a fleet."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local_sagemaker.server import LocalCloud
from multi_adapter_inference import VllmContainer, VllmVersion
from tests.integration.by_hand import client
from tests.integration.fleet_stack import Deployment, Fleet, FleetStack, wrong

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("short_waits")]

TENANTS = {"acme": "summary", "zeta": "shout"}


@pytest.fixture(scope="module")
def stack(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetStack]:
    stack = FleetStack(cloud, tmp_path_factory.mktemp("vllm"))
    stack.container = VllmContainer(version=VllmVersion.V2_6)
    yield stack
    assert stack.delete().status == "DELETE_COMPLETE"


@pytest.fixture(scope="module")
def deployed(stack: FleetStack) -> Deployment:
    created = stack.create({"Tenants": Fleet(adapters=TENANTS)})
    assert created.status == "CREATE_COMPLETE", created.reason
    return created


def test_base_and_tenants_answer_with_their_own_skill(stack: FleetStack, deployed: Deployment) -> None:
    endpoint, base = deployed.outputs["EndpointName"], deployed.outputs["BaseComponentName"]
    assert stack.wrong("Tenants", endpoint, TENANTS) == {}
    assert wrong(stack.cloud, endpoint, {base: "base"}) == {}


def test_body_of_lmi_is_refused_as_the_container_does(cloud: LocalCloud, deployed: Deployment) -> None:
    runtime = client(cloud, "sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ModelError) as refusal:
        runtime.invoke_endpoint(
            EndpointName=deployed.outputs["EndpointName"],
            InferenceComponentName=deployed.outputs["BaseComponentName"],
            ContentType="application/json",
            Body=json.dumps({"inputs": "Hello"}),
        )
    assert refusal.value.response["OriginalStatusCode"] == 400


def test_container_gets_its_own_variables_and_keeps_no_prefixes(
    cloud: LocalCloud, deployed: Deployment
) -> None:
    sagemaker = client(cloud, "sagemaker")
    base = sagemaker.describe_inference_component(
        InferenceComponentName=deployed.outputs["BaseComponentName"]
    )
    model = sagemaker.describe_model(ModelName=base["Specification"]["ModelName"])["PrimaryContainer"]
    assert model["Image"].endswith("/vllm:server-sagemaker-cuda-v2.6")
    assert model["Environment"] == {
        "SM_VLLM_ENABLE_LORA": "true",
        "SM_VLLM_MAX_CPU_LORAS": "8",
        "SM_VLLM_MAX_LORAS": "4",
        "SM_VLLM_MAX_LORA_RANK": "16",
        "SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",
    }

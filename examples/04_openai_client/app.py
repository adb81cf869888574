"""Adapters that answer the `openai` client, and a role that may call one of them."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Size, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from multi_adapter_inference import (
    AdapterArtifact,
    BaseModel,
    ComputeRequirements,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)

TICKETS = Path(__file__).resolve().parents[1] / "tickets"


class Chat(Stack):
    """An endpoint with two adapters, and a service that may chat with the first."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        endpoint = MultiAdapterEndpoint(
            self,
            "Llm",
            base_model=BaseModel.from_directory(TICKETS / "base"),
            container=LmiContainer(version=LmiVersion.V28),
            lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
            instance_type=InstanceType.ML_G5_2XLARGE,
            compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        )
        adapters = {
            name: endpoint.add_adapter(
                name, artifact=AdapterArtifact.from_directory(TICKETS / "adapters" / name.lower())
            )
            for name in ("Summary", "Shout")
        }
        service = iam.Role(self, "Service", assumed_by=iam.AccountRootPrincipal())
        adapters["Summary"].grant_invoke(service, bearer_token=True)
        CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        for name, adapter in adapters.items():
            CfnOutput(self, f"{name}Model", value=adapter.component_name)
            # AWS's address. `adapters describe` knows that of the embedded cloud, too.
            CfnOutput(self, f"{name}BaseUrl", value=adapter.openai_base_url)
        CfnOutput(self, "ServiceRole", value=service.role_arn)


if __name__ == "__main__":
    app = App()
    Chat(app, "Chat")
    app.synth()

"""One base model and one adapter on one endpoint."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Size, Stack
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

# A tiny base model and its adapters. Put a directory or a bucket of your own here.
TICKETS = Path(__file__).resolve().parents[1] / "tickets"


class OneAdapter(Stack):
    """An endpoint with one native adapter."""

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
        summary = endpoint.add_adapter(
            "Summary", artifact=AdapterArtifact.from_directory(TICKETS / "adapters" / "summary")
        )
        CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        CfnOutput(self, "BaseComponentName", value=endpoint.base_component_name)
        CfnOutput(self, "SummaryComponentName", value=summary.component_name)


if __name__ == "__main__":
    app = App()
    OneAdapter(app, "OneAdapter")
    app.synth()

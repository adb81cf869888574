"""A large and a small base model on the instances of one endpoint."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Size, Stack
from constructs import Construct

from multi_adapter_inference import (
    AdapterArtifact,
    AdapterManifest,
    BaseModel,
    ComputeRequirements,
    InferenceEndpoint,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
)

HERE = Path(__file__).resolve().parent
TICKETS = HERE.parent / "tickets"


class TwoBaseModels(Stack):
    """A small model reads each ticket, a large one writes to the customer."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        # Four accelerators for two base models. Two endpoints would be two instances.
        endpoint = InferenceEndpoint(
            self,
            "Endpoint",
            instance_type=InstanceType.ML_G5_12XLARGE,
            max_instances=2,
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        )
        # The tiny model of the examples stands for both.
        model = BaseModel.from_directory(TICKETS / "base")
        container = LmiContainer(version=LmiVersion.V28)
        large = endpoint.add_base_model(
            "Large",
            model=model,
            container=container,
            lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
            compute=ComputeRequirements(accelerators=2, min_memory=Size.mebibytes(2048)),
        )
        small = endpoint.add_base_model(
            "Small",
            model=model,
            container=container,
            lora=LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=8),
            compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
        )
        # Every ticket goes through the small one, and the fourth accelerator is its second copy's.
        small.auto_scale_copies(min=1, max=2)
        triage = small.add_adapter(
            "Triage", artifact=AdapterArtifact.from_directory(TICKETS / "adapters" / "triage")
        )
        fleet = large.add_fleet("Tenants", manifest=AdapterManifest.from_file(HERE / "adapters.yaml"))
        CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        CfnOutput(self, "Summary", value=fleet.summary)
        CfnOutput(self, "TriageComponentName", value=triage.component_name)


if __name__ == "__main__":
    app = App()
    TwoBaseModels(app, "TwoBaseModels")
    app.synth()

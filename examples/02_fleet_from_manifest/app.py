"""A fleet: the adapters of all tenants, from one manifest beside the app."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Size, Stack
from constructs import Construct

from multi_adapter_inference import (
    AdapterManifest,
    BaseModel,
    ComputeRequirements,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
    SmokeTest,
)

HERE = Path(__file__).resolve().parent


class Fleet(Stack):
    """An endpoint, and a fleet whose manifest changes with each deployment."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        endpoint = MultiAdapterEndpoint(
            self,
            "Llm",
            base_model=BaseModel.from_directory(HERE.parent / "tickets" / "base"),
            container=LmiContainer(version=LmiVersion.V28),
            lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
            instance_type=InstanceType.ML_G5_2XLARGE,
            compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        )
        fleet = endpoint.add_fleet(
            "Tenants",
            manifest=AdapterManifest.from_file(HERE / "adapters.yaml"),
            # Every changed adapter has to answer this before it counts as in service.
            smoke_test=SmokeTest(
                prompt="Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n",
                expect="(?i)lima|billing",
            ),
        )
        CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        CfnOutput(self, "Summary", value=fleet.summary)


if __name__ == "__main__":
    app = App()
    Fleet(app, "Fleet")
    app.synth()

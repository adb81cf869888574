"""Copies that follow the load, and end when nobody asks."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Size, Stack, TimeZone
from aws_cdk.aws_applicationautoscaling import Schedule
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
    ScalingTarget,
)

HERE = Path(__file__).resolve().parent


class ScaleToZero(Stack):
    """An endpoint of no to two copies, and a fleet whose adapters sleep with it."""

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
        # Before the fleet, which asks new copies whether they have its adapters.
        scaling = endpoint.auto_scale_copies(min=0, max=2, target=ScalingTarget.concurrent_requests(5))
        # Nobody waits for the first copy on the morning of a working day.
        scaling.on_schedule(
            "Morning",
            schedule=Schedule.cron(hour="7", minute="0", week_day="MON-FRI"),
            time_zone=TimeZone.EUROPE_BERLIN,
            min=1,
        )
        scaling.on_schedule(
            "Evening",
            schedule=Schedule.cron(hour="19", minute="0", week_day="MON-FRI"),
            time_zone=TimeZone.EUROPE_BERLIN,
            min=0,
        )
        fleet = endpoint.add_fleet("Tenants", manifest=AdapterManifest.from_file(HERE / "adapters.yaml"))
        CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        CfnOutput(self, "Summary", value=fleet.summary)
        CfnOutput(self, "BaseComponentName", value=endpoint.base_component_name)


if __name__ == "__main__":
    app = App()
    ScaleToZero(app, "ScaleToZero")
    app.synth()

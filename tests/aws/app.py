"""The stage of the questions: a base model with two adapters, and a bucket for the archives of others."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Duration, RemovalPolicy, Size, Stack
from aws_cdk import aws_s3 as s3
from constructs import Construct

from multi_adapter_inference import (
    AdapterArtifact,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
    RoutingStrategy,
    StartupTimeouts,
    VllmContainer,
    VllmVersion,
)

TICKETS = Path(__file__).resolve().parents[2] / "examples" / "tickets"
CONTAINERS = {
    "lmi": LmiContainer(version=LmiVersion.V28),
    "vllm": VllmContainer(version=VllmVersion.V2_6),
}


class Questions(Stack):
    """An endpoint with two instances, so that the base model can have a second copy.

    Context: `container` is lmi or vllm, and `start_seconds` is a setting of the base model that an update
    changes.
    """

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        bucket = s3.Bucket(self, "Archives", removal_policy=RemovalPolicy.DESTROY)
        start = Duration.seconds(int(self.node.get_context("start_seconds")))
        container = CONTAINERS[self.node.get_context("container")]
        endpoint = MultiAdapterEndpoint(
            self,
            "Llm",
            base_model=BaseModel.from_directory(TICKETS / "base"),
            container=container,
            lora=LoraServing(max_loras=8, max_cpu_loras=64, max_lora_rank=8),
            instance_type=InstanceType.ML_G5_XLARGE,
            instance_count=2,
            compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
            startup=StartupTimeouts(container_health_check=start),
            # A copy at random: otherwise one request at a time could always reach the same one.
            routing_strategy=RoutingStrategy.RANDOM,
            artifact_sources=[ArtifactSource(bucket=bucket)],
            inference_ami_version=container.version.inference_ami_version,
        )
        CfnOutput(self, "Bucket", value=bucket.bucket_name)
        CfnOutput(self, "Endpoint", value=endpoint.endpoint_name)
        CfnOutput(self, "Base", value=endpoint.base_component_name)
        for label in ("summary", "triage"):
            artifact = AdapterArtifact.from_directory(TICKETS / "adapters" / label)
            adapter = endpoint.add_adapter(label.title(), artifact=artifact)
            CfnOutput(self, label.title() + "Component", value=adapter.component_name)


if __name__ == "__main__":
    app = App()
    Questions(app, "Questions")
    app.synth()

"""A fleet whose manifest is in S3: customers come into service with no deployment."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Size, Stack
from aws_cdk import aws_s3 as s3
from constructs import Construct

from multi_adapter_inference import (
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    DeletionGuard,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)

TICKETS = Path(__file__).resolve().parents[1] / "tickets"
MANIFEST = "customers.yaml"


class Onboarding(Stack):
    """An endpoint, a bucket for archives and manifest, and a fleet that follows the manifest."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        # The versions of the manifest are the history of who was a customer. The bucket outlives the stack.
        bucket = s3.Bucket(self, "Adapters", versioned=True)
        endpoint = MultiAdapterEndpoint(
            self,
            "Llm",
            base_model=BaseModel.from_directory(TICKETS / "base"),
            container=LmiContainer(version=LmiVersion.V28),
            lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
            instance_type=InstanceType.ML_G5_2XLARGE,
            compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
            # The endpoint may read adapters here and nowhere else.
            artifact_sources=[ArtifactSource(bucket=bucket, prefix="archives/")],
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        )
        endpoint.add_fleet(
            "Customers",
            manifest=AdapterManifest.from_bucket(bucket, MANIFEST),
            # The last customer may leave: an empty manifest removes every adapter.
            deletion_guard=DeletionGuard.share(allow_empty=True),
        )
        CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        CfnOutput(self, "Archives", value=bucket.s3_url_for_object("archives"))
        CfnOutput(self, "Manifest", value=bucket.s3_url_for_object(MANIFEST))


if __name__ == "__main__":
    app = App()
    Onboarding(app, "Onboarding")
    app.synth()

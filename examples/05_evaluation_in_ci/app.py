"""A fleet that accepts only versions that are better than the base model."""

import os
from pathlib import Path

from aws_cdk import App, CfnOutput, Duration, Size, Stack
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
    RequiredEvaluation,
)

TICKETS = Path(__file__).resolve().parents[1] / "tickets"
MANIFEST = "fleet.yaml"


class Evaluated(Stack):
    """An endpoint, a bucket for what is released, one for previews, and a fleet with a bar."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        # Two buckets: whoever opens a pull request must not write where the fleet reads.
        released = s3.Bucket(self, "Released", versioned=True)
        previews = s3.Bucket(
            self,
            "Previews",
            lifecycle_rules=[s3.LifecycleRule(expiration=Duration.days(7))],
        )
        endpoint = MultiAdapterEndpoint(
            self,
            "Llm",
            base_model=BaseModel.from_directory(TICKETS / "base"),
            container=LmiContainer(version=LmiVersion.V28),
            lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
            instance_type=InstanceType.ML_G5_2XLARGE,
            compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
            artifact_sources=[
                ArtifactSource(bucket=released, prefix="archives/"),
                ArtifactSource(bucket=previews, prefix="pull-requests/"),
            ],
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        )
        endpoint.add_fleet(
            "Customers",
            manifest=AdapterManifest.from_bucket(released, MANIFEST),
            # Nobody goes around the workflow: the fleet refuses what was not evaluated, or is below the bar.
            evaluation=RequiredEvaluation(requirements=["rougeL >= base + 20%"]),
            # The first deployment finds no manifest yet.
            deletion_guard=DeletionGuard.share(allow_empty=True),
        )
        CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        CfnOutput(self, "Destination", value=released.s3_url_for_object("archives"))
        CfnOutput(self, "PreviewDestination", value=previews.s3_url_for_object("pull-requests"))


if __name__ == "__main__":
    app = App()
    # Prod is the same app, in an account of its own: STACK=Prod cdk deploy
    Evaluated(app, os.environ.get("STACK", "Evaluated"))
    app.synth()

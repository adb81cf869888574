"""A fleet of tenants on a base model: the large one of a bucket, or a small one that tests give."""

from aws_cdk import App, CfnOutput, Size, Stack
from aws_cdk import aws_s3 as s3
from constructs import Construct

from multi_adapter_inference import (
    AdapterManifest,
    ArtifactSource,
    BaseModel,
    ComputeRequirements,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)

BUCKET = "example-models"


class Inference(Stack):
    """The endpoint and its tenants.

    models:
        A folder with `base` and `adapters.yaml`, for tests. None takes the model and the archives of BUCKET.
    """

    def __init__(self, scope: Construct, id: str, *, models: str | None) -> None:
        super().__init__(scope, id)
        bucket = s3.Bucket.from_bucket_name(self, "Models", BUCKET)
        endpoint = MultiAdapterEndpoint(
            self,
            "Llm",
            base_model=BaseModel.from_directory(f"{models}/base")
            if models
            else BaseModel.from_bucket(
                bucket, "llama-3.1-8b-instruct/", name="meta-llama/Llama-3.1-8B-Instruct"
            ),
            artifact_sources=[] if models else [ArtifactSource(bucket=bucket, prefix="adapters/")],
            container=LmiContainer(version=LmiVersion.V28),
            lora=LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64),
            instance_type=InstanceType.ML_G5_12XLARGE,
            compute=ComputeRequirements(accelerators=4, min_memory=Size.mebibytes(32000)),
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        )
        fleet = endpoint.add_fleet(
            "Tenants",
            manifest=AdapterManifest.from_file(f"{models}/adapters.yaml" if models else "adapters.yaml"),
        )
        CfnOutput(self, "EndpointName", value=endpoint.endpoint_name)
        CfnOutput(self, "ComponentPrefix", value=fleet.component_prefix)


if __name__ == "__main__":
    app = App()
    Inference(app, "Inference", models=app.node.try_get_context("models"))
    app.synth()

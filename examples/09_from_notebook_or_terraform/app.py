"""A fleet on an endpoint that a notebook made: it takes over the adapters that are there."""

from pathlib import Path

from aws_cdk import App, Aws, CfnOutput, Stack
from aws_cdk import aws_s3 as s3
from constructs import Construct

from multi_adapter_inference import AdapterFleet, AdapterManifest, ArtifactSource, MultiAdapterEndpoint

# The names that notebook.py gave.
ENDPOINT, BASE, PREFIX = "notebook", "notebook-base", "notebook"
MANIFEST = Path(__file__).resolve().parent / "adapters.yaml"


class TakenOver(Stack):
    """A fleet for an endpoint that stays as it is."""

    def __init__(self, scope: Construct, id: str) -> None:
        super().__init__(scope, id)
        bucket = s3.Bucket.from_bucket_name(self, "Archives", f"notebook-{Aws.ACCOUNT_ID}")
        endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
            self,
            "Llm",
            endpoint_name=ENDPOINT,
            base_component_name=BASE,
            component_prefix=PREFIX,
            artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
        )
        # `adapters import` writes the file. The fleet has to be there before, with no adapter.
        manifest = (
            AdapterManifest.from_file(MANIFEST) if MANIFEST.exists() else AdapterManifest.from_adapters([])
        )
        fleet = AdapterFleet(self, "Adapters", endpoint=endpoint, manifest=manifest)
        CfnOutput(self, "Summary", value=fleet.summary)


if __name__ == "__main__":
    app = App()
    TakenOver(app, "TakenOver")
    app.synth()

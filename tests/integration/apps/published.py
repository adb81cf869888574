"""A fleet of what a published manifest names, on an endpoint that is there already."""

import os

from aws_cdk import App, CfnOutput, CliCredentialsStackSynthesizer, Environment, Stack

from multi_adapter_inference import AdapterFleet, AdapterManifest, LoraServing, MultiAdapterEndpoint

app = App()
stack = Stack(
    app,
    os.environ["STACK"],
    env=Environment(account=os.environ["ACCOUNT"], region=os.environ["AWS_REGION"]),
    # The bucket for assets is all of a bootstrap that it needs, and what other tests have made of it.
    synthesizer=CliCredentialsStackSynthesizer(),
)
endpoint = MultiAdapterEndpoint.from_endpoint_attributes(
    stack,
    "Llm",
    endpoint_name=os.environ["ENDPOINT"],
    base_component_name=os.environ["BASE"],
    component_prefix=os.environ["STACK"],
    lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16),
)
fleet = AdapterFleet(
    stack, "Tenants", endpoint=endpoint, manifest=AdapterManifest.from_file(os.environ["MANIFEST"])
)
CfnOutput(stack, "Summary", value=fleet.summary)
app.synth()

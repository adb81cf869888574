"""An app with a caller that may invoke one adapter and nothing else."""

import os
from pathlib import Path

from aws_cdk import App, CfnOutput, Size, Stack
from aws_cdk import aws_iam as iam

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

TICKETS = Path(__file__).resolve().parents[3] / "examples" / "tickets"

app = App()
stack = Stack(app, "Grants")
endpoint = MultiAdapterEndpoint(
    stack,
    "Llm",
    base_model=BaseModel.from_directory(str(TICKETS / "base")),
    container=LmiContainer(version=LmiVersion.V19),
    lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
    instance_type=InstanceType.ML_G5_2XLARGE,
    compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
)
caller = iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())
outputs = {
    "EndpointName": endpoint.endpoint_name,
    "CallerArn": caller.role_arn,
    "base": endpoint.base_component_name,
}
for name in ("triage", "shout"):
    artifact = AdapterArtifact.from_directory(str(TICKETS / "adapters" / name))
    adapter = endpoint.add_adapter(name.title(), artifact=artifact)
    outputs[name] = adapter.component_name
    if name == os.environ["GRANTED"]:
        adapter.grant_invoke(caller)
for key, value in outputs.items():
    CfnOutput(stack, key, value=value)
app.synth()

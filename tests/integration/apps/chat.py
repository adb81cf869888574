"""An app with callers of a base model, of three native adapters and of one of a fleet."""

from pathlib import Path

from aws_cdk import App, CfnOutput, Size, Stack
from aws_cdk import aws_iam as iam

from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    BaseModel,
    ComputeRequirements,
    FleetAdapter,
    IInferenceComponent,
    InstanceType,
    LmiContainer,
    LmiVersion,
    LoraServing,
    MultiAdapterEndpoint,
)

TICKETS = Path(__file__).resolve().parents[3] / "examples" / "tickets"

app = App()
stack = Stack(app, "Chat")


def endpoint(id: str) -> MultiAdapterEndpoint:
    return MultiAdapterEndpoint(
        stack,
        id,
        base_model=BaseModel.from_directory(str(TICKETS / "base")),
        container=LmiContainer(version=LmiVersion.V19),
        lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=8),
        instance_type=InstanceType.ML_G5_2XLARGE,
        compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(1024)),
    )


def artifact(path: str) -> AdapterArtifact:
    return AdapterArtifact.from_directory(str(TICKETS / path))


llm, other = endpoint("Llm"), endpoint("Other")
fleet = AdapterFleet(
    stack,
    "Tenants",
    endpoint=llm,
    manifest=AdapterManifest.from_adapters(
        [FleetAdapter(name="acme", artifact=artifact("adapters-v2/summary"))]
    ),
)
components: dict[str, IInferenceComponent] = {
    "base": llm,
    **{
        name: llm.add_adapter(name.title(), artifact=artifact(f"adapters/{name}"))
        for name in ("triage", "summary", "shout")
    },
    "acme": fleet.adapter("acme"),
}
callers = {
    name: iam.Role(stack, name, assumed_by=iam.AccountRootPrincipal())
    for name in ("Caller", "Tokenless", "OfTriage")
}
for component in components.values():
    component.grant_invoke(callers["Caller"], bearer_token=True)
    component.grant_invoke(callers["Tokenless"])
components["triage"].grant_invoke(callers["OfTriage"])

outputs = {name: component.openai_base_url for name, component in components.items()}
outputs |= {f"{name}Component": component.component_name for name, component in components.items()}
outputs |= {f"{name}Arn": caller.role_arn for name, caller in callers.items()}
outputs |= {"other": other.openai_base_url, "EndpointName": llm.endpoint_name}
for key, value in outputs.items():
    CfnOutput(stack, key, value=value)
app.synth()

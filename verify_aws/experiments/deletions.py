"""The order of deletions. These end what the other experiments need, so they are the last."""

from __future__ import annotations

from verify_aws.experiment import experiment
from verify_aws.prompts import ONE
from verify_aws.stage import Stage
from verify_aws.transcript import Answer


@experiment(
    fact="Cannot delete endpoint with inference component associated [T].",
)
def endpoint_with_components(stage: Stage) -> Answer:
    """May an endpoint be deleted while it has components?"""
    answer = stage.account.attempt("sagemaker", "delete_endpoint", EndpointName=stage.endpoint)
    status = stage.account.call("sagemaker", "describe_endpoint", EndpointName=stage.endpoint)[
        "EndpointStatus"
    ]
    return Answer(fields={"answer": answer, "status": status})


@experiment(
    fact="They are deleted with it [V AWS's post]; or it is refused [T Terraform, Hugging Face].",
    follows={"answer": ("base_delete",), "adapter_afterwards": ("base_delete",)},
)
def base_with_adapters(stage: Stage) -> Answer:
    """What becomes of the adapters when their base is deleted?"""
    adapter = stage.name("ref-two")
    if stage.status(adapter) != "InService":
        adapter = stage.create("last", ONE)
    answer = stage.account.attempt(
        "sagemaker", "delete_inference_component", InferenceComponentName=stage.base
    )
    if answer == "accepted":
        stage.gone(stage.base)
    left = stage.status(adapter)
    told = {("accepted", None): ["cascade"], ("refused", "InService"): ["refuse"]}
    return Answer(
        fields={"answer": answer, "adapter_afterwards": left},
        settings={"base_delete": told.get(("accepted" if answer == "accepted" else "refused", left), [])},
    )

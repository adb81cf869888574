"""What a container sets and says, without an endpoint."""

from __future__ import annotations

from collections.abc import Mapping

import aws_cdk as cdk

from multi_adapter_inference import IContainer, LoraServing

LORA = LoraServing(max_loras=30, max_cpu_loras=70, max_lora_rank=64)


def environment_of(container: IContainer) -> Mapping[str, str]:
    """Return the environment of a container whose model SageMaker downloads."""
    return container._environment_for(LORA, None)


def annotated(
    stack: cdk.Stack, container: IContainer, *, ami: str | None = None, model_in_s3: bool = False
) -> cdk.Stack:
    """Return the stack with what a user of a container should know."""
    container.annotate(stack, inference_ami_version=ami, model_in_s3=model_in_s3)
    return stack

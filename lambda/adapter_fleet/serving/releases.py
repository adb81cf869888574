"""The releases of the containers that serve a base model and its adapters."""

from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.vllm import VllmVersion

ContainerRelease = LmiVersion | VllmVersion
"""A release of either container.

title:
    The release in messages, such as LMI 19.
repository, tag:
    The name of AWS's ECR repository, and the image's tag in it.
regions:
    The regions in which AWS publishes the image, as far as it is known.
variables:
    The names of its environment variables for the engine's settings.
model_variables, revision_variable:
    The environment variables that name the model to it, and the revision of a model of the Hugging Face Hub.
downloads_from_buckets:
    True if it downloads a model whose HF_MODEL_ID is a prefix in S3.
settings_file:
    The file beside the model whose settings count more than environment variables.
"""

RELEASES: tuple[ContainerRelease, ...] = (*LmiVersion, *VllmVersion)

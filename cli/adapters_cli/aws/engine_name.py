"""The engine that serves a base model's copies.

On AWS, the engine is what the image of the base component's model holds: DescribeInferenceComponent names the
model, and DescribeModel the image. An embedded cloud only stores the image that is declared. It names what
really runs in a header of DescribeInferenceComponent's answer, which AWS does not have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from adapter_rules.engines.container_releases import RELEASES
from adapters_cli.aws.account import Account

_ENGINE_HEADER = "x-local-sagemaker-engine"


def engine_name(account: Account, endpoint: str, base_component: str) -> str | None:
    """Return the engine's name for reports; None if the caller may not see it."""
    try:
        found = BaseContainer.read(account, base_component)
    except (BotoCoreError, ClientError):
        return None
    return found.engine if found.endpoint == endpoint else None


@dataclass(frozen=True, kw_only=True)
class BaseContainer:
    """What runs a base component.

    engine:
        The engine's name for reports; None if the image is unknown.
    """

    component: str
    endpoint: str
    copies: int
    engine: str | None

    @classmethod
    def read(cls, account: Account, component: str) -> "BaseContainer":
        """Describe what runs a base, or the base of an adapter. Raises ClientError for unknown names."""
        client = account.client("sagemaker")
        found = client.describe_inference_component(InferenceComponentName=component)
        base = found.get("Specification", {}).get("BaseInferenceComponentName")
        if base is not None:
            component, found = base, client.describe_inference_component(InferenceComponentName=base)
        # A base on several instance types has a specification for each, with the same container.
        specifications: Sequence[Any] = found.get("Specifications", ())
        specification: Any = found.get("Specification") or next(iter(specifications), {})
        container = _container(client, specification)
        image = container.get("Image") or _deployed_image(specification)
        reported = found["ResponseMetadata"].get("HTTPHeaders", {}).get(_ENGINE_HEADER)
        return cls(
            component=component,
            endpoint=found["EndpointName"],
            copies=found.get("RuntimeConfig", {}).get("CurrentCopyCount", 1),
            engine=reported or (_name_of_image(image) if image else None),
        )


def _container(client: Any, specification: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container of a component's model; nothing if there is none, or if it may not be read."""
    if "ModelName" not in specification:
        return {}
    try:
        model = client.describe_model(ModelName=specification["ModelName"])
    except ClientError:
        return {}
    containers = [model.get("PrimaryContainer"), *model.get("Containers", ())]
    return next((container for container in containers if container), {})


def _deployed_image(specification: Mapping[str, Any]) -> str | None:
    image: str | None = specification.get("Container", {}).get("DeployedImage", {}).get("SpecifiedImage")
    return image


def _name_of_image(image: str) -> str:
    """Return the release in an image of AWS; of any other image, the image."""
    name = image.rpartition("/")[2]
    for release in RELEASES:
        if name == f"{release.repository}:{release.tag}":
            return f"{release.title} (vLLM {release.engine.version}, {name})"
    return image

"""The container that serves base model and adapters: its image and its environment."""

from __future__ import annotations

from dataclasses import dataclass

from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.registry_accounts import REGISTRY_ACCOUNTS
from adapter_fleet.serving.vllm import VllmVersion
from verify_aws.adapters import RANK, BaseModel

_LORA = LoraServing(max_loras=8, max_cpu_loras=64, max_lora_rank=RANK)


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container that serves the base model and its adapters."""

    name: str
    release: LmiVersion | VllmVersion

    @classmethod
    def of(cls, name: str, version: str | None = None) -> Container:
        """Return LMI or vLLM in a version; ValueError if it is not known.

        The default version needs no newer AMI than SageMaker's own.
        """
        if name == "lmi":
            number = version or "19"
            if not number.isdigit():
                raise ValueError(f"'version' should be a number as 19 with lmi, got {number!r}")
            return cls(name=name, release=LmiVersion.numbered(int(number)))
        if name == "vllm":
            return cls(name=name, release=VllmVersion.numbered(version or "1.4"))
        raise ValueError(f"'container' should be lmi or vllm, got {name!r}")

    def image(self, region: str) -> str:
        """Return the address of the image in a region."""
        if region not in self.release.regions:
            raise ValueError(f"AWS publishes no image of {self.release.title} in {region}")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        registry = f"{REGISTRY_ACCOUNTS[region]}.dkr.ecr.{region}.{suffix}"
        return f"{registry}/{self.release.repository}:{self.release.tag}"

    def environment(self, model: BaseModel) -> dict[str, str]:
        """Return the variables for a model, with prefix caching as the container has it by default."""
        hub = {"HF_MODEL_ID": model.hub_id} if model.hub_id else {}
        return {**self.release.environment(_LORA, prefix_caching=True), **hub}

"""CDK constructs that run one base model and its LoRA adapters on a SageMaker endpoint."""

from adapter_fleet.lmi import LmiVersion
from adapter_fleet.serving import LoraDtype, LoraServing
from multi_adapter_inference.adapter import LoraAdapter
from multi_adapter_inference.artifact import AdapterArtifact, ArtifactSource
from multi_adapter_inference.base_model import BaseModel, ModelDownload
from multi_adapter_inference.compute import ComputeRequirements, StartupTimeouts
from multi_adapter_inference.container import LmiContainer
from multi_adapter_inference.endpoint import IMultiAdapterEndpoint, MultiAdapterEndpoint, RoutingStrategy
from multi_adapter_inference.instance_type import InstanceType

__all__ = [
    "AdapterArtifact",
    "ArtifactSource",
    "BaseModel",
    "ComputeRequirements",
    "IMultiAdapterEndpoint",
    "InstanceType",
    "LmiContainer",
    "LmiVersion",
    "LoraAdapter",
    "LoraDtype",
    "LoraServing",
    "ModelDownload",
    "MultiAdapterEndpoint",
    "RoutingStrategy",
    "StartupTimeouts",
]

"""CDK constructs that run one base model and its LoRA adapters on a SageMaker endpoint."""

from adapter_fleet.fleet.state.fleet_settings import OnTimeout
from adapter_rules.engines.container_releases import LmiVersion, VllmVersion
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.engines.scaling_metric import ScalingMetric
from multi_adapter_inference.adapters.adapter import ILoraAdapter, LoraAdapter
from multi_adapter_inference.adapters.artifact import AdapterArtifact
from multi_adapter_inference.components.base_component_interface import IBaseComponent
from multi_adapter_inference.components.inference_component import IInferenceComponent
from multi_adapter_inference.components.scaling import CopyScaling, ScalingTarget
from multi_adapter_inference.endpoint.base_component import BaseComponent
from multi_adapter_inference.endpoint.base_model_options import (
    BaseModelOptions,
    CommonBaseModelOptions,
    PlacementStrategy,
)
from multi_adapter_inference.endpoint.endpoint_interface import IInferenceEndpoint
from multi_adapter_inference.endpoint.inference_endpoint import InferenceEndpoint, RoutingStrategy
from multi_adapter_inference.endpoint.multi_adapter_endpoint import InstancePool, MultiAdapterEndpoint
from multi_adapter_inference.endpoint.rolling_update import BatchSize
from multi_adapter_inference.fleet.fleet import AdapterFleet, FleetOptions
from multi_adapter_inference.fleet.fleet_interface import FleetMember, IAdapterFleet
from multi_adapter_inference.fleet.monitoring import AdapterFleetMonitoring
from multi_adapter_inference.fleet.policies import (
    Canary,
    DeletionGuard,
    DriftCheck,
    FailurePolicy,
    Releases,
    RequiredEvaluation,
)
from multi_adapter_inference.fleet.usage import UsageMetrics
from multi_adapter_inference.functions.functions import FunctionHosting
from multi_adapter_inference.manifests.fleet_adapter import AdapterProbe, FleetAdapter, SmokeTest
from multi_adapter_inference.manifests.manifest import AdapterManifest
from multi_adapter_inference.models.artifact_source import ArtifactSource
from multi_adapter_inference.models.base_model import BaseModel, ModelDownload
from multi_adapter_inference.models.compute import ComputeRequirements, StartupTimeouts
from multi_adapter_inference.models.container import IContainer, LmiContainer, VllmContainer
from multi_adapter_inference.models.instance_type import InstanceType
from multi_adapter_inference.template.metrics import MetricOptions

__all__ = [
    "AdapterArtifact",
    "AdapterFleet",
    "AdapterFleetMonitoring",
    "AdapterManifest",
    "AdapterProbe",
    "ArtifactSource",
    "BaseComponent",
    "BaseModel",
    "BaseModelOptions",
    "BatchSize",
    "Canary",
    "CommonBaseModelOptions",
    "ComputeRequirements",
    "CopyScaling",
    "DeletionGuard",
    "DriftCheck",
    "FailurePolicy",
    "FleetAdapter",
    "FleetMember",
    "FleetOptions",
    "FunctionHosting",
    "IAdapterFleet",
    "IBaseComponent",
    "IContainer",
    "IInferenceComponent",
    "IInferenceEndpoint",
    "ILoraAdapter",
    "InferenceEndpoint",
    "InstancePool",
    "InstanceType",
    "LmiContainer",
    "LmiVersion",
    "LoraAdapter",
    "LoraServing",
    "MetricOptions",
    "ModelDownload",
    "MultiAdapterEndpoint",
    "OnTimeout",
    "PlacementStrategy",
    "Releases",
    "RequiredEvaluation",
    "RoutingStrategy",
    "ScalingMetric",
    "ScalingTarget",
    "SmokeTest",
    "StartupTimeouts",
    "UsageMetrics",
    "VllmContainer",
    "VllmVersion",
]

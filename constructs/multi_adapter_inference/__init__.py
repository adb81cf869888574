"""CDK constructs that run one base model and its LoRA adapters on a SageMaker endpoint."""

from adapter_fleet.fleet.state.fleet_settings import OnTimeout, UpdateMode
from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraServing
from adapter_fleet.serving.scaling_metric import ScalingMetric
from adapter_fleet.serving.vllm import VllmVersion
from multi_adapter_inference.adapters.adapter import ILoraAdapter, LoraAdapter
from multi_adapter_inference.adapters.artifact import AdapterArtifact
from multi_adapter_inference.components.endpoint_interface import IMultiAdapterEndpoint
from multi_adapter_inference.components.inference_component import IInferenceComponent
from multi_adapter_inference.components.scaling import CopyScaling, ScalingTarget
from multi_adapter_inference.endpoint.data_capture import CaptureMode, DataCapture
from multi_adapter_inference.endpoint.endpoint import MultiAdapterEndpoint, RoutingStrategy
from multi_adapter_inference.endpoint.instance_pool import InstancePool
from multi_adapter_inference.endpoint.rolling_update import BatchSize
from multi_adapter_inference.fleet.fleet import AdapterFleet, FleetOptions
from multi_adapter_inference.fleet.fleet_interface import FleetMember, IAdapterFleet
from multi_adapter_inference.fleet.monitoring import AdapterFleetMonitoring
from multi_adapter_inference.fleet.policies import (
    DeletionGuard,
    DriftCheck,
    FailurePolicy,
    RequiredEvaluation,
)
from multi_adapter_inference.fleet.usage_metrics import UsageMetrics
from multi_adapter_inference.functions.function_hosting import FunctionHosting
from multi_adapter_inference.manifests.fleet_adapter import AdapterProbe, FleetAdapter, SmokeTest
from multi_adapter_inference.manifests.manifest import AdapterManifest
from multi_adapter_inference.models.artifact_source import ArtifactSource
from multi_adapter_inference.models.base_model import BaseModel, ModelDownload
from multi_adapter_inference.models.compute import ComputeRequirements, StartupTimeouts
from multi_adapter_inference.models.container import IContainer
from multi_adapter_inference.models.instance_type import InstanceType
from multi_adapter_inference.models.lmi_container import LmiContainer
from multi_adapter_inference.models.vllm_container import VllmContainer
from multi_adapter_inference.template.metrics import MetricOptions

__all__ = [
    "AdapterArtifact",
    "AdapterFleet",
    "AdapterFleetMonitoring",
    "AdapterManifest",
    "AdapterProbe",
    "ArtifactSource",
    "BaseModel",
    "BatchSize",
    "CaptureMode",
    "ComputeRequirements",
    "CopyScaling",
    "DataCapture",
    "DeletionGuard",
    "DriftCheck",
    "FailurePolicy",
    "FleetAdapter",
    "FleetMember",
    "FleetOptions",
    "FunctionHosting",
    "IAdapterFleet",
    "IContainer",
    "IInferenceComponent",
    "ILoraAdapter",
    "IMultiAdapterEndpoint",
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
    "RequiredEvaluation",
    "RoutingStrategy",
    "ScalingMetric",
    "ScalingTarget",
    "SmokeTest",
    "StartupTimeouts",
    "UpdateMode",
    "UsageMetrics",
    "VllmContainer",
    "VllmVersion",
]

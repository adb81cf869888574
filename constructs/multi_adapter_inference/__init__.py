"""CDK constructs that run one base model and its LoRA adapters on a SageMaker endpoint."""

from adapter_fleet.fleet.state.fleet_settings import OnTimeout, UpdateMode
from adapter_fleet.serving.capture_mode import CaptureMode
from adapter_fleet.serving.lmi import LmiVersion
from adapter_fleet.serving.lora_limits import LoraDtype, LoraServing
from adapter_fleet.serving.placement_strategy import PlacementStrategy
from adapter_fleet.serving.routing import PrefixRouting, RoutingStrategy
from adapter_fleet.serving.scaling_metric import ScalingMetric
from adapter_fleet.serving.vllm import VllmVersion
from adapter_fleet.usage.price_list import PriceList
from multi_adapter_inference.adapter import ILoraAdapter, LoraAdapter
from multi_adapter_inference.artifact import AdapterArtifact
from multi_adapter_inference.artifact_source import ArtifactSource
from multi_adapter_inference.base_model import BaseModel, ModelDownload
from multi_adapter_inference.compute import ComputeRequirements, StartupTimeouts
from multi_adapter_inference.container import IContainer
from multi_adapter_inference.data_capture import DataCapture
from multi_adapter_inference.endpoint import MultiAdapterEndpoint
from multi_adapter_inference.endpoint_interface import IMultiAdapterEndpoint
from multi_adapter_inference.fleet import AdapterFleet, FleetOptions
from multi_adapter_inference.fleet_adapter import AdapterProbe, FleetAdapter, SmokeTest
from multi_adapter_inference.fleet_interface import FleetMember, IAdapterFleet
from multi_adapter_inference.fleet_policies import (
    DeletionGuard,
    DriftCheck,
    FailurePolicy,
    RequiredEvaluation,
)
from multi_adapter_inference.function_hosting import FunctionHosting
from multi_adapter_inference.inference_component import IInferenceComponent
from multi_adapter_inference.instance_pool import InstancePool
from multi_adapter_inference.instance_type import InstanceType
from multi_adapter_inference.lmi_container import LmiContainer
from multi_adapter_inference.manifest import AdapterManifest
from multi_adapter_inference.metrics_config import MetricsConfig
from multi_adapter_inference.monitoring import AdapterFleetMonitoring
from multi_adapter_inference.rolling_update import BatchSize
from multi_adapter_inference.scaling import CopyScaling, ScalingTarget
from multi_adapter_inference.scheduling import CopyScheduling
from multi_adapter_inference.usage_metrics import UsageMetrics
from multi_adapter_inference.vllm_container import VllmContainer

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
    "CopyScheduling",
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
    "LoraDtype",
    "LoraServing",
    "MetricsConfig",
    "ModelDownload",
    "MultiAdapterEndpoint",
    "OnTimeout",
    "PlacementStrategy",
    "PrefixRouting",
    "PriceList",
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

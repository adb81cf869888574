"""The CloudFormation types of SageMaker, as AWS's resource schemas describe them [V].

Ref of each is its ARN. A change of anything but tags replaces a model or an endpoint configuration. A change
of its name replaces an endpoint. Nothing replaces an inference component: what its API cannot change fails.
"""

from dataclasses import dataclass

TYPE_PREFIX = "AWS::SageMaker::"


@dataclass(frozen=True)
class ResourceType:
    """One type of resource.

    arn_kind is the part of the ARN before the name. A change of a create_only property replaces the resource.
    A change of a not_updatable property fails: the schema of inference components has no create-only
    properties, and their API cannot change these. only_on_update properties are parameters of updates only.
    api_only are paths of parameters that the schema does not have. system_tags: CloudFormation adds tags of
    its own, which begin with `aws:cloudformation:` (`cloudFormationSystemTags` of the schema). updatable are
    further properties that drift is looked for in; write_only are paths in them that cannot be read.
    """

    kind: str
    arn_kind: str
    create_only: tuple[str, ...]
    has_status: bool = False
    only_on_update: tuple[str, ...] = ()
    not_updatable: tuple[str, ...] = ()
    api_only: tuple[str, ...] = ()
    system_tags: bool = False
    updatable: tuple[str, ...] = ()
    write_only: tuple[str, ...] = ()

    @property
    def cloudformation_type(self) -> str:
        """The name in templates."""
        return TYPE_PREFIX + self.kind

    @property
    def readable(self) -> frozenset[str]:
        """The properties whose drift is detected."""
        return frozenset((*self.create_only, *self.not_updatable, *self.updatable, "Tags"))

    @property
    def name(self) -> str:
        """The property with the resource's name."""
        return f"{self.kind}Name"

    @property
    def arn(self) -> str:
        """The attribute with the ARN."""
        return f"{self.kind}Arn"


MODEL = ResourceType(
    "Model",
    "model",
    (
        "Containers",
        "EnableNetworkIsolation",
        "ExecutionRoleArn",
        "InferenceExecutionConfig",
        "ModelName",
        "PrimaryContainer",
        "VpcConfig",
    ),
    system_tags=True,
    api_only=tuple(
        f"{container}.{member}"
        for container in ("Containers", "PrimaryContainer")
        for member in (
            "AdditionalModelDataSources",
            "ContainerMetricsConfig",
            "ModelDataSource.S3DataSource.ETag",
            "ModelDataSource.S3DataSource.ManifestEtag",
            "ModelDataSource.S3DataSource.ManifestS3Uri",
        )
    ),
)
ENDPOINT_CONFIG = ResourceType(
    "EndpointConfig",
    "endpoint-config",
    (
        "AsyncInferenceConfig",
        "DataCaptureConfig",
        "EnableNetworkIsolation",
        "EndpointConfigName",
        "ExecutionRoleArn",
        "ExplainerConfig",
        "KmsKeyId",
        "MetricsConfig",
        "ProductionVariants",
        "ShadowProductionVariants",
        "VpcConfig",
    ),
    api_only=(
        "CrossRegionTrafficConfig",
        "ProductionVariants.AcceleratorPartitionLayouts",
        "ShadowProductionVariants.AcceleratorPartitionLayouts",
    ),
)
ENDPOINT = ResourceType(
    "Endpoint",
    "endpoint",
    ("EndpointName",),
    has_status=True,
    updatable=("EndpointConfigName",),
    only_on_update=(
        "ExcludeRetainedVariantProperties",
        "RetainAllVariantProperties",
        "RetainDeploymentConfig",
    ),
)
INFERENCE_COMPONENT = ResourceType(
    "InferenceComponent",
    "inference-component",
    (),
    has_status=True,
    only_on_update=("DeploymentConfig",),
    not_updatable=("InferenceComponentName", "EndpointName", "VariantName"),
    updatable=("Specification", "Specifications"),
    write_only=("Container.Image", "DataCacheConfig"),
    api_only=(
        "Specification.ComputeResourceRequirements.AcceleratorPartitionType",
        "Specification.InstanceType",
        "Specifications.BaseInferenceComponentName",
        "Specifications.ComputeResourceRequirements.AcceleratorPartitionType",
    ),
)
RESOURCE_TYPES = (MODEL, ENDPOINT_CONFIG, ENDPOINT, INFERENCE_COMPONENT)

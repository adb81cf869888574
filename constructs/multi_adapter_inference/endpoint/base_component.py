"""The component of a base model: its copies on an endpoint."""

from collections.abc import Mapping, Sequence
from typing import Unpack

from aws_cdk import aws_iam as iam
from constructs import Construct

from adapter_fleet.common.naming import check_component_name, check_component_prefix
from adapter_fleet.common.validators import holds_token
from adapter_rules.engines.lora_limits import LoraServing
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.components.base_component_interface import IBaseComponent
from multi_adapter_inference.components.component_names import check_name, warn_of_fixed_names
from multi_adapter_inference.endpoint.base_model_options import BaseModelOptions
from multi_adapter_inference.endpoint.endpoint_interface import IInferenceEndpoint
from multi_adapter_inference.endpoint.own_base_component import OwnBaseComponent
from multi_adapter_inference.models.artifact_source import ArtifactSource
from multi_adapter_inference.models.base_model import BaseModel
from multi_adapter_inference.models.compute import ComputeRequirements
from multi_adapter_inference.models.container import IContainer
from multi_adapter_inference.models.execution_role import ExecutionRole
from multi_adapter_inference.models.instance_type import InstanceType
from multi_adapter_inference.template.arns import component_arn_spellings, imported_endpoint_arn

_CONSTRUCTS: Mapping[str, str] = {
    "add_adapter": "LoraAdapter(scope, id, endpoint=…, artifact=…)",
    "add_fleet": "AdapterFleet(scope, id, endpoint=…, manifest=…)",
}
"""What stands for the methods that only a base component of the same app has."""


@checked
class BaseComponent(OwnBaseComponent):
    """A base model on an endpoint, which shares the instances with the endpoint's other base models.

    endpoint:
        The endpoint. `endpoint.add_base_model()` is the short form.
    model, container, lora:
        The model, the container that runs it, and how many adapters it serves.
    compute:
        What each copy takes of its instance. A mapping says it for each instance type of the endpoint.
    copy_count:
        The number of copies. It is an error if they do not fit beside the copies of other base models.
    startup:
        How long copies may take to start. Default: SageMaker's own limits.
    data_caching:
        Whether each instance keeps the model's files and the image, so that copies of a scale-out start
        faster. Default: SageMaker's own choice.
    placement_strategy:
        On which instances the copies are. Default: SageMaker's own choice.
    network_isolation:
        Whether the containers are cut off from every network. Code in an archive can then send nothing
        out. Default: True, unless the container itself downloads the model.
    artifact_sources:
        The places in buckets where adapters are. The endpoint's role may read them. Adapters from directories
        need no entry.
    component_prefix:
        The beginning of the components' names: `<prefix>-base-<hash>`, and `<prefix>-<adapter>-<hash>` of an
        adapter in the stack. Default: made of the stack's name and the path.
    component_name:
        The whole name of the component. It stays when the path changes. Delete the component before you move
        it to another endpoint. Default: made of the prefix.

    Example::

        shared = InferenceEndpoint(
            stack,
            "Shared",
            instance_type=InstanceType.ML_G5_12XLARGE,
            inference_ami_version="al2023-ami-sagemaker-inference-gpu-4-1",
        )
        qwen = BaseComponent(
            stack,
            "Qwen",
            endpoint=shared,
            model=BaseModel.from_bucket(bucket, "qwen-2.5-0.5b-instruct/", name="Qwen/Qwen2.5-0.5B-Instruct"),
            container=LmiContainer(version=LmiVersion.V28),
            lora=LoraServing(max_loras=4, max_cpu_loras=8, max_lora_rank=16),
            compute=ComputeRequirements(accelerators=1, min_memory=Size.mebibytes(8000)),
        )
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        endpoint: IInferenceEndpoint,
        model: BaseModel,
        container: IContainer,
        lora: LoraServing,
        compute: ComputeRequirements | Mapping[InstanceType, ComputeRequirements],
        **options: Unpack[BaseModelOptions],
    ) -> None:
        super().__init__(scope, id)
        startup = options.get("startup")
        if startup is not None and startup.instance_provision is not None:
            with error_context(self):
                raise ValueError(
                    "'startup' should have no 'instance_provision', which is the endpoint's"
                    " 'instance_provision_timeout'"
                )
        self._create(endpoint, model=model, container=container, lora=lora, compute=compute, **options)
        self.node.default_child = self._base

    @classmethod
    def from_base_component_attributes(
        cls,
        scope: Construct,
        id: str,
        *,
        endpoint_name: str,
        endpoint_arn: str | None = None,
        component_name: str,
        component_prefix: str,
        lora: LoraServing | None = None,
        role: iam.IRole | None = None,
        artifact_sources: Sequence[ArtifactSource] | None = None,
    ) -> IBaseComponent:
        """Return the component of a base model that another app or a person made in this account and region.

        endpoint_name, component_name:
            The names of the endpoint and of the component. A component's name that is a token has to be in
            lower case, or grants do not reach the base model.
        endpoint_arn:
            The ARN of the endpoint, which IAM compares letter by letter. Default: made of the name, in lower
            case as SageMaker writes it. A name that is a token needs it.
        component_prefix:
            The beginning of the names of the adapters' components.
        lora:
            The engine's limits. Synth checks adapters from directories against them.
        role:
            The endpoint's execution role. It gets the right to read adapters from directories.
        artifact_sources:
            The places in buckets where adapters must be. Default: anywhere.
        """
        return ImportedBase(
            scope,
            id,
            endpoint_name,
            endpoint_arn,
            {"component_name": component_name},
            component_prefix,
            lora,
            role,
            artifact_sources,
        )


class ImportedBase(IBaseComponent):
    """A base model's component of another app."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        endpoint_name: str,
        endpoint_arn: str | None,
        component: Mapping[str, str],
        component_prefix: str,
        lora: LoraServing | None,
        role: iam.IRole | None,
        artifact_sources: Sequence[ArtifactSource] | None,
    ) -> None:
        """`component` is the component's name by the setting that has it."""
        super().__init__(scope, id)
        (self.component_name,) = component.values()
        with error_context(self):
            check_name(self.component_name, component)
            if not holds_token(endpoint_name):
                check_component_name(endpoint_name, what="endpoint_name")
            if not holds_token(component_prefix):
                check_component_prefix(component_prefix)
        warn_of_fixed_names(self, endpoint_name=endpoint_name, **component, component_prefix=component_prefix)
        self.artifact_sources = None if artifact_sources is None else tuple(artifact_sources)
        self.endpoint_name = self.identity = endpoint_name
        with error_context(self):
            self.endpoint_arn = imported_endpoint_arn(self, endpoint_name, endpoint_arn)
        self._component_arns = component_arn_spellings(self, self.component_name)
        self.component_prefix = component_prefix
        self.lora = lora
        if role is not None:
            self._execution_role = ExecutionRole(self, role)
            self.adapters_depend_on = (self._execution_role.policy,)

    def __getattr__(self, name: str) -> object:
        """Raise AttributeError, with the construct that does what the method of an own one does."""
        if (construct := _CONSTRUCTS.get(name)) is not None:
            raise AttributeError(f"an imported base component has no {name!r}: use {construct}")
        return super().__getattribute__(name)  # raises

"""One LoRA adapter as a resource of the stack."""

from collections.abc import Sequence

import jsii
from aws_cdk import Resource
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct, IConstruct

from adapter_fleet.common.naming import adapter_component
from adapter_fleet.common.validators import holds_token
from multi_adapter_inference.adapters.artifact import AdapterArtifact, ObjectAddress
from multi_adapter_inference.arguments.argument_types import checked
from multi_adapter_inference.arguments.errors import error_context
from multi_adapter_inference.components.base_component_interface import IBaseComponent
from multi_adapter_inference.components.component_names import (
    check_name,
    claim_name,
    immutable_hash,
    replace_on_change,
    warn_of_fixed_names,
)
from multi_adapter_inference.components.inference_component import IInferenceComponent
from multi_adapter_inference.template.arns import component_arn_spellings
from multi_adapter_inference.template.stack_location import check_same_environment


@checked
class ILoraAdapter(Resource, IInferenceComponent, metaclass=jsii.JSIIAbstractClass):
    """An adapter with a resource of its own: a `LoraAdapter`, or an imported one.

    Example::

        def allow(adapter: ILoraAdapter) -> None:
            adapter.grant_invoke(caller)

        allow(LoraAdapter.from_component_name(stack, "Ectsum", "acme-ectsum", endpoint=endpoint))
    """

    component_arn: str
    """The ARN of the adapter's component."""

    endpoint: IBaseComponent
    """The endpoint that the adapter runs on."""

    _component_arns: Sequence[str] = ()

    @property
    def _metrics_of(self) -> IConstruct:
        return self

    @property
    def _endpoint(self) -> IBaseComponent:
        return self.endpoint


@checked
class LoraAdapter(ILoraAdapter):
    """A LoRA adapter on an endpoint's base model, for a few adapters that belong to the stack.

    A new artifact updates the adapter in place. Callers put `component_name` into their requests. Its hash
    covers what SageMaker cannot change in place, so a replacement never has the name of its predecessor.

    endpoint:
        The base model to run on, from `add_base_model()`, or a `MultiAdapterEndpoint`. The adapter is created
        after it and deleted before it.
    artifact:
        The adapter's archive, or the directory that a training run wrote.
    adapter_name:
        The middle of the component's name. Default: the construct's id.
    component_name:
        The whole name. It stays when the adapter moves to another base model. Delete the adapter before you
        move it. Default: `<prefix>-<name>-<hash>`.
    component_per_version:
        Whether a new artifact gets a component of its own, with a new name, instead of an update in place.
        The new component answers before the old one is deleted. Callers need the new name. The archive's key
        must be known at synth.

    Example::

        adapter = LoraAdapter(
            stack,
            "Ectsum",
            endpoint=endpoint,
            artifact=AdapterArtifact.from_bucket(bucket, "adapters/ectsum-v1.tar.gz"),
        )
        adapter.grant_invoke(caller)
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        endpoint: IBaseComponent,
        artifact: AdapterArtifact,
        adapter_name: str | None = None,
        component_name: str | None = None,
        component_per_version: bool = False,
    ) -> None:
        super().__init__(scope, id)
        with error_context(self):
            check_same_environment(self, endpoint)
            if component_name is not None and component_per_version:
                raise ValueError(
                    "'component_name' should be left out with 'component_per_version', as each version gets a"
                    f" name of its own, got {component_name!r}"
                )
            if component_per_version:
                _check_version(artifact)
        artifact_url = artifact.bind(self, endpoint)
        version = (artifact.version,) if component_per_version else ()
        name = adapter_name or id
        hashed = immutable_hash(self, endpoint.identity, endpoint.base_component_name, name, *version)
        if endpoint.container is not None and not component_per_version:
            endpoint.container.warn_of_updates_in_place(endpoint)
        self.endpoint = endpoint
        self.component_name = (
            component_name or f"{adapter_component(endpoint.component_prefix, name)}-{hashed}"
        )
        claim_name(
            self,
            self.component_name,
            endpoint=endpoint,
            made_of={"component_name": component_name}
            if component_name
            else {
                "component_prefix": endpoint.component_prefix,
                "adapter_name" if adapter_name else "id": name,
            },
        )

        warn_of_fixed_names(self, adapter_name=adapter_name, component_name=component_name)
        resource = sagemaker.CfnInferenceComponent(
            self,
            "Resource",
            inference_component_name=self.component_name,
            endpoint_name=endpoint.endpoint_name,
            # Nothing else: the base has the compute and the variant, and the API refuses them here.
            specification=sagemaker.CfnInferenceComponent.InferenceComponentSpecificationProperty(
                base_inference_component_name=endpoint.base_component_name,
                container=sagemaker.CfnInferenceComponent.InferenceComponentContainerSpecificationProperty(
                    artifact_url=artifact_url
                ),
            ),
        )
        replace_on_change(
            self, resource, endpoint.identity, endpoint.base_component_name, self.component_name
        )
        resource.node.add_dependency(*endpoint.adapters_depend_on)
        # SageMaker's own text, not one made of the name: IAM compares ARNs letter by letter, and SageMaker
        # writes them in lower case whatever the name is.
        self.component_arn = resource.attr_inference_component_arn
        self._component_arns = (self.component_arn,)

    @classmethod
    def from_component_name(
        cls, scope: Construct, id: str, component_name: str, *, endpoint: IBaseComponent
    ) -> ILoraAdapter:
        """Return an adapter that another app or a person made in this account and region."""
        return _ImportedAdapter(scope, id, component_name, endpoint)


def _check_version(artifact: AdapterArtifact) -> None:
    """Raise ValueError if another version of the artifact may leave the template as it is."""
    address = artifact._address
    if isinstance(address, ObjectAddress) and holds_token(address.key):
        raise ValueError(
            "'artifact' should have a key that synth knows with 'component_per_version', as the component's"
            f" name is made of it, got {address.key!r}"
        )


class _ImportedAdapter(ILoraAdapter):
    def __init__(self, scope: Construct, id: str, component_name: str, endpoint: IBaseComponent) -> None:
        super().__init__(scope, id)
        with error_context(self):
            check_name(component_name, {"component_name": component_name})
        self.endpoint = endpoint
        self.component_name = component_name
        self._component_arns = component_arn_spellings(self, component_name)
        self.component_arn = self._component_arns[0]

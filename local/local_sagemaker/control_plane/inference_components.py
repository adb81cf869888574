"""Inference components: what the API refuses beyond its model; `deployments` does the slow part."""

import copy
import math
from collections.abc import Iterator
from typing import Any

from local_sagemaker.control_plane.capacity import needed_resources, room_on
from local_sagemaker.control_plane.component import (
    AdapterComponent,
    BaseComponent,
    Component,
    State,
    base_of,
)
from local_sagemaker.control_plane.component_store import ComponentStore
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.deployments import Deployments
from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.endpoints import Endpoints
from local_sagemaker.control_plane.listings import Position, Summary, list_page
from local_sagemaker.control_plane.models import Models
from local_sagemaker.control_plane.rolling_update import check_batches
from local_sagemaker.errors import ResourceStateError, validation_exception

# What an update of an adapter may not have.
_OF_BASES = frozenset({"DeploymentConfig", "RuntimeConfig", "Specifications"})
# The members of ComputeResourceRequirements in the order of `Resources`.
_REQUIREMENTS = (
    "NumberOfAcceleratorDevicesRequired",
    "MinMemoryRequiredInMb",
    "NumberOfCpuCoresRequired",
)


class InferenceComponents:
    """The operations on base components and on the adapters of each."""

    def __init__(
        self,
        context: Context,
        models: Models,
        endpoints: Endpoints,
        components: ComponentStore,
        deployments: Deployments,
    ):
        self._context = context
        self._models = models
        self._endpoints = endpoints
        self._components = components
        self._deployments = deployments
        self.operations = {
            "CreateInferenceComponent": self._create,
            "DescribeInferenceComponent": self._describe,
            "ListInferenceComponents": self._list,
            "UpdateInferenceComponent": self._update,
            "UpdateInferenceComponentRuntimeConfig": self._update_runtime_config,
            "DeleteInferenceComponent": self._delete,
        }

    # --- create

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["InferenceComponentName"]
        arn = self._context.arn("inference-component", name)
        if self._components.find(name) is not None:
            # [I] After the sibling's "Cannot create already existing endpoint".
            raise validation_exception(f'Cannot create already existing inference component "{arn}".')
        endpoint = self._endpoints.get(request["EndpointName"])
        refuses = self._context.settings.value.create_while_instances_change == "refused"
        status = endpoint.shown_status if refuses else endpoint.status
        if status != "InService":
            raise validation_exception(
                f'Cannot create inference component "{arn}" while endpoint "{endpoint.arn}" is in status '
                f'"{status}".'
            )
        if ("Specification" in request) == ("Specifications" in request):
            raise validation_exception("Exactly one of Specification and Specifications should be given.")

        shared = {
            "name": name,
            "arn": arn,
            "endpoint": endpoint,
            "created": self._context.clock.now(),
        }
        is_adapter = "BaseInferenceComponentName" in request.get("Specification", {})
        make = self._new_adapter if is_adapter else self._new_base
        component = make(request, endpoint, shared)
        self._components.add(component, request.get("Tags", []))
        self._context.spawn(self._deployments.create(component))
        return {"InferenceComponentArn": arn}

    def _new_adapter(
        self, request: dict[str, Any], endpoint: EndpointRecord, shared: dict[str, Any]
    ) -> AdapterComponent:
        specification = copy.deepcopy(request["Specification"])
        # [V Terraform] An adapter is its base and its artifact; compute and variant are the base's.
        given = [member for member in ("VariantName", "RuntimeConfig") if member in request]
        if given and self._context.settings.value.adapter_with_base_members == "refused":
            raise validation_exception(
                f"{' and '.join(given)} should not be given for an inference component with "
                "BaseInferenceComponentName."
            )
        _check_adapter_specification(specification, {"BaseInferenceComponentName", "Container"})
        base = self._components.get(specification["BaseInferenceComponentName"])
        if not isinstance(base, BaseComponent) or base.endpoint is not endpoint:
            raise validation_exception(
                f'Inference component "{base.arn}" is not a base inference component on endpoint '
                f'"{endpoint.name}".'
            )
        if base.state is not State.IN_SERVICE:
            raise validation_exception(
                f'Cannot create inference component "{shared["arn"]}" while base inference component '
                f'"{base.arn}" is in state {base.state}.'
            )
        if request.get("VariantName", base.variant) != base.variant:
            raise validation_exception(
                f'VariantName should be {base.variant}, that of "{base.arn}", got {request["VariantName"]}.'
            )
        self._check_family(base, None, "create", shared["arn"])
        return AdapterComponent(**shared, specification=specification, variant=base.variant, base=base)

    def _new_base(
        self, request: dict[str, Any], endpoint: EndpointRecord, shared: dict[str, Any]
    ) -> BaseComponent:
        if "VariantName" not in request:
            raise validation_exception("VariantName should be given for a base inference component.")
        variant = endpoint.variant(request["VariantName"])
        if variant is None:
            raise validation_exception(
                f'Could not find variant "{request["VariantName"]}" on endpoint "{endpoint.arn}".'
            )
        copies = request.get("RuntimeConfig", {"CopyCount": 1})["CopyCount"]
        if copies < 1:
            # [T stdapi.ai #43] 0 is for updates and scaling only. The sentence is the service's.
            raise validation_exception("Inference components copy count an integer larger than 0")
        specification = self._base_specification(request, variant)
        assert specification is not None  # a creation has one
        return BaseComponent(
            **shared,
            specification=specification,
            specifications=copy.deepcopy(request.get("Specifications")),
            variant=variant["VariantName"],
            desired_copies=copies,
            requested_copies=copies,
        )

    def _base_specification(self, request: dict[str, Any], variant: dict[str, Any]) -> dict[str, Any] | None:
        """The checked specification in force, None if a request has none.

        [V InferenceComponentSpecification] Of several, each is for one instance type.
        """
        several = copy.deepcopy(request.get("Specifications"))
        if several is None:
            specification = copy.deepcopy(request.get("Specification"))
        else:
            specification = _for_instance_type(several, variant["InstanceType"])
        for one in several or ([] if specification is None else [specification]):
            of_type = {"InstanceType": one.get("InstanceType", variant["InstanceType"])}
            self._check_base_specification(one, variant | of_type)
        return specification

    def _check_base_specification(self, specification: dict[str, Any], variant: dict[str, Any]) -> None:
        if "BaseInferenceComponentName" in specification:
            raise validation_exception(
                "BaseInferenceComponentName cannot be given for a base inference component."
            )
        if ("ModelName" in specification) == ("Image" in specification.get("Container", {})):
            raise validation_exception("Exactly one of ModelName and Container.Image should be given.")
        if "ModelName" in specification:
            self._models.container(specification["ModelName"])
        compute = specification.get("ComputeResourceRequirements")
        if compute is None:
            raise validation_exception(
                "ComputeResourceRequirements should be given for a base inference component."
            )
        least, most = compute["MinMemoryRequiredInMb"], compute.get("MaxMemoryRequiredInMb", math.inf)
        if most < least:
            raise validation_exception(
                f"MaxMemoryRequiredInMb should be at least MinMemoryRequiredInMb, {least}, got {most}."
            )
        room = room_on(variant["InstanceType"], self._context.settings.value.instance_memory_kept)
        needed = needed_resources(specification)
        for member, asked, has in zip(_REQUIREMENTS, needed, room, strict=True):
            if asked > has:
                raise validation_exception(
                    f"{member} is {asked:g}, more than the {has:g} of instance type "
                    f"{variant['InstanceType']}."
                )

    # --- update

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        component = self._components.get(request["InferenceComponentName"])
        self._check_settled(component, "update")
        copies = request.get("RuntimeConfig", {}).get("CopyCount")
        if "Specification" in request and "Specifications" in request:
            raise validation_exception("One of Specification and Specifications should be given, got both.")
        if isinstance(component, AdapterComponent):
            specification = copy.deepcopy(request.get("Specification"))
            given = request.keys() & _OF_BASES
            if self._context.settings.value.adapter_with_base_members == "ignored":
                given -= {"RuntimeConfig"}
            if specification is None or given:
                raise validation_exception(
                    "Of an adapter only Specification.Container.ArtifactUrl can be updated."
                )
            _check_adapter_specification(specification, {"Container"})
            component.enter(State.UPDATING, self._context.clock.now())
            self._context.spawn(
                self._deployments.update_adapter(component, specification["Container"]["ArtifactUrl"])
            )
        else:
            base = base_of(component)
            request = self._completed(base, request)
            specification = self._base_specification(request, base.production_variant)
            deployment = request.get("DeploymentConfig")
            requested = base.desired_copies if copies is None else copies
            if deployment is not None:
                check_batches(deployment, requested)
                self._check_alarms(deployment)
                base.deployment = deployment
            base.requested_copies = requested
            state = State.UPDATING if specification is not None else State.UPDATING_COPIES
            base.enter(state, self._context.clock.now())
            self._context.spawn(
                self._deployments.update_base(
                    base,
                    specification,
                    copies,
                    specifications=request.get("Specifications"),
                    deployment=deployment,
                )
            )
        return {"InferenceComponentArn": component.arn}

    def _completed(self, base: BaseComponent, request: dict[str, Any]) -> dict[str, Any]:
        """Fill in what an update's specification has to have and leaves out."""
        given, runs = request.get("Specification"), {"ModelName", "Container"}
        if given is None or self._context.settings.value.partial_specification == "refused":
            return request
        needed = {"ComputeResourceRequirements"} | (set() if runs & given.keys() else runs)
        kept = {key: value for key, value in base.specification.items() if key in needed}
        return request | {"Specification": kept | given}

    def _check_alarms(self, deployment: dict[str, Any]) -> None:
        """Refuse alarms that are not there [I]."""
        for alarm in deployment.get("AutoRollbackConfiguration", {}).get("Alarms", []):
            name = alarm.get("AlarmName")
            if name is not None and self._context.telemetry.alarm_state(name) is None:
                raise validation_exception(f"Could not find alarm {name} of AutoRollbackConfiguration.")

    def _update_runtime_config(self, request: dict[str, Any]) -> dict[str, Any]:
        component = self._components.get(request["InferenceComponentName"])
        self._check_settled(component, "update")
        if not isinstance(component, BaseComponent):
            raise validation_exception(
                f'The copies of "{component.arn}" are those of its base inference component.'
            )
        component.requested_copies = copies = request["DesiredRuntimeConfig"]["CopyCount"]
        component.enter(State.UPDATING_COPIES, self._context.clock.now())
        self._context.spawn(self._deployments.update_base(component, None, copies))
        return {"InferenceComponentArn": component.arn}

    # --- delete

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        component = self._components.get(request["InferenceComponentName"])
        self._check_settled(component, "delete")
        adapters = self._components.adapters_of(component)
        if adapters and self._context.settings.value.base_delete == "refuse":
            # [T Terraform, Hugging Face] The sentence as users quote it.
            raise validation_exception(
                f'Cannot delete inference component "{component.arn}" because it is a base inference '
                "component for one or more associated inference components."
            )
        for adapter in adapters:
            self._check_settled(adapter, "delete")
        now = self._context.clock.now()
        for leaving in (*adapters, component):
            leaving.enter(State.DELETING, now)
        self._context.spawn(self._deployments.delete(component, adapters))
        return {}

    # --- states

    def _check_settled(self, component: Component, verb: str) -> None:
        failed_update = verb == "update" and component.state is State.CREATE_FAILED
        if component.state.in_transition or failed_update:
            raise validation_exception(
                f'Cannot {verb} inference component "{component.arn}" while it is in state '
                f"{component.state}.",
                ResourceStateError,
            )
        self._check_family(base_of(component), component, verb, component.arn)

    def _check_family(self, base: BaseComponent, component: Component | None, verb: str, arn: str) -> None:
        if not self._context.settings.value.one_write_per_base:
            return
        for other in (base, *self._components.adapters_of(base)):
            if other is not component and other.state.in_transition:
                raise validation_exception(
                    f'Cannot {verb} inference component "{arn}" while inference component "{other.arn}" '
                    f"is in state {other.state}.",
                    ResourceStateError,
                )

    # --- describe and list

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        component = self._components.get(request["InferenceComponentName"])
        endpoint, base = component.endpoint, base_of(component)
        described = {
            "InferenceComponentName": component.name,
            "InferenceComponentArn": component.arn,
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "VariantName": component.variant,
            **_specifications(component),
            "RuntimeConfig": {
                "DesiredCopyCount": base.requested_copies,
                "CurrentCopyCount": len(base.running_copies),
            },
            "InferenceComponentStatus": component.state.status,
            "CreationTime": component.created,
            "LastModifiedTime": self._shown_modified(component.created, component.modified),
        }
        if isinstance(component, BaseComponent) and component.deployment is not None:
            described["LastDeploymentConfig"] = component.deployment
        if component.failure_reason is not None:
            described["FailureReason"] = component.failure_reason
        return described

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        equals = {
            "StatusEquals": "InferenceComponentStatus",
            "EndpointNameEquals": "EndpointName",
            "VariantNameEquals": "VariantName",
        }
        return list_page(
            request, self._summaries(), kind="InferenceComponent", equals=equals, by_creation=self._summaries
        )

    def _summaries(self, after: Position | None = None, *, descending: bool = False) -> Iterator[Summary]:
        """Yield the components as listings show them. [V] Without specification, FailureReason and base."""
        moment = self._context.clock.now() - self._context.settings.value.listing_lag_seconds
        for component, status, modified in self._components.listed_at(moment, after, descending=descending):
            yield {
                "InferenceComponentName": component.name,
                "InferenceComponentArn": component.arn,
                "EndpointName": component.endpoint.name,
                "EndpointArn": component.endpoint.arn,
                "VariantName": component.variant,
                "InferenceComponentStatus": status,
                "CreationTime": component.created,
                "LastModifiedTime": self._shown_modified(component.created, modified),
            }

    def _shown_modified(self, created: float, modified: float) -> float:
        """The last-modified time in answers, which may move by itself."""
        every = self._context.settings.value.last_modified_moves_every_seconds
        if not every:
            return modified
        return max(modified, created + (self._context.clock.now() - created) // every * every)


def _check_adapter_specification(specification: dict[str, Any], allowed: set[str]) -> None:
    unexpected = sorted(set(specification) - allowed)
    container = specification.get("Container", {})
    unexpected += [f"Container.{member}" for member in sorted(container) if member != "ArtifactUrl"]
    if unexpected:
        raise validation_exception(
            f"{', '.join(unexpected)} cannot be given for an inference component with "
            "BaseInferenceComponentName."
        )
    if "ArtifactUrl" not in container:
        raise validation_exception("Specification.Container.ArtifactUrl should be given.")


def _for_instance_type(specifications: list[dict[str, Any]], instance_type: str) -> dict[str, Any]:
    """The specification in force. [V] Each of several needs an instance type; [I] the words are ours."""
    types = [one["InstanceType"] for one in specifications if "InstanceType" in one]
    given = ", ".join(types) or "none"
    if len(specifications) > 1 and len(set(types)) < len(specifications):
        raise validation_exception(
            f"Each of several Specifications should have an InstanceType of its own, got {given}."
        )
    for specification in specifications:
        if specification.get("InstanceType") in (None, instance_type):
            return specification
    raise validation_exception(
        f"Specifications should have one for instance type {instance_type}, got {given}."
    )


def _specifications(component: Component) -> dict[str, Any]:
    """[V DescribeInferenceComponent] One or several specifications, as the component was given them."""
    several = component.specifications if isinstance(component, BaseComponent) else None
    if several is None:
        return {"Specification": _described(component.specification)}
    return {"Specifications": [_described(one) for one in several]}


def _described(specification: dict[str, Any]) -> dict[str, Any]:
    described = copy.deepcopy(specification)
    image = described.get("Container", {}).pop("Image", None)
    if image is not None:
        described["Container"]["DeployedImage"] = {"SpecifiedImage": image}
    return described

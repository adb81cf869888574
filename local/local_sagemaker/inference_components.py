"""Inference components: what the API accepts and refuses. The slow part of each write is in `deployments`."""

import copy
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from local_sagemaker.capacity import Placement, accelerators, move, needed_accelerators
from local_sagemaker.components import Component, State
from local_sagemaker.deployments import Deployments
from local_sagemaker.endpoints import Endpoint
from local_sagemaker.errors import resource_limit_exceeded, validation_exception
from local_sagemaker.names import ByName
from local_sagemaker.paging import page

if TYPE_CHECKING:
    from local_sagemaker.control_plane import ControlPlane


class InferenceComponents:
    """The operations on base components and on the adapters of each."""

    def __init__(self, plane: "ControlPlane"):
        self._plane = plane
        self._components: ByName[Component] = ByName()
        self._gone: list[Component] = []
        self._deployments = Deployments(plane, self)
        self.operations = {
            "CreateInferenceComponent": self._create,
            "DescribeInferenceComponent": self._describe,
            "ListInferenceComponents": self._list,
            "UpdateInferenceComponent": self._update,
            "UpdateInferenceComponentRuntimeConfig": self._update_runtime_config,
            "DeleteInferenceComponent": self._delete,
        }

    def find(self, name: str) -> Component | None:
        """A component, if there is one of that name."""
        return self._components.get(name)

    def get(self, name: str) -> Component:
        """A component; ValidationException when there is none of that name."""
        component = self.find(name)
        if component is None:
            arn = self._plane.arn("inference-component", name)
            raise validation_exception(f'Could not find inference component "{arn}".')
        return component

    def on_endpoint(self, endpoint: str) -> list[Component]:
        """The components on an endpoint."""
        return [component for component in self._components.values() if component.endpoint == endpoint]

    def adapters_of(self, base: Component) -> list[Component]:
        """The adapter components of a base component."""
        return [component for component in self._components.values() if component.base == base.name]

    def reserved(self, endpoint: str, variant: str, *, but: Component | None = None) -> Iterator[Placement]:
        """What every copy on a variant takes, those of failed components included [T]."""
        for component in self.on_endpoint(endpoint):
            if component.base is None and component.variant == variant and component is not but:
                yield from component.placements

    def moved(self, endpoint: str, variants: list[dict[str, Any]]) -> dict[Component, list[Placement]]:
        """Where the copies are once an endpoint has these variants; HostingError when there is no room."""
        placements = {}
        for variant in variants:
            bases = [
                component
                for component in self.on_endpoint(endpoint)
                if component.base is None and component.variant == variant["VariantName"]
            ]
            rest = move(variant, [placement for base in bases for placement in base.placements])
            for base in bases:
                count = len(base.placements)
                placements[base], rest = rest[:count], rest[count:]
        return placements

    async def renew(self, base: Component) -> None:
        """Put new copies in the place of all that a base has; HostingError if one does not start."""
        await self._deployments.renew(base)

    def remove(self, component: Component) -> None:
        """Forget a component that is gone."""
        now = self._plane.clock.now()
        del self._components[component.name]
        self._plane.tags.drop(component.arn)
        component.vanish(now)
        lag = self._plane.settings.value.listing_lag_seconds
        self._gone = [gone for gone in self._gone if gone.seen_at(now - lag) is not None]
        if lag:
            self._gone.append(component)

    # --- create

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["InferenceComponentName"]
        arn = self._plane.arn("inference-component", name)
        if name in self._components:
            # [I] After the sibling's "Cannot create already existing endpoint".
            raise validation_exception(f'Cannot create already existing inference component "{arn}".')
        endpoint = self._plane.endpoints.get(request["EndpointName"])
        if endpoint.status != "InService":
            raise validation_exception(
                f'Cannot create inference component "{arn}" while endpoint "{endpoint.arn}" is in status '
                f'"{endpoint.status}".'
            )
        limit = self._plane.settings.value.components_per_endpoint
        if limit and len(self.on_endpoint(endpoint.name)) >= limit:
            raise resource_limit_exceeded(
                f"The account-level service limit 'Inference components per endpoint' is {limit}, with "
                "current "
                f"utilization of {limit} and a request delta of 1. Please request an increase."
            )
        if "Specification" not in request:
            if "Specifications" in request:
                raise validation_exception("The embedded cloud knows Specification only, got Specifications.")
            raise validation_exception("One of Specification and Specifications should be given.")

        now = self._plane.clock.now()
        shared = {
            "name": name,
            "arn": arn,
            "endpoint": endpoint.name,
            "specification": copy.deepcopy(request["Specification"]),
            "created": now,
            "modified": now,
        }
        if "BaseInferenceComponentName" in request["Specification"]:
            component = self._new_adapter(request, endpoint, shared)
        else:
            component = self._new_base(request, endpoint, shared)
        self._components[name] = component
        self._plane.tags.put(arn, request.get("Tags", []))
        self._plane.spawn(self._deployments.create(component))
        return {"InferenceComponentArn": arn}

    def _new_adapter(self, request: dict[str, Any], endpoint: Endpoint, shared: dict[str, Any]) -> Component:
        specification = request["Specification"]
        # [V Terraform] An adapter is its base and its artifact; compute and variant are the base's.
        if "VariantName" in request:
            raise validation_exception(
                "VariantName should not be given for an inference component with BaseInferenceComponentName."
            )
        _check_adapter_specification(specification, {"BaseInferenceComponentName", "Container"})
        base = self.get(specification["BaseInferenceComponentName"])
        if base.base is not None or base.endpoint != endpoint.name:
            raise validation_exception(
                f'Inference component "{base.arn}" is not a base inference component on endpoint '
                f'"{endpoint.name}".'
            )
        if base.state is not State.IN_SERVICE:
            raise validation_exception(
                f'Cannot create inference component "{shared["arn"]}" while base inference component '
                f'"{base.arn}" '
                f"is in state {base.state}."
            )
        self._check_family(base, None, "create", shared["arn"])
        return Component(**shared, variant=base.variant, base=base.name)

    def _new_base(self, request: dict[str, Any], endpoint: Endpoint, shared: dict[str, Any]) -> Component:
        if "VariantName" not in request:
            raise validation_exception("VariantName should be given for a base inference component.")
        variant = endpoint.variant(request["VariantName"])
        if variant is None:
            raise validation_exception(
                f'Could not find variant "{request["VariantName"]}" on endpoint "{endpoint.arn}".'
            )
        copies = request.get("RuntimeConfig", {"CopyCount": 1})["CopyCount"]
        if copies < 1:
            # [T] 0 is for updates and scaling only.
            raise validation_exception(f"CopyCount should be at least 1 on create, got {copies}.")
        self._check_base_specification(request["Specification"], variant)
        return Component(**shared, variant=variant["VariantName"], desired_copies=copies)

    def _check_base_specification(self, specification: dict[str, Any], variant: dict[str, Any]) -> None:
        if "BaseInferenceComponentName" in specification:
            raise validation_exception(
                "BaseInferenceComponentName cannot be given for a base inference component."
            )
        if ("ModelName" in specification) == ("Image" in specification.get("Container", {})):
            raise validation_exception("Exactly one of ModelName and Container.Image should be given.")
        if "ModelName" in specification:
            self._plane.models.container(specification["ModelName"])
        compute = specification.get("ComputeResourceRequirements")
        if compute is None:
            raise validation_exception(
                "ComputeResourceRequirements should be given for a base inference component."
            )
        needed, has = needed_accelerators(specification), accelerators(variant["InstanceType"])
        if needed > has:
            raise validation_exception(
                f"NumberOfAcceleratorDevicesRequired is {needed:g}, more than the {has:g} of instance type "
                f"{variant['InstanceType']}."
            )

    # --- update

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        component = self.get(request["InferenceComponentName"])
        self._check_settled(component, "update")
        specification = copy.deepcopy(request.get("Specification"))
        copies = request.get("RuntimeConfig", {}).get("CopyCount")
        if "Specifications" in request:
            raise validation_exception("The embedded cloud knows Specification only, got Specifications.")
        if component.base is not None:
            if specification is None or "RuntimeConfig" in request:
                raise validation_exception(
                    "Of an adapter only Specification.Container.ArtifactUrl can be updated."
                )
            _check_adapter_specification(specification, {"Container"})
            component.enter(State.UPDATING, self._plane.clock.now())
            self._plane.spawn(
                self._deployments.update_adapter(component, specification["Container"]["ArtifactUrl"])
            )
        else:
            if specification is not None:
                self._check_base_specification(specification, self._variant_of(component))
            state = State.UPDATING if specification is not None else State.UPDATING_COPIES
            component.enter(state, self._plane.clock.now())
            self._plane.spawn(self._deployments.update_base(component, specification, copies))
        return {"InferenceComponentArn": component.arn}

    def _update_runtime_config(self, request: dict[str, Any]) -> dict[str, Any]:
        component = self.get(request["InferenceComponentName"])
        self._check_settled(component, "update")
        if component.base is not None:
            raise validation_exception(
                f'The copies of "{component.arn}" are those of its base inference component.'
            )
        copies = request["DesiredRuntimeConfig"]["CopyCount"]
        component.enter(State.UPDATING_COPIES, self._plane.clock.now())
        self._plane.spawn(self._deployments.update_base(component, None, copies))
        return {"InferenceComponentArn": component.arn}

    def _variant_of(self, component: Component) -> dict[str, Any]:
        variant = self._plane.endpoints.get(component.endpoint).variant(component.variant)
        assert variant is not None  # an endpoint does not lose a variant that has components
        return variant

    # --- delete

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        component = self.get(request["InferenceComponentName"])
        self._check_settled(component, "delete")
        adapters = self.adapters_of(component)
        if adapters and self._plane.settings.value.base_delete == "refuse":
            # [T Terraform, Hugging Face] The sentence as it was told.
            raise validation_exception(
                f'Cannot delete inference component "{component.arn}" because it is a base inference '
                "component for "
                "one or more associated inference components."
            )
        for adapter in adapters:
            self._check_settled(adapter, "delete")
        now = self._plane.clock.now()
        for leaving in (*adapters, component):
            leaving.enter(State.DELETING, now)
        self._plane.spawn(self._deployments.delete(component, adapters))
        return {}

    # --- states

    def _check_settled(self, component: Component, verb: str) -> None:
        failed_update = verb == "update" and component.state is State.CREATE_FAILED
        if component.state.in_transition or failed_update:
            raise validation_exception(
                f'Cannot {verb} inference component "{component.arn}" while it is in state {component.state}.'
            )
        base = component if component.base is None else self.get(component.base)
        self._check_family(base, component, verb, component.arn)

    def _check_family(self, base: Component, component: Component | None, verb: str, arn: str) -> None:
        if not self._plane.settings.value.one_write_per_base:
            return
        for other in (base, *self.adapters_of(base)):
            if other is not component and other.state.in_transition:
                raise validation_exception(
                    f'Cannot {verb} inference component "{arn}" while inference component "{other.arn}" '
                    "is in state "
                    f"{other.state}."
                )

    # --- describe and list

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        component = self.get(request["InferenceComponentName"])
        endpoint = self._plane.endpoints.get(component.endpoint)
        base = component if component.base is None else self.get(component.base)
        described = {
            "InferenceComponentName": component.name,
            "InferenceComponentArn": component.arn,
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "VariantName": component.variant,
            "Specification": _described(component.specification),
            "RuntimeConfig": {
                "DesiredCopyCount": base.desired_copies,
                "CurrentCopyCount": len(base.running_copies),
            },
            "InferenceComponentStatus": component.state.status,
            "CreationTime": component.created,
            "LastModifiedTime": self._moved(component.created, component.modified),
        }
        if component.failure_reason is not None:
            described["FailureReason"] = component.failure_reason
        return described

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        moment = self._plane.clock.now() - self._plane.settings.value.listing_lag_seconds
        summaries = []
        everything = (*self._components.values(), *self._gone)
        arns = {name: self._plane.arn("endpoint", name) for name in {one.endpoint for one in everything}}
        for component in everything:
            component.forget_before(moment)
            seen = component.seen_at(moment)
            if seen is None:
                continue
            status, modified = seen
            # [V] No specification, no FailureReason, no base.
            summaries.append(
                {
                    "InferenceComponentName": component.name,
                    "InferenceComponentArn": component.arn,
                    "EndpointName": component.endpoint,
                    "EndpointArn": arns[component.endpoint],
                    "VariantName": component.variant,
                    "InferenceComponentStatus": status,
                    "CreationTime": component.created,
                    "LastModifiedTime": self._moved(component.created, modified),
                }
            )
        equals = {
            "StatusEquals": "InferenceComponentStatus",
            "EndpointNameEquals": "EndpointName",
            "VariantNameEquals": "VariantName",
        }
        return page(request, summaries, kind="InferenceComponent", equals=equals)

    def _moved(self, created: float, modified: float) -> float:
        every = self._plane.settings.value.last_modified_moves_every_seconds
        if not every:
            return modified
        return max(modified, created + (self._plane.clock.now() - created) // every * every)


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


def _described(specification: dict[str, Any]) -> dict[str, Any]:
    described = copy.deepcopy(specification)
    image = described.get("Container", {}).pop("Image", None)
    if image is not None:
        described["Container"]["DeployedImage"] = {"SpecifiedImage": image}
    return described

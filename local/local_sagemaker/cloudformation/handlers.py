"""Creates, updates and deletes SageMaker resources for CloudFormation, as AWS's resource handlers do."""

import asyncio
import logging
import random
import re
import secrets
import uuid
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from local_sagemaker.cloudformation.resource_types import ENDPOINT, INFERENCE_COMPONENT, ResourceType
from local_sagemaker.control_plane.control_plane import SageMakerControlPlane
from local_sagemaker.control_plane.request_validation import coerce_request
from local_sagemaker.errors import ApiError, MissingResourceError, ResourceStateError

_log = logging.getLogger(__name__)

T = TypeVar("T")

Properties = dict[str, Any]
Provisioned = tuple[str, dict[str, Any]]

# The interval of status polls.
_POLL_SECONDS = 0.05
# Average waits after a throttle. Each wait is random, so that calls throttled together do not retry together.
_BACKOFF_SECONDS = (0.2, 0.4, 0.8, 1.6, 3.2, *(6.4,) * 5)


class HandlerError(Exception):
    """A failure of a handler, in the words of CloudFormation's status reasons."""

    def __init__(self, message: str, code: str):
        super().__init__(
            f'Resource handler returned message: "{message}" (RequestToken: {uuid.uuid4()}, '
            f"HandlerErrorCode: {code})"
        )


class Handlers:
    """The create, update and delete handlers of one type. CloudFormation calls them on worker threads."""

    def __init__(
        self,
        resource: ResourceType,
        plane: Callable[[], SageMakerControlPlane],
        loop: Callable[[], asyncio.AbstractEventLoop],
    ):
        self._type = resource
        self._plane = plane
        self._loop = loop

    def create(self, logical_id: str, properties: Properties, stack: str) -> Provisioned:
        """Create a resource and wait until it is stable; a failed one is deleted, as in a rollback."""
        self._refuse_api_only(logical_id, properties)
        return self._run(self._create(self._plane(), logical_id, self._tagged(properties), stack))

    def update(self, physical_id: str, old: Properties, new: Properties, stack: str) -> Provisioned:
        """Update in place and wait until it is stable; HandlerError with the service's FailureReason."""
        del stack
        self._refuse_api_only(physical_id, new)
        return self._run(self._update(self._plane(), physical_id, self._tagged(old), self._tagged(new)))

    def delete(self, physical_id: str, properties: Properties) -> None:
        """Delete and wait; a missing resource counts as deleted."""
        del properties
        self._run(self._delete(self._plane(), physical_id))

    def read(self, physical_id: str, properties: Properties) -> Properties | None:
        """What there is now of a template's properties, None if the resource is gone. For drift detection."""
        described = self._described(physical_id)
        if described is None:
            return None
        tags = self._plane().answer("ListTags", {"ResourceArn": described[self._type.arn]})
        found = _as_set(properties, described, self._type.write_only)
        return {key: found[key] for key in found if key in self._type.readable} | tags

    def _described(self, arn: str) -> Properties | None:
        """What there is of this ARN."""
        try:
            found = self._plane().answer(
                f"Describe{self._type.kind}", {self._type.name: arn.rpartition("/")[2]}
            )
        except MissingResourceError:
            return None
        return found if found[self._type.arn] == arn else None

    def adopt(self, identifier: dict[str, str]) -> Provisioned:
        """Adopt an existing resource by its ARN."""
        described = self._described(identifier[self._type.arn])
        assert described is not None  # the change set has looked
        return identifier[self._type.arn], self._attributes(described)

    def import_problem(self, arn: str) -> str | None:
        """Why a resource cannot be adopted; None if it can."""
        if self._described(arn) is not None:
            return None
        # [I] The words are those for other types.
        return f"Resource of type '{self._type.cloudformation_type}' with identifier '{arn}' was not found."

    def _tagged(self, properties: Properties) -> Properties:
        """The properties without the tags of `aws:`, which ministack adds, unless the schema has them."""
        if self._type.system_tags or "Tags" not in properties:
            return properties
        return properties | {"Tags": [tag for tag in properties["Tags"] if not tag["Key"].startswith("aws:")]}

    def _refuse_api_only(self, resource: str, properties: Properties) -> None:
        """Raise HandlerError for a property that the schema does not have [T, the words as users quote them].

        What the API does not have either, its own validation refuses.
        """
        for path in self._type.api_only:
            *parents, name = path.split(".")
            if _has(properties, [*parents, name]):
                place = "/".join(("#", *parents))
                raise HandlerError(
                    f"Properties validation failed for resource {resource} with message: [{place}: extraneous"
                    f" key [{name}] is not permitted]",
                    "InvalidRequest",
                )

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop()).result()
        except ApiError as error:
            raise HandlerError(
                f"{error.message} (Service: SageMaker, Status Code: {error.status}, Request ID: "
                f"{uuid.uuid4()})",
                "AlreadyExists"
                if "already exist" in error.message
                else _HANDLER_CODES.get(error.code, "GeneralServiceException"),
            ) from error

    async def _create(
        self, plane: SageMakerControlPlane, logical_id: str, properties: Properties, stack: str
    ) -> Provisioned:
        request = {key: value for key, value in properties.items() if key not in self._type.only_on_update}
        name = request.setdefault(self._type.name, generated_name(stack, logical_id))
        operation = f"Create{self._type.kind}"
        if self._type is INFERENCE_COMPONENT:
            await self._let_instances_change(plane, request.get("EndpointName"))
        await self._call(plane, operation, coerce_request(operation, request))
        arn = plane.context.arn(self._type.arn_kind, name)
        try:
            described = await self._stable(plane, name)
            if self._status(described) == "Failed":
                raise HandlerError(described["FailureReason"], "NotStabilized")
        except HandlerError:
            await self._clean_up(plane, arn)
            raise
        return arn, self._attributes(described)

    async def _clean_up(self, plane: SageMakerControlPlane, arn: str) -> None:
        """Delete a resource whose creation failed; a refusal is only logged."""
        while True:
            try:
                await self._delete(plane, arn)
            except ResourceStateError:
                pass  # it, or a component of its base, is changing
            except ApiError as error:
                _log.warning("%s stays after its failed creation: %s", arn, error.message)
                return
            else:
                return
            await plane.context.clock.sleep(_POLL_SECONDS)

    async def _update(
        self, plane: SageMakerControlPlane, physical_id: str, old: Properties, new: Properties
    ) -> Provisioned:
        deployed = await self._find(plane, physical_id)
        if deployed is None:
            raise HandlerError(f"Resource {physical_id} does not exist.", "NotFound")
        for property_name in self._type.not_updatable:
            before = str(deployed[property_name])
            if str(new.get(property_name, before)).lower() != before.lower():
                raise HandlerError(f"{property_name} cannot be changed.", "NotUpdatable")
        await self._update_tags(plane, physical_id, old, new)
        if self._type is ENDPOINT:
            await self._let_instances_change(plane, deployed["EndpointName"])
        request = self._changes(deployed, old, new)
        if request is not None and plane.context.settings.value.template_copies == "always":
            request |= self._copies(new)
        if request is not None:
            await self._call(plane, f"Update{self._type.kind}", request)
        described = await self._stable(plane, deployed[self._type.name])
        # [V ACK] A FailureReason can outlive a later success, so compare what is deployed.
        if "FailureReason" in described and not _is_deployed(request or {}, described):
            raise HandlerError(described["FailureReason"], "NotStabilized")
        return physical_id, self._attributes(described)

    def _changes(self, deployed: Properties, old: Properties, new: Properties) -> Properties | None:
        """The update request for the changed properties except tags; None if there are none."""
        changed = {key for key in old.keys() | new.keys() if key != "Tags" and old.get(key) != new.get(key)}
        changed -= {self._type.name, *self._type.not_updatable}
        if not changed - set(self._type.only_on_update):
            return None
        # UpdateEndpoint always needs the name of the configuration.
        sent = {"EndpointConfigName", *changed, *self._type.only_on_update}
        request = {key: new[key] for key in sent if key in new} | {self._type.name: deployed[self._type.name]}
        base = deployed.get("Specification", {}).get("BaseInferenceComponentName")
        if base is not None and request.get("Specification", {}).get("BaseInferenceComponentName") == base:
            # [V] Of an adapter only Container.ArtifactUrl is sent.
            specification = dict(request["Specification"])
            del specification["BaseInferenceComponentName"]
            request["Specification"] = specification
        # Of what is only removed, such as what the service has refused, nothing is sent.
        return coerce_request(f"Update{self._type.kind}", request) if len(request) > 1 else None

    def _copies(self, new: Properties) -> Properties:
        """The copies that the template of a base wants."""
        if "RuntimeConfig" not in new or "BaseInferenceComponentName" in new.get("Specification", {}):
            return {}
        return coerce_request(f"Update{self._type.kind}", {"RuntimeConfig": new["RuntimeConfig"]})

    async def _update_tags(
        self, plane: SageMakerControlPlane, arn: str, old: Properties, new: Properties
    ) -> None:
        before = {tag["Key"]: tag["Value"] for tag in old.get("Tags", [])}
        after = {tag["Key"]: tag["Value"] for tag in new.get("Tags", [])}
        removed = sorted(before.keys() - after.keys())
        put = [{"Key": key, "Value": value} for key, value in after.items() if before.get(key) != value]
        if removed:
            await self._call(plane, "DeleteTags", {"ResourceArn": arn, "TagKeys": removed})
        if put:
            await self._call(plane, "AddTags", {"ResourceArn": arn, "Tags": put})

    async def _delete(self, plane: SageMakerControlPlane, physical_id: str) -> None:
        deployed = await self._find(plane, physical_id)
        if deployed is None:
            return
        if self._type is ENDPOINT:
            await self._let_instances_change(plane, deployed["EndpointName"])
        await self._call(plane, f"Delete{self._type.kind}", {self._type.name: deployed[self._type.name]})
        if self._type.has_status:
            while await self._find(plane, physical_id) is not None:
                await plane.context.clock.sleep(_POLL_SECONDS)

    async def _let_instances_change(self, plane: SageMakerControlPlane, endpoint: str | None) -> None:
        """Wait while the service changes an endpoint's instances, as it refuses writes then [I]."""
        request = {"EndpointName": endpoint}
        while (await self._call(plane, "DescribeEndpoint", request))["EndpointStatus"] == "Updating":
            await plane.context.clock.sleep(_POLL_SECONDS)

    async def _find(self, plane: SageMakerControlPlane, arn: str) -> Properties | None:
        """The resource in the form of its Describe operation, None if it is deleted."""
        # ARNs are in lower case, and the control plane ignores the case of names.
        name = arn.rpartition("/")[2]
        try:
            return await self._call(plane, f"Describe{self._type.kind}", {self._type.name: name})
        except MissingResourceError:
            return None

    async def _stable(self, plane: SageMakerControlPlane, name: str) -> Properties:
        while True:
            described = await self._call(plane, f"Describe{self._type.kind}", {self._type.name: name})
            if self._status(described) not in ("Creating", "Updating", "Deleting"):
                return described
            await plane.context.clock.sleep(_POLL_SECONDS)

    def _status(self, described: Properties) -> str | None:
        return described.get(f"{self._type.kind}Status")

    async def _call(self, plane: SageMakerControlPlane, operation: str, request: Properties) -> Properties:
        for pause in _BACKOFF_SECONDS:
            try:
                return plane.call(operation, request)
            except ApiError as error:
                if error.code != "ThrottlingException":
                    raise
            await plane.context.clock.sleep(pause * random.uniform(0.5, 1.5))
        return plane.call(operation, request)

    def _attributes(self, described: Properties) -> dict[str, Any]:
        attributes = {self._type.name: described[self._type.name], self._type.arn: described[self._type.arn]}
        if self._type is INFERENCE_COMPONENT:
            attributes["InferenceComponentStatus"] = described["InferenceComponentStatus"]
            for member in ("CreationTime", "LastModifiedTime"):
                attributes[member] = datetime.fromtimestamp(described[member], UTC).isoformat()
        for count, value in described.get("RuntimeConfig", {}).items():
            attributes[f"RuntimeConfig.{count}"] = value
        return attributes


_HANDLER_CODES = {
    "ValidationException": "InvalidRequest",
    "SerializationException": "InvalidRequest",
    "ResourceLimitExceeded": "ServiceLimitExceeded",
    "ThrottlingException": "Throttling",
}


def _has(value: Any, names: list[str]) -> bool:
    """Whether there is something at a path; of a list, in any of its items."""
    if isinstance(value, list):
        return any(_has(item, names) for item in value)
    if not names:
        return True
    return isinstance(value, dict) and names[0] in value and _has(value[names[0]], names[1:])


def _is_deployed(request: Properties, described: Properties) -> bool:
    """Whether an endpoint or a component matches an update request."""
    if "EndpointConfigName" in request:
        names = {holder["EndpointConfigName"].lower() for holder in (request, described)}
        return len(names) == 1
    copies = request.get("RuntimeConfig", {}).get("CopyCount")
    scaled = copies is None or copies == described["RuntimeConfig"]["DesiredCopyCount"]
    sent = request.keys() & {"Specification", "Specifications"}
    return scaled and all(_is_subset(request[key], described.get(key)) for key in sent)


def _as_set(wanted: Any, actual: Any, write_only: tuple[str, ...], path: str = "") -> Any:
    """What a description has of the properties of a template, which alone are looked at [V user guide].

    What cannot be read counts as unchanged.
    """
    if path.endswith(write_only):
        return wanted
    if isinstance(wanted, list) and isinstance(actual, list) and len(wanted) == len(actual):
        return [_as_set(*pair, write_only, path) for pair in zip(wanted, actual, strict=True)]
    if not isinstance(wanted, dict) or not isinstance(actual, dict):
        return actual
    found = {key: _as_set(wanted[key], actual.get(key), write_only, f"{path}.{key}") for key in wanted}
    return {key: value for key, value in found.items() if value is not None}


def _is_subset(wanted: Any, actual: Any) -> bool:
    """Whether every member of an update request has the same value in a description."""
    if isinstance(wanted, list) and isinstance(actual, list):
        return len(wanted) == len(actual) and all(map(_is_subset, wanted, actual))
    if not isinstance(wanted, dict) or not isinstance(actual, dict):
        return bool(wanted == actual)
    expected = dict(wanted)
    if "Image" in expected:
        expected["DeployedImage"] = {"SpecifiedImage": expected.pop("Image")}
    return all(_is_subset(value, actual.get(key)) for key, value in expected.items())


def generated_name(stack: str, logical_id: str) -> str:
    """A name for a resource without one in its template."""
    stem = re.sub(r"[^a-zA-Z0-9]+", "-", f"{stack}-{logical_id}")[:50].strip("-")
    return f"{stem}-{secrets.token_hex(6)}"

"""Finds what a run has made, by its names and tags, and removes it.

It asks the account rather than a list of its own, so that a later run can remove what a killed one has left.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError

from verify_aws.account import Account, RefusedError

PREFIX = "verify-aws"
TAG = "verify-aws"
"""The tag of every resource; its value is the run's id."""
STAGE_BASE = "base"

_NAME = re.compile(rf"{PREFIX}-([0-9a-f]{{8}})(?:-|$)")
_LOG_GROUPS = ("/aws/sagemaker/InferenceComponents/", "/aws/sagemaker/Endpoints/")
# Their listings, and the first part of their members' names.
_SAGEMAKER = {
    "inference component": ("list_inference_components", "InferenceComponent"),
    "endpoint": ("list_endpoints", "Endpoint"),
    "endpoint configuration": ("list_endpoint_configs", "EndpointConfig"),
    "model": ("list_models", "Model"),
}
# In the order in which they are removed: each is in use by the ones before it.
_KINDS = (
    "stack",
    "inference component",
    "endpoint",
    "endpoint configuration",
    "model",
    "role",
    "bucket",
    "log group",
)
_QUIET_POLLS = 3
"""So many times in a row nothing is found before all counts as removed: listings lag, and containers write to
their log groups for some time after their end."""


def name_of(run: str, what: str = "") -> str:
    """Return the name of something that a run makes."""
    return f"{PREFIX}-{run}-{what}" if what else f"{PREFIX}-{run}"


@dataclass(frozen=True, order=True)
class Resource:
    """Something that a run has made; its name has the run's id."""

    kind: str
    name: str
    arn: str = ""

    @property
    def run(self) -> str:
        """The id of the run."""
        found = _NAME.match(self.name.rpartition("/")[2])
        return found[1] if found else ""

    @property
    def is_base(self) -> bool:
        """Whether it is a base component, which its adapters' deletion comes before."""
        return self.kind == "inference component" and self.name.rpartition("-")[2] == STAGE_BASE

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


class Removal:
    """Finds and removes the resources of runs."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._owned: dict[Resource, bool] = {}
        self.refusals: dict[str, str] = {}
        """By resource or kind, the last words in which something was refused."""

    def find(self, run: str | None = None, known: Collection[str] = ()) -> list[Resource]:
        """Return the resources of a run, or of every run, in the order of their removal.

        known are the names of components that the listing may not show yet.
        """
        found: dict[Resource, None] = {}
        for kind in _KINDS:
            for resource in self._listed(kind, name_of(run) if run else PREFIX):
                if resource.run and (run is None or resource.run == run) and self._is_owned(resource):
                    found[resource] = None
        listed = {resource.name for resource in found}
        found |= dict.fromkeys(self._described(name) for name in known if name not in listed)
        return sorted((one for one in found if one.name), key=lambda one: _KINDS.index(one.kind))

    def remove(self, run: str, known: Collection[str] = (), *, seconds: float) -> list[Resource]:
        """Remove everything of a run, and return what is left after so many seconds."""
        deadline = time.monotonic() + seconds
        quiet = 0
        left: list[Resource] = []
        while quiet < _QUIET_POLLS:
            left = self.find(run, known)
            quiet = 0 if left else quiet + 1
            if time.monotonic() > deadline:
                break
            self._round(left)
            self._account.wait(max(self._account.poll_seconds, 0.5))
        return left

    def _round(self, left: Collection[Resource]) -> None:
        """Ask once for the deletion of what nothing else needs any more."""
        kinds = {resource.kind for resource in left}
        adapters = any(one.kind == "inference component" and not one.is_base for one in left)
        # Containers read the bucket as the role, and write to the log groups.
        hosting = bool(kinds & {"stack", "inference component", "endpoint"})
        waits = {
            "endpoint": "inference component" in kinds,
            "endpoint configuration": hosting,
            "model": hosting,
            "role": hosting,
            "bucket": hosting,
            "log group": hosting,
        }
        for resource in left:
            if not (waits.get(resource.kind) or (resource.is_base and adapters)):
                self._tried(str(resource), partial(self._delete, resource))

    def _tried(self, what: str, work: Callable[[], object]) -> None:
        """Do something that may be refused: the next round does it again."""
        try:
            work()
        except (RefusedError, BotoCoreError) as error:
            self.refusals[what] = str(error)
        else:
            self.refusals.pop(what, None)

    # --- finding

    def _listed(self, kind: str, prefix: str) -> list[Resource]:
        found: list[Resource] = []
        self._tried(f"list of every {kind}", lambda: found.extend(self._list(kind, prefix)))
        return found

    def _list(self, kind: str, prefix: str) -> Iterator[Resource]:
        pages = self._account.pages
        if kind in _SAGEMAKER:
            operation, stem = _SAGEMAKER[kind]
            for item in pages("sagemaker", operation, f"{stem}s", NameContains=prefix):
                yield Resource(kind, item[f"{stem}Name"], item[f"{stem}Arn"])
        elif kind == "stack":
            for item in pages("cloudformation", "describe_stacks", "Stacks"):
                yield Resource(kind, item["StackName"], item["StackId"])
        elif kind == "role":
            for item in pages("iam", "list_roles", "Roles", PathPrefix=f"/{PREFIX}/"):
                yield Resource(kind, item["RoleName"], item["Arn"])
        elif kind == "bucket":
            for item in self._account.call("s3", "list_buckets")["Buckets"]:
                yield Resource(kind, item["Name"])
        else:
            yield from self._list_log_groups(prefix)

    def _list_log_groups(self, prefix: str) -> Iterator[Resource]:
        for group in _LOG_GROUPS:
            for item in self._account.pages(
                "logs", "describe_log_groups", "logGroups", logGroupNamePrefix=group + prefix
            ):
                yield Resource("log group", item["logGroupName"])

    def _described(self, component: str) -> Resource:
        """Return a component that the listing does not show; a resource without a name if it is gone."""
        try:
            found = self._account.call(
                "sagemaker", "describe_inference_component", InferenceComponentName=component
            )
        except (RefusedError, BotoCoreError):
            return Resource("inference component", "")
        return Resource("inference component", component, found["InferenceComponentArn"])

    def _is_owned(self, resource: Resource) -> bool:
        """Whether a resource has the tag that its name promises.

        The service makes log groups itself, without a tag. A bucket without one is the run's if it is empty:
        it is tagged right after its creation, before anything is in it.
        """
        if resource.kind == "log group":
            return True
        if not self._owned.get(resource):
            self._owned[resource] = False
            self._tried(f"tags of {resource}", lambda: self._look_up_owner(resource))
        return self._owned[resource]

    def _look_up_owner(self, resource: Resource) -> None:
        tags = self._tags(resource)
        owned = tags.get(TAG) == resource.run
        if resource.kind == "bucket" and not tags:
            owned = not self._account.call("s3", "list_objects_v2", Bucket=resource.name, MaxKeys=1).get(
                "Contents"
            )
        self._owned[resource] = owned
        if not owned:
            raise RefusedError("NotOurs", f"has no tag {TAG}={resource.run}, and is left alone", status=0)

    def _tags(self, resource: Resource) -> Mapping[str, str]:
        call = self._account.call
        match resource.kind:
            case "stack":
                listed = call("cloudformation", "describe_stacks", StackName=resource.arn)["Stacks"][0][
                    "Tags"
                ]
            case "role":
                listed = call("iam", "list_role_tags", RoleName=resource.name)["Tags"]
            case "bucket":
                try:
                    listed = call("s3", "get_bucket_tagging", Bucket=resource.name)["TagSet"]
                except RefusedError as refused:
                    if refused.code != "NoSuchTagSet":
                        raise
                    listed = []
            case _:
                listed = call("sagemaker", "list_tags", ResourceArn=resource.arn)["Tags"]
        return {tag["Key"]: tag["Value"] for tag in listed}

    # --- removing

    def _delete(self, resource: Resource) -> None:
        call, name = self._account.call, resource.name
        if resource.kind in _SAGEMAKER:
            listing, stem = _SAGEMAKER[resource.kind]
            operation = listing.replace("list_", "delete_").removesuffix("s")
            request: dict[str, Any] = {f"{stem}Name": name}
            call("sagemaker", operation, **request)
        elif resource.kind == "stack":
            call("cloudformation", "delete_stack", StackName=name)
        elif resource.kind == "log group":
            call("logs", "delete_log_group", logGroupName=name)
        elif resource.kind == "role":
            for policy in call("iam", "list_role_policies", RoleName=name)["PolicyNames"]:
                call("iam", "delete_role_policy", RoleName=name, PolicyName=policy)
            call("iam", "delete_role", RoleName=name)
        else:
            for item in self._account.pages("s3", "list_objects_v2", "Contents", Bucket=name):
                call("s3", "delete_object", Bucket=name, Key=item["Key"])
            call("s3", "delete_bucket", Bucket=name)

"""What a run removes, in which order, and what it leaves alone."""

from __future__ import annotations

from typing import Any, cast

import pytest

from verify_aws.account import Account, RefusedError
from verify_aws.removal import Removal, Resource

RUN, OTHER = "0f1e2d3c", "aaaaaaaa"
LISTINGS = {
    "list_inference_components": "InferenceComponent",
    "list_endpoints": "Endpoint",
    "list_endpoint_configs": "EndpointConfig",
    "list_models": "Model",
}


class FakeAccount:
    """SageMaker's resources by listing, with tags; components are gone a moment after their deletion."""

    poll_seconds = 0.0

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {listing: [] for listing in LISTINGS}
        self.tags: dict[str, str] = {}
        self.deleted: list[tuple[str, str]] = []
        self.buckets: dict[str, list[str]] = {}
        self.refused: dict[str, str] = {}
        self.hidden: set[str] = set()

    def add(self, listing: str, name: str, run: str | None = RUN) -> str:
        self.names[listing].append(name)
        if run is not None:
            self.tags[f"arn/{name}"] = run
        return name

    def wait(self, seconds: float) -> None: ...

    def pages(self, service: str, operation: str, key: str, **request: Any) -> list[Any]:
        if operation in self.refused:
            raise RefusedError("AccessDenied", self.refused[operation], status=403)
        stem = LISTINGS.get(operation)
        if stem is None:
            return []
        return [
            {f"{stem}Name": name, f"{stem}Arn": f"arn/{name}"}
            for name in self.names[operation]
            if request["NameContains"] in name and name not in self.hidden
        ]

    def call(self, service: str, operation: str, **request: Any) -> Any:
        match operation:
            case "list_tags":
                run = self.tags.get(request["ResourceArn"])
                return {"Tags": [{"Key": "verify-aws", "Value": run}] if run else []}
            case "list_buckets":
                return {"Buckets": [{"Name": name} for name in self.buckets]}
            case "get_bucket_tagging":
                raise RefusedError("NoSuchTagSet", "The TagSet does not exist", status=404)
            case "list_objects_v2":
                return {"Contents": [{"Key": key} for key in self.buckets[request["Bucket"]]]}
            case "delete_bucket":
                del self.buckets[request["Bucket"]]
                return {}
            case "describe_inference_component":
                name = request["InferenceComponentName"]
                if name not in self.names["list_inference_components"]:
                    raise RefusedError("ValidationException", "Could not find it", status=400)
                return {"InferenceComponentArn": f"arn/{name}"}
        return self._delete(operation, next(iter(request.values())))

    def _delete(self, operation: str, name: str) -> dict[str, Any]:
        if name in self.refused:
            # Once.
            raise RefusedError("ValidationException", self.refused.pop(name), status=400)
        self.names[operation.replace("delete_", "list_") + "s"].remove(name)
        self.deleted.append((operation, name))
        return {}


@pytest.fixture
def account() -> FakeAccount:
    return FakeAccount()


def removal(account: FakeAccount) -> Removal:
    return Removal(cast(Account, account))


def whole_run(account: FakeAccount) -> None:
    account.add("list_models", f"verify-aws-{RUN}")
    account.add("list_endpoint_configs", f"verify-aws-{RUN}")
    account.add("list_endpoints", f"verify-aws-{RUN}")
    account.add("list_inference_components", f"verify-aws-{RUN}-base")
    account.add("list_inference_components", f"verify-aws-{RUN}-one")


def test_each_resource_is_removed_before_what_it_needs(account: FakeAccount) -> None:
    whole_run(account)
    assert removal(account).remove(RUN, seconds=60) == []
    assert account.deleted == [
        ("delete_inference_component", f"verify-aws-{RUN}-one"),
        ("delete_inference_component", f"verify-aws-{RUN}-base"),
        ("delete_endpoint", f"verify-aws-{RUN}"),
        ("delete_endpoint_config", f"verify-aws-{RUN}"),
        ("delete_model", f"verify-aws-{RUN}"),
    ]
    assert not any(account.names.values())


def test_refused_deletion_is_tried_again(account: FakeAccount) -> None:
    whole_run(account)
    account.refused[f"verify-aws-{RUN}-one"] = "while it is in state CREATE_IN_PROGRESS"
    assert removal(account).remove(RUN, seconds=60) == []


def test_what_cannot_be_removed_in_time_is_returned_with_the_reason(account: FakeAccount) -> None:
    name = account.add("list_models", f"verify-aws-{RUN}")
    account.refused[name] = "not now"
    one = removal(account)
    left = one.remove(RUN, seconds=-1)
    assert [str(resource) for resource in left] == [f"model {name}"]
    assert one.refusals == {}  # it was asked for nothing after the time


@pytest.mark.parametrize("run", [None, OTHER], ids=["no tag", "the tag of another run"])
def test_resource_without_the_tag_of_its_name_is_left_alone(account: FakeAccount, run: str | None) -> None:
    name = account.add("list_endpoints", f"verify-aws-{RUN}", run)
    one = removal(account)
    assert one.remove(RUN, seconds=60) == []
    assert account.names["list_endpoints"] == [name]
    assert f"has no tag verify-aws={RUN}" in one.refusals[f"tags of endpoint {name}"]


@pytest.mark.parametrize("name", ["verify-aws-prod", f"my-verify-aws-{RUN}", f"verify-aws-{RUN}x"])
def test_other_names_are_no_run_s(account: FakeAccount, name: str) -> None:
    account.add("list_endpoints", name, "prod")
    assert removal(account).find() == []


def test_every_run_is_found_without_an_id(account: FakeAccount) -> None:
    account.add("list_endpoints", f"verify-aws-{RUN}")
    account.add("list_endpoints", f"verify-aws-{OTHER}", OTHER)
    assert {resource.run for resource in removal(account).find()} == {RUN, OTHER}
    assert {resource.run for resource in removal(account).find(RUN)} == {RUN}


def test_component_that_the_listing_does_not_show_yet_is_removed(account: FakeAccount) -> None:
    name = account.add("list_inference_components", f"verify-aws-{RUN}-new")
    account.hidden.add(name)
    assert removal(account).remove(RUN, [name], seconds=60) == []
    assert account.deleted == [("delete_inference_component", name)]


def test_bucket_without_a_tag_is_the_run_s_only_while_it_is_empty(account: FakeAccount) -> None:
    account.buckets = {f"verify-aws-{RUN}": [], f"verify-aws-{OTHER}": ["somebody's"]}
    one = removal(account)
    assert one.find() == [Resource("bucket", f"verify-aws-{RUN}")]
    assert one.remove(RUN, seconds=60) == []
    assert account.buckets.keys() == {f"verify-aws-{OTHER}"}


def test_listing_that_is_refused_is_reported_and_stops_nothing_else(account: FakeAccount) -> None:
    whole_run(account)
    account.refused["list_models"] = "no permission"
    one = removal(account)
    one.remove(RUN, seconds=60)
    assert one.refusals["list of every model"] == "AccessDenied: no permission"
    assert account.names["list_inference_components"] == []

"""Reading the components of an endpoint, as they are."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from adapter_fleet.record import Live, Status
from adapters_cli.account import Account, code_of

if TYPE_CHECKING:
    from types_boto3_sagemaker.type_defs import DescribeInferenceComponentOutputTypeDef

_READERS = 8
_Value = TypeVar("_Value")


class Components:
    """The components of one endpoint. Nothing here writes."""

    def __init__(self, account: Account, endpoint: str) -> None:
        self._sagemaker = account.sagemaker
        self._endpoint = endpoint

    def listed(self) -> dict[str, Live]:
        """List every component."""
        found = {}
        pages = self._sagemaker.get_paginator("list_inference_components").paginate(
            EndpointNameEquals=self._endpoint, PaginationConfig={"PageSize": 100}
        )
        for page in pages:
            for summary in page["InferenceComponents"]:
                found[summary["InferenceComponentName"]] = Live(
                    status=Status(summary.get("InferenceComponentStatus", Status.CREATING)),
                    created=summary["CreationTime"].timestamp(),
                    modified=summary["LastModifiedTime"].timestamp(),
                    arn=summary["InferenceComponentArn"],
                    endpoint=summary["EndpointName"],
                )
        return found

    def described(self, names: Iterable[str]) -> dict[str, Live | None]:
        """Describe components, None for one that is gone."""
        return _each(names, self._describe)

    def tags(self, arns: Mapping[str, str]) -> dict[str, dict[str, str]]:
        """Read the tags of components, given their ARNs by name; no tags for one that is gone."""
        return _each(arns, lambda name: self._tags(arns[name]))

    def _describe(self, name: str) -> Live | None:
        try:
            answer = self._sagemaker.describe_inference_component(InferenceComponentName=name)
        except ClientError as error:
            if _is_missing(error):
                return None
            raise
        return _live(answer)

    def _tags(self, arn: str) -> dict[str, str]:
        tags: dict[str, str] = {}
        try:
            for page in self._sagemaker.get_paginator("list_tags").paginate(ResourceArn=arn):
                tags |= {tag["Key"]: tag["Value"] for tag in page["Tags"]}
        except ClientError as error:
            if not _is_missing(error):
                raise
        return tags


def _live(answer: "DescribeInferenceComponentOutputTypeDef") -> Live:
    specification: Mapping[str, Any] = answer.get("Specification", {})
    return Live(
        status=Status(answer.get("InferenceComponentStatus", Status.CREATING)),
        created=answer["CreationTime"].timestamp(),
        modified=answer["LastModifiedTime"].timestamp(),
        arn=answer["InferenceComponentArn"],
        endpoint=answer["EndpointName"],
        artifact_uri=specification.get("Container", {}).get("ArtifactUrl"),
        base=specification.get("BaseInferenceComponentName"),
        failure_reason=answer.get("FailureReason"),
        described=True,
    )


def _is_missing(error: ClientError) -> bool:
    # [V] Terraform, ACK: a component that is not there is a ValidationException.
    message = error.response.get("Error", {}).get("Message", "")
    return code_of(error) in ("ValidationException", "ResourceNotFound") and (
        "could not find" in message.lower() or "not found" in message.lower()
    )


def _each(names: Iterable[str], read: Callable[[str], _Value]) -> dict[str, _Value]:
    """Read of many, a few at the same time."""
    listed = list(names)
    with ThreadPoolExecutor(_READERS) as readers:
        return dict(zip(listed, readers.map(read, listed), strict=True))

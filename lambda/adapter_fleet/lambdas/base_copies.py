"""The entry point of the Lambda function that reads how many copies of a base model run.

docs/adr/0023-copies-of-the-base-model.md says why a deployment needs the number.
"""

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import Meaning, meaning_of
from adapter_fleet.common.clock import Clock

if TYPE_CHECKING:
    from types_boto3_sagemaker import SageMakerClient
    from types_boto3_sagemaker.type_defs import DescribeInferenceComponentOutputTypeDef

_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 8})
_INTERVAL_SECONDS = 5
_SPARE_SECONDS = 30
"""What the last read and the answer may take of the function's timeout."""


def on_event(event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle an event of CloudFormation: return the copies that the base model's component should have."""
    properties = event["ResourceProperties"]
    component = properties["ComponentName"]
    physical_id = event.get("PhysicalResourceId", component)
    if event["RequestType"] == "Delete":
        return {"PhysicalResourceId": physical_id}
    copies = copy_count(
        _sagemaker(),
        component,
        start=int(properties["StartCopies"]),
        seconds=context.get_remaining_time_in_millis() / 1000 - _SPARE_SECONDS,
        clock=Clock(),
    )
    _log().info("read the copies", component=component, copies=copies)
    return {"PhysicalResourceId": physical_id, "Data": {"CopyCount": copies}}


def copy_count(
    service: "SageMakerClient", component: str, *, start: int, seconds: float, clock: Clock
) -> int:
    """Return the copies that a component runs, or is about to run; `start` if there is no such component.

    Waits while scaling starts or ends copies: SageMaker refuses an update of a component in the meantime, and
    a refusal during a rollback leaves the stack in UPDATE_ROLLBACK_FAILED. After `seconds`, CloudFormation
    tries the update whatever the component does.

    At least 1: SageMaker refuses to create a component without a copy, and only a copy shows that a new
    version starts. Any other error is raised. The deployment then fails before it changes the component.
    """
    deadline = clock.now() + seconds
    while described := _describe(service, component):
        if described["InferenceComponentStatus"] != "Updating" or clock.now() >= deadline:
            return max(1, described.get("RuntimeConfig", {}).get("DesiredCopyCount", start))
        clock.sleep(_INTERVAL_SECONDS)
    return start


def _describe(service: "SageMakerClient", component: str) -> "DescribeInferenceComponentOutputTypeDef | None":
    try:
        return service.describe_inference_component(InferenceComponentName=component)
    except ClientError as error:
        if meaning_of(error) is not Meaning.MISSING:
            raise
        return None


@cache
def _sagemaker() -> "SageMakerClient":
    return boto3.client("sagemaker", config=_CONFIG)


@cache
def _log() -> Logger:
    return Logger(service="base-copies")

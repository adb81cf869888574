"""The CloudFormation stacks that fleets belong to."""

from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.fleet.requests.handler import StackState

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient


class Stacks:
    """Stacks in CloudFormation."""

    def __init__(self, client: "CloudFormationClient", log: Logger) -> None:
        self._client, self._log = client, log

    def describe(self, stack: str) -> StackState | None:
        """Return the state of a stack, None if CloudFormation does not answer."""
        try:
            (found,) = self._client.describe_stacks(StackName=stack)["Stacks"]
        except (ClientError, BotoCoreError) as error:
            # Without the state a deployment may count as a rollback. The other way round, a rollback might be
            # refused, and nobody could update the stack any more.
            self._log.warning("CloudFormation does not describe the stack", reason=str(error))
            return None
        return StackState(
            rolling_back="ROLLBACK" in found["StackStatus"],
            tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
        )

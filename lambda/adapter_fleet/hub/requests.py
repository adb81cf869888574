"""Handles CloudFormation's events of a copied model: starts the copy, and reports when it is complete."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.bounded_text import bounded
from adapter_fleet.common.clock import Clock
from adapter_fleet.common.counts import counted
from adapter_fleet.common.serialization import unstructured
from adapter_fleet.hub.copy import CopyError, CopyRequest, is_denied, known_commit
from adapter_fleet.hub.store import ModelStore, delete_keys

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_stepfunctions import SFNClient
    from types_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

MAX_REASON_BYTES = 2000
"""A response to CloudFormation has at most 4,096 bytes of JSON."""

_MAX_STARTS = 20
_SUPERSEDED = "Superseded"
"""The error of executions that this module stops. An execution that a person stops is started again."""


@dataclass(frozen=True, kw_only=True)
class HubRequestHandler:
    """Handles the events of one custom resource. Every method returns within seconds, and can be repeated.

    report_leftover:
        Called with the reason why an unfinished copy could not be removed from a bucket.
    """

    machine: str
    machines: "SFNClient"
    s3: "S3Client"
    clock: Clock
    report_leftover: Callable[[str], None]

    def on_event(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Start a copy, and stop the copies of earlier events."""
        delivery, now = _delivery(event), self.clock.now()
        self._stop_others(delivery)
        if event["RequestType"] != "Delete":
            self._start(delivery, 1, request_of(event["ResourceProperties"], asked_at=now))
        return {
            "PhysicalResourceId": event["ResourceProperties"]["Who"],
            "Delivery": delivery,
            "StartedAt": now,
        }

    def is_complete(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """Report whether the copy is complete; CopyError if it cannot be completed, or not in time.

        A deletion succeeds even if AWS denies it: a failed deletion would fail again each time.
        """
        request = request_of(event["ResourceProperties"], asked_at=float(event["StartedAt"]))
        try:
            return self._status(event, request)
        except ClientError as error:
            if not is_denied(error) or request.is_early(self.clock.now()):
                raise
            if event["RequestType"] == "Delete":
                place = f"s3://{request.bucket}/{request.repository.base}"
                self.report_leftover(f"unfinished uploads and records below {place} may be left: {error}")
                return {"IsComplete": True}
            raise CopyError(bounded(str(error), MAX_REASON_BYTES)) from None

    def _status(self, event: Mapping[str, Any], request: CopyRequest) -> dict[str, Any]:
        if event["RequestType"] == "Delete":
            return {"IsComplete": self._is_cleared(event["Delivery"], request)}
        number, execution = self._newest(event["Delivery"])
        match execution["status"] if execution else "ABORTED":
            case "RUNNING" | "PENDING_REDRIVE":
                self._check_time(event, request, number)
                return {"IsComplete": False}
            case "SUCCEEDED":
                assert execution is not None  # it has a status
                self._clear_before(event, request)
                return {"IsComplete": True, "Data": _attributes(json.loads(execution["output"]))}
            case "ABORTED":
                if execution is not None and execution.get("error") == _SUPERSEDED:
                    raise CopyError("another deployment has taken over")
                self._check_time(event, request, number)
                if number >= _MAX_STARTS:
                    raise CopyError(f"the state machine of the copy was stopped {number} times")
                self._start(event["Delivery"], number + 1, request)
                return {"IsComplete": False}
            case _:
                assert execution is not None  # it has a status
                raise CopyError(bounded(_reason(execution), MAX_REASON_BYTES))

    def _newest(self, delivery: str) -> "tuple[int, DescribeExecutionOutputTypeDef | None]":
        """Return the number of the last execution of a delivery, and the execution."""
        number, found = 0, None
        while number < _MAX_STARTS:
            try:
                found = self.machines.describe_execution(
                    executionArn=self._execution(f"{delivery}-{number + 1}")
                )
            except ClientError as error:
                if code_of(error) != "ExecutionDoesNotExist":
                    raise
                break
            number += 1
            if found["status"] != "ABORTED":
                break
        return number, found

    def _check_time(self, event: Mapping[str, Any], request: CopyRequest, number: int) -> None:
        seconds = float(event["ResourceProperties"]["TimeoutSeconds"])
        if self.clock.now() < request.asked_at + seconds:
            return
        progress = self._progress(request)
        if number:
            self._stop(self._execution(f"{event['Delivery']}-{number}"))
        raise CopyError(
            f"'{request.model_id}' is not copied after {counted(seconds / 60, 'minute')}, the timeout:"
            f" {progress}"
        )

    def _progress(self, request: CopyRequest) -> str:
        try:
            commit = known_commit(request, s3=self.s3)
            if commit is None:
                return "nothing is copied yet"
            store = ModelStore(request.repository.at(commit), self.s3)
            return store.progress(store.planned_files() or [])
        except ClientError as error:
            return bounded(f"its progress is not known: {error}", MAX_REASON_BYTES)

    def _clear_before(self, event: Mapping[str, Any], request: CopyRequest) -> None:
        """Abort the unfinished uploads of the version before an update; after a rollback, of the failed one.

        If an update changes the place, CloudFormation has already changed the roles, which allow only the new
        place. The model is complete, so uploads that the roles may not abort stay, and fail no deployment.
        """
        if event["RequestType"] != "Update":
            return
        before = request_of(event["OldResourceProperties"])
        try:
            commit = known_commit(before, s3=self.s3)
            if commit is not None and (before.repository, commit) != (
                request.repository,
                known_commit(request, s3=self.s3),
            ):
                ModelStore(before.repository.at(commit), self.s3).give_up(before.who)
        except ClientError as error:
            if not is_denied(error):
                raise
            self.report_leftover(str(error))

    def _is_cleared(self, delivery: str, request: CopyRequest) -> bool:
        """Stop the copy and abort its uploads; return True once none is left. The files stay."""
        stopped = self._stop_others(delivery)
        try:
            commit = known_commit(request, s3=self.s3)
            uploads = 0
            if commit is not None:
                uploads = ModelStore(request.repository.at(commit), self.s3).give_up(request.who)
            if not stopped and not uploads:
                self._forget_revisions(request)
        except ClientError as error:
            if code_of(error) != "NoSuchBucket":
                raise
            return not stopped  # there is nothing to abort
        return not stopped and not uploads

    def _forget_revisions(self, request: CopyRequest) -> None:
        pages = self.s3.get_paginator("list_objects_v2").paginate(
            Bucket=request.bucket, Prefix=request.repository.revisions(request.who)
        )
        keys = [item["Key"] for page in pages for item in page.get("Contents", [])]
        delete_keys(self.s3, request.bucket, keys)

    def _stop_others(self, delivery: str) -> int:
        """Stop the executions of other events; return their number."""
        pages = self.machines.get_paginator("list_executions").paginate(
            stateMachineArn=self.machine, statusFilter="RUNNING"
        )
        running = [item for page in pages for item in page["executions"]]
        others = [item["executionArn"] for item in running if not item["name"].startswith(delivery)]
        for execution in others:
            self._stop(execution)
        return len(others)

    def _stop(self, execution: str) -> None:
        try:
            self.machines.stop_execution(
                executionArn=execution, error=_SUPERSEDED, cause="another event, or the end of its time"
            )
        except ClientError as error:
            # The execution ended meanwhile.
            if code_of(error) not in ("ExecutionDoesNotExist", "ValidationException"):
                raise

    def _start(self, delivery: str, number: int, request: CopyRequest) -> None:
        try:
            self.machines.start_execution(
                stateMachineArn=self.machine,
                name=f"{delivery}-{number}",
                input=json.dumps({"request": unstructured(request), "outcomes": [], "round": 0}),
            )
        except ClientError as error:
            if code_of(error) != "ExecutionAlreadyExists":
                raise

    def _execution(self, name: str) -> str:
        return f"{self.machine.replace(':stateMachine:', ':execution:')}:{name}"


def request_of(properties: Mapping[str, Any], *, asked_at: float = 0.0) -> CopyRequest:
    """Return the request in the properties of the custom resource, which are all strings."""
    return CopyRequest(
        model_id=properties["ModelId"],
        revision=properties["Revision"],
        bucket=properties["Bucket"],
        prefix=properties.get("Prefix", ""),
        who=properties["Who"],
        part_bytes=int(properties["PartBytes"]),
        asked_at=asked_at,
    )


def _attributes(output: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Commit": output["commit"],
        "Prefix": output["prefix"],
        "Files": str(output["files"]),
        "Bytes": str(output["bytes"]),
    }


def _delivery(event: Mapping[str, Any]) -> str:
    # CloudFormation reuses request ids, and delivers an event more than once.
    text = json.dumps([event["RequestId"], event.get("ResponseURL", "")])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _reason(execution: "DescribeExecutionOutputTypeDef") -> str:
    """Return why an execution failed: the message of a CopyError, or else that of Step Functions."""
    cause = execution.get("cause", "")
    if execution.get("error") == CopyError.__name__:
        return str(json.loads(cause)["errorMessage"])
    status = execution["status"]
    return f"the state machine of the copy ended as {status}: {execution.get('error', '')} {cause}".strip()

"""EventBridge events of a versioned bucket have the version id of the object.

Fault of ministack: its events have none.
"""

import json
from contextvars import ContextVar
from typing import Any

from ministack.services import eventbridge, s3

from local_sagemaker.ministack_patches.internals import replaces


def install() -> None:
    """Remember the version while S3 sends an event, and add it to the event's detail."""
    version: ContextVar[str | None] = ContextVar("version", default=None)

    @replaces(s3, "_fire_s3_event")
    def fire_with_version(fire: Any, *event: Any, version_id: str | None = None, **details: Any) -> None:
        token = version.set(version_id)
        try:
            fire(*event, version_id=version_id, **details)
        finally:
            version.reset(token)

    @replaces(eventbridge, "_dispatch_event")
    def dispatch_with_version(dispatch: Any, event: dict[str, Any], *view: Any) -> Any:
        # A target may write another object: that event has its own thread, so its own version.
        if event.get("Source") == "aws.s3" and version.get() is not None:
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version.get()
            event = event | {"Detail": json.dumps(detail)}
        return dispatch(event, *view)

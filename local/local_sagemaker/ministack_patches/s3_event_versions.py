"""EventBridge events of a versioned bucket have the version id of the object.

Fault of ministack: its events have none.
"""

import json
from contextvars import ContextVar
from typing import Any

from ministack.services import eventbridge, s3

from local_sagemaker.ministack_patches.internals import expect_names


def install() -> None:
    """Remember the version while S3 sends an event, and add it to the event's detail."""
    expect_names(s3, "_fire_s3_event")
    expect_names(eventbridge, "_dispatch_event")
    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event
    version: ContextVar[str | None] = ContextVar("version", default=None)

    def fire_with_version(*event: Any, version_id: str | None = None, **details: Any) -> None:
        token = version.set(version_id)
        try:
            fire(*event, version_id=version_id, **details)
        finally:
            version.reset(token)

    def dispatch_with_version(event: dict[str, Any], *view: Any) -> Any:
        # A target may write another object: that event has its own thread, so its own version.
        if event.get("Source") == "aws.s3" and version.get() is not None:
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version.get()
            event = event | {"Detail": json.dumps(detail)}
        return dispatch(event, *view)

    s3._fire_s3_event = fire_with_version
    eventbridge._dispatch_event = dispatch_with_version

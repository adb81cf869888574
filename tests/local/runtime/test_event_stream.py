from __future__ import annotations

import json
from typing import Any, cast

from botocore.eventstream import EventStreamBuffer, EventStreamMessage

from local_sagemaker.runtime import event_stream


def headers(message: EventStreamMessage) -> dict[str, Any]:
    return cast("dict[str, Any]", message.headers)  # its stubs name another type


def test_botocore_reads_what_is_written() -> None:
    parts = [b"first", "zwölf".encode(), b"", bytes(range(256))]
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(event_stream.event("PayloadPart", part) for part in parts))
    messages = list(buffer)
    assert [message.payload for message in messages] == parts
    assert {headers(message)[":event-type"] for message in messages} == {"PayloadPart"}


def test_botocore_reads_an_error() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event_stream.exception("ModelStreamError", json.dumps({"Message": "gone"}).encode()))
    message = next(buffer)
    assert headers(message)[":message-type"] == "exception"
    assert headers(message)[":exception-type"] == "ModelStreamError"

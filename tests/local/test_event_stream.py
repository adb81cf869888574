from __future__ import annotations

import json

from botocore.eventstream import EventStreamBuffer

from local_sagemaker.runtime import event_stream


def test_botocore_reads_what_is_written() -> None:
    parts = [b"first", "zwölf".encode(), b"", bytes(range(256))]
    buffer = EventStreamBuffer()
    buffer.add_data(b"".join(event_stream.event("PayloadPart", part) for part in parts))
    messages = list(buffer)
    assert [message.payload for message in messages] == parts
    assert {message.headers[":event-type"] for message in messages} == {"PayloadPart"}


def test_botocore_reads_an_error() -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(event_stream.exception("ModelStreamError", json.dumps({"Message": "gone"}).encode()))
    message = next(buffer)
    assert message.headers[":message-type"] == "exception"
    assert message.headers[":exception-type"] == "ModelStreamError"

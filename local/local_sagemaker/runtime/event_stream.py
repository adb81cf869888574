"""Encodes streamed responses as `application/vnd.amazon.eventstream`; botocore only decodes them.

A message is: total length, header length, CRC of these two, headers, payload, CRC of everything before it.
"""

import struct
from binascii import crc32

_STRING = 7


def event(kind: str, payload: bytes) -> bytes:
    """An event with a payload of bytes."""
    return _message(
        {":message-type": "event", ":event-type": kind, ":content-type": "application/octet-stream"}, payload
    )


def exception(kind: str, payload: bytes) -> bytes:
    """A modeled error, as JSON, which ends the stream."""
    return _message(
        {":message-type": "exception", ":exception-type": kind, ":content-type": "application/json"}, payload
    )


def _message(headers: dict[str, str], payload: bytes) -> bytes:
    block = b"".join(_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", 16 + len(block) + len(payload), len(block))
    prelude += struct.pack(">I", crc32(prelude))
    message = prelude + block + payload
    return message + struct.pack(">I", crc32(message))


def _header(name: str, value: str) -> bytes:
    key, text = name.encode(), value.encode()
    return struct.pack(">B", len(key)) + key + struct.pack(">BH", _STRING, len(text)) + text

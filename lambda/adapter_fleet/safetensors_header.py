"""The header of a safetensors file: names, types and shapes of its tensors, without reading the weights.

A file is eight bytes with the header's length (little endian), the header in JSON, then the tensors' bytes
with no gaps (https://github.com/huggingface/safetensors#format). The safetensors library maps a whole file
and brings a compiled extension; a check has to read an archive as it streams by, in a Lambda as well.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any, Protocol

from adapter_fleet import strict_json

MAX_HEADER_BYTES = 16 * 1024 * 1024
"""More than a hundred thousand tensors. The format itself allows 100 MB."""

_LENGTH = struct.Struct("<Q")
# The types of whole bytes in safetensors' Dtype (safetensors/src/tensor.rs); those below a byte are no
# weights of an adapter.
_BYTES_PER_ELEMENT = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "F8_E5M2": 1,
    "F8_E4M3": 1,
    "F8_E8M0": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "I64": 8,
    "U64": 8,
    "F64": 8,
    "C64": 8,
}


class Readable(Protocol):
    """What a header is read from."""

    def read(self, size: int, /) -> bytes:
        """Return the next `size` bytes, fewer only at the end."""
        ...


class HeaderError(ValueError):
    """The file is no valid safetensors file."""


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """One tensor as the header describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]


def read_tensors(stream: Readable, size: int) -> list[Tensor]:
    """Read the header from the start of a file of `size` bytes; raise HeaderError where it is not valid.

    Reads no more than the header and never allocates more than `MAX_HEADER_BYTES` for it, whatever the length
    field claims.
    """
    prefix = stream.read(_LENGTH.size)
    if len(prefix) < _LENGTH.size:
        raise HeaderError(f"it is truncated: {len(prefix)} bytes, less than the header's length field")
    (length,) = _LENGTH.unpack(prefix)
    if length > size - _LENGTH.size:
        raise HeaderError(f"it is truncated: the header takes {length} bytes, the file has {size}")
    if length > MAX_HEADER_BYTES:
        raise HeaderError(f"the header should have at most {MAX_HEADER_BYTES} bytes, got {length}")
    text = stream.read(length)
    if len(text) < length:
        raise HeaderError(f"it is truncated: {len(text)} of the header's {length} bytes")
    try:
        header = strict_json.loads(text)
    except ValueError as error:
        raise HeaderError(f"the header is not valid JSON: {error}") from None
    if not isinstance(header, dict):
        raise HeaderError("the header should be a JSON object")
    header.pop("__metadata__", None)

    placed = sorted(
        (_parse(name, entry) for name, entry in header.items()), key=lambda item: (item.begin, item.end)
    )
    _check_layout(placed, data_size=size - _LENGTH.size - length)
    return [item.tensor for item in placed]


@dataclass(frozen=True)
class _Placed:
    tensor: Tensor
    begin: int
    end: int


def _parse(name: str, entry: Any) -> _Placed:
    match entry:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [begin, end]}:
            pass
        case _:
            raise HeaderError(
                f"tensor {name!r} should have dtype, shape and two data_offsets, got {entry!r:.200}"
            )
    if dtype not in _BYTES_PER_ELEMENT:
        raise HeaderError(f"tensor {name!r} has the unknown dtype {dtype!r}")
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise HeaderError(
            f"the shape and offsets of tensor {name!r} should be whole numbers, got {entry!r:.200}"
        )
    expected = math.prod(shape) * _BYTES_PER_ELEMENT[dtype]
    if end - begin != expected:
        raise HeaderError(
            f"tensor {name!r} ({dtype}, {shape}) should take {expected} bytes, got {end - begin}"
        )
    return _Placed(Tensor(name=name, dtype=dtype, shape=tuple(shape)), begin, end)


def _check_layout(placed: list[_Placed], data_size: int) -> None:
    """Tensors follow each other from the first byte to the last, as safetensors' own reader demands."""
    position = 0
    for item in placed:
        if item.end > data_size:
            raise HeaderError(
                f"it is truncated: tensor {item.tensor.name!r} ends at byte {item.end} of the weights,"
                f" of which there are {data_size}"
            )
        if item.begin != position:
            raise HeaderError(
                f"tensor {item.tensor.name!r} should begin at byte {position}, got {item.begin}"
            )
        position = item.end
    if position != data_size:
        raise HeaderError(f"{data_size - position} bytes after the last tensor belong to none")

"""Reads the header of a safetensors file: names, types and shapes of its tensors, without the weights.

A file has eight bytes with the header's length (little endian), the header in JSON, and the tensors' bytes
without gaps (https://github.com/huggingface/safetensors#format). The safetensors library maps a whole file
and has a compiled extension. A check reads an archive as a stream, also in a Lambda function.
"""

import math
import struct
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, cast

from adapter_fleet.artifacts.decompressing_reader import Readable
from adapter_fleet.artifacts.foreign_content import START_BYTES, foreign_weights
from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.documents import strict_json
from adapter_rules.checks.requirements_and_remedies import CheckRule

MAX_HEADER_BYTES = 16 * 1024 * 1024
"""Room for more than a hundred thousand tensors. The format itself allows 100 MB."""

_MAX_DIMENSIONS = 8
_MAX_NUMBER = 2**63
_LENGTH = struct.Struct("<Q")
_KEYS = {"dtype", "shape", "data_offsets"}
# The types of whole bytes in safetensors' Dtype (safetensors/src/tensor.rs). Adapters have no smaller ones.
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


class HeaderError(ValueError):
    """The file is no valid safetensors file. `rule` is the rule that it breaks."""

    def __init__(self, message: str, rule: CheckRule = CheckRule.WEIGHTS_HEADER) -> None:
        super().__init__(message)
        self.rule = rule


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor as the header describes it."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Its bytes in the file."""
        return math.prod(self.shape) * _BYTES_PER_ELEMENT[self.dtype]


def read_tensors(stream: Readable, size: int) -> list[Tensor]:
    """Read the header at the start of a file of `size` bytes; raise HeaderError if it is not valid.

    Returns the tensors in the order of their bytes, which follow in `stream`. Reads only the header, and at
    most `MAX_HEADER_BYTES`, whatever the length field claims.
    """
    start = stream.read(START_BYTES)
    if (foreign := foreign_weights(start)) is not None:
        raise HeaderError(foreign, CheckRule.FILE_CONTENT)
    prefix, begun = start[: _LENGTH.size], start[_LENGTH.size :]
    if len(prefix) < _LENGTH.size:
        raise _truncated(f"{len(prefix)} bytes, less than the header's length field")
    (length,) = _LENGTH.unpack(prefix)
    if length > MAX_HEADER_BYTES:
        raise HeaderError(
            f"the header should have at most {MAX_HEADER_BYTES} bytes, got {length} in a file of {size}"
        )
    if length > size - _LENGTH.size:
        raise _truncated(f"the header takes {length} bytes, the file has {size}")
    text = (begun + stream.read(max(0, length - len(begun))))[:length]
    if len(text) < length:
        raise _truncated(f"{len(text)} of the header's {length} bytes")
    placed = _placed(text)
    _check_layout(placed, data_size=size - _LENGTH.size - length)
    return [tensor for _, _, tensor in placed]


def _truncated(message: str) -> HeaderError:
    return HeaderError(f"it is truncated: {message}", CheckRule.WEIGHTS_TRUNCATED)


# A tensor in the header: dtype, shape, first byte and end. There may be a hundred thousand, and a plain tuple
# is the fastest to make. No value of JSON becomes a tuple otherwise.
_Entry = tuple[str, tuple[int, ...], int, int]
# First byte, end, and the tensor.
_Placed = tuple[int, int, Tensor]


def _entry(entry: dict[str, Any]) -> Any:
    """Make a tuple of a tensor's object in the header; any other object stays a dictionary."""
    if entry.keys() != _KEYS:
        return entry
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(dtype) is not str or type(shape) is not list or type(offsets) is not list:
        return entry
    if len(offsets) != 2 or len(shape) > _MAX_DIMENSIONS:
        return entry
    for number in shape + offsets:
        if type(number) is not int or not 0 <= number < _MAX_NUMBER:
            return entry
    return dtype, tuple(shape), *offsets


def _placed(text: bytes) -> list[_Placed]:
    """Parse the header; return the tensors in the order of their bytes."""
    try:
        header = strict_json.loads(text, of_object=_entry)
    except ValueError as error:
        raise HeaderError(f"the header is not valid JSON: {error}") from None
    if not isinstance(header, dict):
        raise HeaderError("the header should be a JSON object of tensors")
    metadata = header.pop("__metadata__", None)
    # The engine's reader accepts nothing else (Option<HashMap<String, String>> in safetensors/src/tensor.rs).
    if metadata is not None and not (
        isinstance(metadata, dict) and all(isinstance(value, str) for value in metadata.values())
    ):
        raise HeaderError("'__metadata__' should be an object of strings")
    return sorted((_parse(name, entry) for name, entry in header.items()), key=itemgetter(0, 1))


def _parse(name: str, entry: Any) -> _Placed:
    if type(entry) is not tuple:
        raise HeaderError(
            f"tensor {name!r:.200} should have dtype, shape and two data_offsets, whole numbers and at most"
            f" {_MAX_DIMENSIONS} dimensions, got {short_repr(entry)}"
        )
    dtype, shape, begin, end = cast(_Entry, entry)
    if dtype not in _BYTES_PER_ELEMENT:
        raise HeaderError(f"tensor {name!r:.200} has the unknown dtype {dtype!r:.100}")
    expected = math.prod(shape) * _BYTES_PER_ELEMENT[dtype]
    if end - begin != expected:
        raise HeaderError(
            f"tensor {name!r:.200} ({dtype}, {list(shape)}) should take {expected} bytes, got {end - begin}"
        )
    return begin, end, Tensor(name=name, dtype=dtype, shape=shape)


def _check_layout(placed: list[_Placed], data_size: int) -> None:
    """Check that the tensors fill the file without gap or overlap, as safetensors' own reader does."""
    position = 0
    for begin, end, tensor in placed:
        if end > data_size:
            raise _truncated(
                f"tensor {tensor.name!r:.200} ends at byte {end} of the weights, of which there are"
                f" {data_size}"
            )
        if begin != position:
            raise HeaderError(f"tensor {tensor.name!r:.200} should begin at byte {position}, got {begin}")
        position = end
    if position != data_size:
        raise HeaderError(f"{data_size - position} bytes after the last tensor belong to none")

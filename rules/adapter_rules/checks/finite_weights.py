"""Looks for NaN, infinities and zeros in the weights of an adapter.

A training run that diverges leaves NaN in most tensors. The engine loads them without an error, and its
answers are noise. A number is NaN or infinite if all bits of its exponent are set.

It is plain Python, as a check also runs in a Lambda function. Methods of `bytes` and `int` look at whole
pieces, which takes less time than the adapter's SHA-256.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from adapter_fleet.artifacts.decompressing_reader import Readable
from adapter_rules.checks.safetensors_header import Tensor

_CHUNK_BYTES = 64 * 1024

_NUMBER_BYTES = {"BF16": 2, "F16": 2, "F32": 4}


def _table(mask: int) -> bytes:
    """Return a table for `bytes.translate`: 1 for bytes in which all bits of a mask are set, else 0."""
    return bytes(int(byte & mask == mask) for byte in range(256))


# The last byte of a number has the sign and the upper bits of the exponent. In BF16 and F32, the lowest bit
# of the exponent is at the top of the byte before.
_F16_EXPONENT = _table(0x7C)
_UPPER_EXPONENT = _table(0x7F)
_LOWEST_BIT = _table(0x80)


def is_finite(data: bytes, dtype: str) -> bool:
    """Tell whether all numbers in little-endian bytes are finite; True for an unknown type."""
    if dtype == "F16":
        return data[1::2].translate(_F16_EXPONENT).find(1) < 0
    size = _NUMBER_BYTES.get(dtype)
    if size is None:
        return True
    upper = data[size - 1 :: size]
    # Real weights have no number of 2**127 and above, so nearly all calls end here.
    if upper.find(0x7F) < 0 and upper.find(0xFF) < 0:
        return True
    lower = data[size - 2 :: size]
    both = int.from_bytes(upper.translate(_UPPER_EXPONENT)) & int.from_bytes(lower.translate(_LOWEST_BIT))
    return both == 0


@dataclass(frozen=True, kw_only=True)
class ReadTensor:
    """What the numbers of a tensor are: all finite, or all 0."""

    tensor: Tensor
    finite: bool
    zero: bool


def read_numbers(stream: Readable, tensors: Iterable[Tensor]) -> Iterator[ReadTensor]:
    """Yield what the numbers of each tensor are.

    `stream` is at the first byte of the first tensor, and `tensors` are in the order of their bytes.
    """
    for tensor in tensors:
        left, finite, zero = tensor.size, True, True
        while left > 0:
            data = stream.read(min(left, _CHUNK_BYTES))
            if not data:
                return  # the file became shorter while it was read
            left -= len(data)
            finite = finite and is_finite(data, tensor.dtype)
            zero = zero and data == bytes(len(data))
        yield ReadTensor(tensor=tensor, finite=finite, zero=zero)

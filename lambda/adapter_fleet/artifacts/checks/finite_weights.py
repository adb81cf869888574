"""Looks for NaN and infinities in the weights of an adapter, all of them or a sample.

A training run that diverges leaves NaN in most tensors. The engine loads them without an error, and its
answers are noise. A number is NaN or infinite if all bits of its exponent are set.

It is plain Python, as a check also runs in a Lambda function. Methods of `bytes` and `int` look at whole
pieces, a gigabyte in a second or two.
"""

from collections.abc import Iterator, Sequence

from adapter_fleet.artifacts.checks.safetensors_header import Tensor
from adapter_fleet.artifacts.decompressing_reader import Readable

_PIECE_BYTES = 2048
"""A sample has this many bytes of each tensor at its start, in its middle and at its end."""
_MAX_SAMPLED_TENSORS = 4096
"""Of more tensors, a sample has every second one, or every third, and so on."""
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


def not_finite(stream: Readable, tensors: Sequence[Tensor], *, whole: bool) -> Iterator[Tensor]:
    """Yield the tensors with a NaN or an infinity: of all weights, or of a sample.

    `stream` is at the first byte of the first tensor, and `tensors` are in the order of their bytes.
    """
    every = 1 if whole else -(-len(tensors) // _MAX_SAMPLED_TENSORS)
    position = first = 0
    for number, tensor in enumerate(tensors):
        if number % every == 0 and tensor.dtype in _NUMBER_BYTES:
            for begin, end in _pieces(tensor.size, whole=whole):
                _skip(stream, first + begin - position)
                data = stream.read(end - begin)
                position = first + begin + len(data)
                if len(data) < end - begin:
                    return  # the file became shorter while it was read
                if not is_finite(data, tensor.dtype):
                    yield tensor
                    break
        first += tensor.size


def _pieces(size: int, *, whole: bool) -> Iterator[tuple[int, int]]:
    """Yield the pieces of a tensor to read: the begin and end of each, in bytes."""
    if whole or size <= 3 * _PIECE_BYTES:
        for begin in range(0, size, _CHUNK_BYTES):
            yield begin, min(begin + _CHUNK_BYTES, size)
        return
    # Numbers have 2 or 4 bytes, and no piece begins within a number.
    for begin in (0, size // 8 * 4 - _PIECE_BYTES // 2, size - _PIECE_BYTES):
        yield begin, begin + _PIECE_BYTES


def _skip(stream: Readable, size: int) -> None:
    seek = getattr(stream, "seek", None)
    if seek is not None:
        seek(size, 1)
        return
    while size > 0 and (data := stream.read(min(size, _CHUNK_BYTES))):
        size -= len(data)

"""Inflates one gzip file piece by piece, with ISA-L if it is installed and zlib if not.

A Lambda function has no compiled library but the standard one. ISA-L takes two thirds of zlib's time.
"""

import zlib
from typing import Any, Protocol

try:
    from isal import igzip_lib
except ImportError:
    igzip_lib = None  # type: ignore[assignment]

_GZIP_WINDOW_BITS = 31


class Inflater(Protocol):
    """The interface of `bz2.BZ2Decompressor`, which ISA-L's decompressor has too.

    It keeps unused input. While that is enough for another piece, it needs no more input.
    """

    needs_input: bool

    @property
    def eof(self) -> bool:
        """True once the end of the gzip file is reached."""
        ...

    @property
    def unused_data(self) -> bytes:
        """The input after the end of the gzip file."""
        ...

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Return at most `max_length` bytes of output; raise one of `DAMAGED` for input that is no gzip."""
        ...


class ZlibInflater:
    """An inflater that uses the standard library."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self._rest = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """True once the end, checksum included, is reached."""
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        """The input after the end of the gzip file."""
        return self._inflater.unused_data

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Return the next piece of output."""
        made = self._inflater.decompress(self._rest + data, max_length)
        self._rest = self._inflater.unconsumed_tail
        # After a full piece, zlib may hold more output than the rest of the input gives.
        self.needs_input = not self._rest and len(made) < max_length
        return made


DAMAGED: tuple[Any, ...] = (zlib.error,)
if igzip_lib is not None:
    DAMAGED += (igzip_lib.error,)


def new_inflater() -> Inflater:
    """Return an inflater for a gzip file."""
    if igzip_lib is None:
        return ZlibInflater()
    made: Inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return made

"""What inflates one gzip file piece by piece: ISA-L where it is installed, else zlib.

A Lambda has no compiled library but the standard one. ISA-L takes two thirds of the time.
"""

import zlib
from typing import Any, Protocol

try:
    from isal import igzip_lib
except ImportError:
    igzip_lib = None  # type: ignore[assignment]

_GZIP_WINDOW_BITS = 31


class Inflater(Protocol):
    """The interface of `bz2.BZ2Decompressor`, which ISA-L's has too.

    It keeps what it was given and has not used. Where that is enough for another piece, it needs no input.
    """

    needs_input: bool

    @property
    def eof(self) -> bool:
        """Whether the end of the gzip file was reached."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What was given beyond its end."""
        ...

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Return at most so many bytes of what is inside; one of `DAMAGED` is raised where it is no gzip."""
        ...


class ZlibInflater:
    """An inflater of the standard library."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(_GZIP_WINDOW_BITS)
        self._rest = b""
        self.needs_input = True

    @property
    def eof(self) -> bool:
        """Whether the end was reached, its checksum included."""
        return self._inflater.eof

    @property
    def unused_data(self) -> bytes:
        """What was given beyond the end."""
        return self._inflater.unused_data

    def decompress(self, data: bytes, /, max_length: int) -> bytes:
        """Return the next piece."""
        made = self._inflater.decompress(self._rest + data, max_length)
        self._rest = self._inflater.unconsumed_tail
        # A full piece may have left more inside of zlib than there is input for.
        self.needs_input = not self._rest and len(made) < max_length
        return made


DAMAGED: tuple[Any, ...] = (zlib.error,)
if igzip_lib is not None:
    DAMAGED += (igzip_lib.error,)


def new_inflater() -> Inflater:
    """Return an inflater at the start of a gzip file."""
    if igzip_lib is None:
        return ZlibInflater()
    made: Inflater = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return made

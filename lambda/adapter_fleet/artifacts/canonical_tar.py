"""The canonical tar of an adapter, whose SHA-256 is the identity (docs/adr/0005-adapter-identity.md)."""

import tarfile


def header(name: str, size: int) -> bytes:
    """Return the bytes before the content of a file."""
    # A new TarInfo has no owner, the time 0 and the mode 0644. PAX equals USTAR for files up to 8 GiB.
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.PAX_FORMAT)


def padding(size: int) -> bytes:
    """Return the bytes after the content of a file."""
    return bytes(-size % tarfile.BLOCKSIZE)


def end(sizes: list[int]) -> bytes:
    """Return the bytes after files of these sizes."""
    blocks = 2 * tarfile.BLOCKSIZE
    total = sum(tarfile.BLOCKSIZE + size + -size % tarfile.BLOCKSIZE for size in sizes) + blocks
    return bytes(blocks + -total % tarfile.RECORDSIZE)


def size_of(names: tuple[str, ...], sizes: list[int]) -> int:
    """Return the size of the whole tar in bytes."""
    files = sum(
        len(header(name, size)) + size + len(padding(size)) for name, size in zip(names, sizes, strict=True)
    )
    return files + len(end(sizes))

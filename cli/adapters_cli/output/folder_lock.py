"""Locks a folder against other commands that write in it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

_LOCK = ".adapters.lock"


class LockedError(Exception):
    """Another command holds the lock."""


@contextmanager
def locked_folder(folder: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the lock of a folder. Without `wait`, raises LockedError if another command holds it.

    The lock ends with the process. Windows cannot lock folders: there a file in the folder is locked.
    """
    if fcntl is None:
        from filelock import FileLock, Timeout

        lock = FileLock(folder / _LOCK)
        try:
            lock.acquire(timeout=-1 if wait else 0)
        except Timeout:
            raise LockedError(str(folder)) from None
        try:
            yield
        finally:
            lock.release()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise LockedError(str(folder)) from None
        yield
    finally:
        os.close(descriptor)

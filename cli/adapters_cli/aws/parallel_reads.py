"""Reading many things at the same time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_READERS = 8
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


def read_each(keys: Iterable[_Key], read: Callable[[_Key], _Value]) -> dict[_Key, _Value]:
    """Return what `read` returns for each key, in the order of the keys. Eight calls run at a time."""
    listed = list(keys)
    with ThreadPoolExecutor(_READERS) as readers:
        return dict(zip(listed, readers.map(read, listed), strict=True))

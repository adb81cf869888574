"""A dictionary of resources by name: SageMaker ignores the case of names and keeps it [V]."""

from collections import UserDict
from collections.abc import ValuesView
from typing import TypeVar

T = TypeVar("T")


class CaseInsensitiveDict(UserDict[str, T]):
    """A dictionary that ignores the case of its keys."""

    def __getitem__(self, name: str) -> T:
        return super().__getitem__(name.lower())

    def __setitem__(self, name: str, resource: T) -> None:
        super().__setitem__(name.lower(), resource)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name.lower())

    def values(self) -> ValuesView[T]:
        """The resources, without a look-up of each name: listings go over a thousand resources."""
        return self.data.values()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

"""Resources by name: the control plane does not tell names apart by case, though it keeps the case [V]."""

from collections import UserDict
from collections.abc import ValuesView
from typing import TypeVar

T = TypeVar("T")


class ByName(UserDict[str, T]):
    """A dictionary whose keys differ by more than case."""

    def __getitem__(self, name: str) -> T:
        return super().__getitem__(name.lower())

    def __setitem__(self, name: str, resource: T) -> None:
        super().__setitem__(name.lower(), resource)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name.lower())

    def values(self) -> ValuesView[T]:
        """The resources; without a look-up of each by its name, since listings go over a thousand."""
        return self.data.values()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

"""Reading the components of an endpoint, as they are, a few at the same time."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from adapter_fleet.fleet.reconcile.verification import foresee
from adapter_fleet.fleet.state.components import ObservedComponent
from adapter_fleet.fleet.state.registry import Registry
from adapter_fleet.fleet.state.sagemaker_port import MissingError, ServiceError
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.account import Account

_READERS = 8
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Components:
    """The components of one endpoint, which `endpoint` names. Nothing here writes."""

    def __init__(self, account: Account, endpoint: str) -> None:
        self._service = account.service
        self.endpoint = endpoint

    def listed(self) -> dict[str, ObservedComponent]:
        """List every component."""
        return {name: live for page in self._service.pages(self.endpoint) for name, live in page.items()}

    def described(self, names: Iterable[str]) -> dict[str, ObservedComponent | None]:
        """Describe components, None for one that is gone."""
        return each(names, self._service.describe)

    def tags(self, lives: Mapping[str, ObservedComponent]) -> dict[str, dict[str, str]]:
        """Read the tags of components that were listed; those that are gone are left out."""
        read = each(lives, lambda name: self._tags(name, lives[name]))
        return {name: tags for name, tags in read.items() if tags is not None}

    def unusable(self, artifacts: Iterable[Artifact], registry: Registry) -> dict[Artifact, str]:
        """Ask S3 for archives; return what is wrong with those that are known to be missing or another one.

        One that the caller may not look at is taken for right, and so is one that nobody has read yet: the
        fleet verifies it before it is used.
        """
        checked = each(dict.fromkeys(artifacts), lambda artifact: self._problem(artifact, registry))
        return {artifact: problem for artifact, problem in checked.items() if problem is not None}

    def _problem(self, artifact: Artifact, registry: Registry) -> str | None:
        try:
            return foresee(artifact, self._service, registry)
        except ServiceError as error:
            return f"{artifact.uri} cannot be read: {error}"

    def _tags(self, name: str, live: ObservedComponent) -> dict[str, str] | None:
        try:
            return self._service.tags(name, live)
        except MissingError:
            return None


def each(keys: Iterable[_Key], read: Callable[[_Key], _Value]) -> dict[_Key, _Value]:
    """Read of many, a few at the same time."""
    listed = list(keys)
    with ThreadPoolExecutor(_READERS) as readers:
        return dict(zip(listed, readers.map(read, listed), strict=True))

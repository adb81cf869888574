"""What the control plane hosts components on: artifacts in directories, copies in processes."""

import asyncio
import itertools
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import httpx

from local_sagemaker.artifacts import Artifacts
from local_sagemaker.containers import Container
from local_sagemaker.extracted import ExtractedArchives
from local_sagemaker.settings import CurrentSettings

# Downloads wait for the very server they run in, so they get threads of their own.
_DOWNLOADS = 8


class Copy(Protocol):
    """One copy of a base component as it is needed here; `Container` is the real one."""

    @property
    def running(self) -> bool:
        """Whether it has not ended."""

    @property
    def outstanding(self) -> int:
        """How many requests it is working on."""

    def invoke(
        self, adapter: str | None, headers: Mapping[str, str], body: bytes
    ) -> AbstractAsyncContextManager[httpx.Response]:
        """The answer to an invocation, not yet read."""

    async def register(self, adapter: str, directory: Path) -> None:
        """Load an adapter."""

    async def unregister(self, adapter: str) -> None:
        """Take an adapter away."""

    async def drained(self, adapter: str | None = None) -> None:
        """Wait for the requests in flight, those for one adapter or all."""

    async def ended(self) -> None:
        """Wait until it has ended."""

    async def stop(self, *, drain: bool = True) -> None:
        """End it."""


class Hosting(Protocol):
    """Where components run, as the control plane needs it; `LocalHosting` is the real one."""

    async def fetch_model(self, container: dict[str, Any], role: str) -> Path:
        """A directory with the base model of a container definition."""

    async def fetch_adapter(self, url: str, role: str) -> Path:
        """A directory with the files of an adapter archive."""

    async def start_copy(self, model: Path, environment: Mapping[str, str], start_seconds: float) -> Copy:
        """A new copy that serves a model; HostingError when it is not healthy within start_seconds."""

    def discard(self, directory: Path) -> None:
        """Give back a directory that `fetch_...` made."""


class LocalHosting:
    """Directories below one root, and model server processes."""

    def __init__(self, root: Path, artifacts: Artifacts, settings: CurrentSettings):
        self._root = root
        self._artifacts = artifacts
        self._archives = ExtractedArchives(root, artifacts)
        self._settings = settings
        self._numbers = itertools.count(1)
        self._downloads = ThreadPoolExecutor(_DOWNLOADS, thread_name_prefix="download")

    async def fetch_model(self, container: dict[str, Any], role: str) -> Path:
        """A directory with the base model of a container definition."""
        target = self._root / f"model-{next(self._numbers)}"
        target.mkdir(parents=True)
        try:
            await asyncio.get_running_loop().run_in_executor(
                self._downloads, self._artifacts.fetch_model, container, role, target
            )
        except BaseException:
            self.discard(target)
            raise
        return target

    async def fetch_adapter(self, url: str, role: str) -> Path:
        """A directory with the files of an adapter archive; the same one for the same content."""
        return await asyncio.get_running_loop().run_in_executor(
            self._downloads, self._archives.use, url, role
        )

    async def start_copy(
        self, model: Path, environment: Mapping[str, str], start_seconds: float
    ) -> Container:
        """A new copy that serves a model; HostingError when it is not healthy within start_seconds."""
        log = self._root / f"container-{next(self._numbers)}.log"
        command = self._settings.value.engine_command
        return await Container.start(command, model, environment, log, start_seconds)

    def discard(self, directory: Path) -> None:
        """Give back a directory that `fetch_...` made, without waiting for its removal."""
        self._downloads.submit(self._discard, directory)

    def _discard(self, directory: Path) -> None:
        if not self._archives.give_back(directory):
            shutil.rmtree(directory, ignore_errors=True)

"""Hosts components on this machine: artifacts in directories, copies in processes."""

import asyncio
import itertools
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from local_sagemaker.process_groups import ProcessGroups
from local_sagemaker.runtime.artifacts import Artifacts, ExtractedArchives
from local_sagemaker.runtime.containers import ContainerProcess
from local_sagemaker.settings import CurrentSettings

# Downloads request objects from the server that they run in, so they run on separate threads.
_DOWNLOADS = 8


class LocalHosting:
    """Implements `Hosting` with directories below one root and model server processes."""

    def __init__(self, root: Path, artifacts: Artifacts, settings: CurrentSettings, groups: ProcessGroups):
        self._root = root
        self._groups = groups
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
        """A directory with the files of an adapter archive; one directory for the same content."""
        if url.endswith("/") and self._settings.value.adapter_at_prefix == "fetched":
            prefix = {"S3Uri": url, "S3DataType": "S3Prefix"}
            return await self.fetch_model({"ModelDataSource": {"S3DataSource": prefix}}, role)
        return await asyncio.get_running_loop().run_in_executor(
            self._downloads, self._archives.use, url, role
        )

    async def start_copy(
        self, model: Path, environment: Mapping[str, str], start_seconds: float
    ) -> ContainerProcess:
        """A new copy that serves a model; HostingError if it is not healthy within start_seconds."""
        number = next(self._numbers)
        settings = self._settings.value
        return await ContainerProcess.start(
            settings.copy_command,
            model,
            environment,
            self._root / f"container-{number}.log",
            start_seconds,
            groups=self._groups,
            number=number,
            links=self._root / f"adapters-{number}" if settings.update_path == "same" else None,
            engine=settings.engine_name,
            dialect=settings.container_dialect(environment),
            prefix_cache=settings.prefix_cache,
            slot_eviction=settings.slot_eviction,
            load_from_cpu_seconds=str(settings.load_from_cpu_seconds),
            load_from_disk_seconds=str(settings.load_from_disk_seconds),
        )

    def discard(self, directory: Path) -> None:
        """Release a directory that `fetch_model` or `fetch_adapter` returned; its removal happens later."""
        self._downloads.submit(self._discard, directory)

    def _discard(self, directory: Path) -> None:
        if not self._archives.release(directory):
            shutil.rmtree(directory, ignore_errors=True)

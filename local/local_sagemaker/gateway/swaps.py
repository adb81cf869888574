"""Swaps: other files under an adapter's name on some copies, which no API shows.

Reported of engines [V vllm #34186, #30931; T tgi #2505]: the base model, an earlier version or another
adapter answers, or one copy has lost the adapter. The next update of the adapter loads its own files again.
"""

from collections.abc import Iterable
from pathlib import Path

from local_sagemaker.control_plane.component import AdapterComponent
from local_sagemaker.control_plane.control_plane import SageMakerControlPlane
from local_sagemaker.errors import HostingError


async def swap(
    planes: Iterable[SageMakerControlPlane],
    *,
    swapped: str,
    directory: str | None = None,
    copies: int | None = None,
) -> None:
    """Load a directory under the name of an adapter, or unload the adapter, on the first copies of its base.

    copies is None for all. Raises ValueError if there is no such adapter, or if the files do not load.
    """
    if copies is not None and (type(copies) is not int or copies < 1):
        raise ValueError(f"'copies' should be at least 1, got {copies!r}")
    adapter = next(filter(None, (plane.components.find(swapped) for plane in planes)), None)
    if not isinstance(adapter, AdapterComponent) or adapter.registered_as is None:
        raise ValueError(f"'swapped' should be the name of an adapter in service, got {swapped!r}")
    async with adapter.base.lock:
        for copy in adapter.base.running_copies[:copies]:
            try:
                await copy.unregister(adapter.registered_as)
                if directory is not None:
                    await copy.register(adapter.registered_as, Path(directory))
            except HostingError as error:
                raise ValueError(str(error)) from error

"""The slow part of every write on an inference component: fetch, start, register, put back what failed."""

import asyncio
import logging
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker.capacity import place
from local_sagemaker.components import Component, State
from local_sagemaker.errors import HostingError
from local_sagemaker.hosting import Copy

if TYPE_CHECKING:
    from local_sagemaker.control_plane import ControlPlane
    from local_sagemaker.inference_components import InferenceComponents

_log = logging.getLogger(__name__)


class Deployments:
    """Brings what runs to what a component's specification says."""

    def __init__(self, plane: "ControlPlane", components: "InferenceComponents"):
        self._plane = plane
        self._components = components

    async def create(self, component: Component) -> None:
        """Take a new component to InService or Failed."""
        await self._plane.clock.sleep(self._plane.settings.value.component_create_seconds)
        work = self._create_base(component) if component.base is None else self._create_adapter(component)
        reason = await _failure(work)
        component.failure_reason = reason
        component.enter(State.CREATE_FAILED if reason else State.IN_SERVICE, self._plane.clock.now())

    async def update_adapter(self, component: Component, url: str) -> None:
        """Serve another archive; InService either way, with a FailureReason and the old one if it failed."""
        await self._plane.clock.sleep(self._plane.settings.value.component_update_seconds)
        self._finish_update(component, await _failure(self._replace_archive(component, url)))

    async def update_base(
        self, component: Component, specification: dict[str, Any] | None, copies: int | None
    ) -> None:
        """Roll to another specification, then to another number of copies; None leaves either as it is."""
        await self._plane.clock.sleep(self._plane.settings.value.component_update_seconds)
        self._finish_update(component, await _failure(self._change_base(component, specification, copies)))

    def _finish_update(self, component: Component, reason: str | None) -> None:
        if reason is not None or not self._plane.settings.value.failure_reason_stays:
            component.failure_reason = reason
        component.enter(State.IN_SERVICE, self._plane.clock.now())

    async def delete(self, component: Component, adapters: list[Component]) -> None:
        """Take a component down, its adapters first."""
        await self._plane.clock.sleep(self._plane.settings.value.component_delete_seconds)
        for adapter in adapters:
            await self._delete_adapter(adapter)
        if component.base is None:
            copies, component.copies = component.copies, []
            for copy in copies:
                await copy.stop()
            self._discard(component.directory)
            self._components.remove(component)
        else:
            await self._delete_adapter(component)

    async def _delete_adapter(self, adapter: Component) -> None:
        base = self._components.get(adapter.base or "")
        async with base.lock:
            if adapter.registered_as is not None:
                for copy in base.copies:
                    await _regardless(copy.unregister(adapter.registered_as))
            self._discard(adapter.directory)
            self._components.remove(adapter)

    # --- base components

    def _serving(self, component: Component, specification: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """The container definition of a base component, and the role that reads its model."""
        if "ModelName" in specification:
            model = self._plane.models.get(specification["ModelName"])
            return self._plane.models.container(specification["ModelName"]), model["ExecutionRoleArn"]
        return specification["Container"], self._plane.endpoints.get(component.endpoint).role

    def _place(self, component: Component, copies: int) -> list[int]:
        variant = self._plane.endpoints.get(component.endpoint).variant(component.variant)
        assert variant is not None  # an endpoint does not lose a variant that has components
        taken = self._components.reserved(component.endpoint, component.variant)
        return place(variant, component.accelerators_per_copy, copies=copies, taken=taken)

    async def _create_base(self, component: Component) -> None:
        component.placements = self._place(component, component.desired_copies)
        self._check_load(component)
        container, role = self._serving(component, component.specification)
        component.directory = await self._plane.hosting.fetch_model(container, role)
        component.environment = dict(container.get("Environment", {}))
        starts = [
            self._plane.hosting.start_copy(component.directory, component.environment)
            for _ in component.placements
        ]
        started = await asyncio.gather(*starts, return_exceptions=True)
        copies = [copy for copy in started if not isinstance(copy, BaseException)]
        for failure in started:
            if isinstance(failure, BaseException):
                for copy in copies:
                    await copy.stop(drain=False)
                raise failure
        component.copies = copies

    async def _change_base(
        self, component: Component, specification: dict[str, Any] | None, copies: int | None
    ) -> None:
        if specification is not None and specification != component.specification:
            await self._roll(component, specification)
        if copies is not None and copies != component.desired_copies:
            await self._scale(component, copies)

    async def _roll(self, component: Component, specification: dict[str, Any]) -> None:
        """Replace copy after copy; what was replaced is put back when one does not come up."""
        if self._plane.settings.value.base_update_room == "spare" and component.copies:
            self._place(component, 1)
        self._check_load(component)
        container, role = self._serving(component, specification)
        environment = dict(container.get("Environment", {}))
        directory = await self._plane.hosting.fetch_model(container, role)
        old = component.directory
        assert old is not None  # a component that is not Failed has its model
        done = 0
        try:
            for index in range(len(component.copies)):
                await self._swap(component, index, directory, environment)
                done += 1
        except HostingError:
            for index in range(done):
                await self._swap(component, index, old, component.environment)
            self._discard(directory)
            raise
        component.specification = specification
        component.directory, component.environment = directory, environment
        self._discard(old)

    async def _swap(self, component: Component, index: int, model: Path, environment: dict[str, str]) -> None:
        fresh = await self._plane.hosting.start_copy(model, environment)
        async with component.lock:
            await self._register_adapters(component, fresh)
            stale, component.copies[index] = component.copies[index], fresh
        await stale.stop()

    async def _scale(self, component: Component, copies: int) -> None:
        more = copies - len(component.copies)
        if more > 0:
            component.placements += self._place(component, more)
            assert component.directory is not None  # a component that is not Failed has its model
            try:
                for _ in range(more):
                    fresh = await self._plane.hosting.start_copy(component.directory, component.environment)
                    async with component.lock:
                        await self._register_adapters(component, fresh)
                        component.copies.append(fresh)
            except HostingError:
                del component.placements[len(component.copies) :]
                raise
        else:
            surplus = component.copies[copies:]
            del component.copies[copies:], component.placements[copies:]
            for copy in surplus:
                await copy.stop()
        component.desired_copies = copies

    async def _register_adapters(self, base: Component, copy: Copy) -> None:
        if self._plane.settings.value.adapters_on_new_copies == "lost":
            return
        try:
            for adapter in self._components.adapters_of(base):
                if adapter.registered_as is not None and adapter.directory is not None:
                    await copy.register(adapter.registered_as, adapter.directory)
        except HostingError:
            await copy.stop(drain=False)
            raise

    # --- adapters

    async def _fetch_adapter(self, component: Component, url: str) -> Path:
        self._check_load(component)
        role = self._plane.endpoints.get(component.endpoint).role
        return await self._plane.hosting.fetch_adapter(url, role)

    async def _create_adapter(self, component: Component) -> None:
        directory = await self._fetch_adapter(component, component.artifact_url)
        base = self._components.get(component.base or "")
        async with base.lock:
            try:
                await _register(base.copies, component.name, directory)
            except HostingError:
                self._discard(directory)
                raise
            component.directory, component.registered_as = directory, component.name

    async def _replace_archive(self, component: Component, url: str) -> None:
        mode = self._plane.settings.value.adapter_update
        if mode == "refused":
            raise HostingError("Update operation is not supported")
        directory = await self._fetch_adapter(component, url)
        base = self._components.get(component.base or "")
        try:
            if mode == "gapless":
                await self._switch(component, base, directory)
            else:
                await self._unload_and_load(component, base, directory)
        except HostingError:
            self._discard(directory)
            raise
        self._discard(component.directory)
        component.directory = directory
        component.specification["Container"]["ArtifactUrl"] = url

    async def _switch(self, component: Component, base: Component, directory: Path) -> None:
        component.generation += 1
        # A dot is in no component's name, so this is no other component.
        fresh, stale = f"{component.name}.{component.generation}", component.registered_as
        async with base.lock:
            await _register(base.copies, fresh, directory)
            component.registered_as = fresh
            if stale is not None:
                for copy in base.copies:
                    await _regardless(copy.unregister(stale))

    async def _unload_and_load(self, component: Component, base: Component, directory: Path) -> None:
        name, old = component.registered_as, component.directory
        assert name is not None and old is not None  # noqa: PT018 - an adapter that is not Failed has both
        async with base.lock:
            # A copy that joins in the meantime gets neither archive.
            component.directory = None
            for copy in base.copies:
                await _regardless(copy.unregister(name, drain=False))
        await self._plane.clock.sleep(self._plane.settings.value.update_gap_seconds)
        async with base.lock:
            component.directory = old
            try:
                await _register(base.copies, name, directory)
            except HostingError:
                await _register(base.copies, name, old)
                raise

    def _check_load(self, component: Component) -> None:
        reason = self._plane.traffic.load_fault(component.name)
        if reason is not None:
            raise HostingError(reason)

    def _discard(self, directory: Path | None) -> None:
        if directory is not None:
            self._plane.hosting.discard(directory)


async def _register(copies: list[Copy], name: str, directory: Path) -> None:
    """Register on every copy, or on none."""
    done: list[Copy] = []
    try:
        for copy in copies:
            await copy.register(name, directory)
            done.append(copy)
    except HostingError:
        for copy in done:
            await _regardless(copy.unregister(name, drain=False))
        raise


async def _regardless(work: Awaitable[None]) -> None:
    """Go on when a container has lost what is to be taken away, or is gone itself."""
    try:
        await work
    except HostingError as error:
        _log.warning("%s", error)


async def _failure(work: Awaitable[None]) -> str | None:
    """The FailureReason of work that failed, None when it did not."""
    try:
        await work
    except HostingError as error:
        return str(error)
    except Exception as error:
        _log.exception("a deployment failed")
        return f"InternalFailure: {error!r}"
    return None

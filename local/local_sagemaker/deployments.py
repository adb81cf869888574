"""The slow part of a write on an inference component: fetch, start, register; a failure changes nothing."""

import asyncio
import logging
from collections.abc import Awaitable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local_sagemaker.capacity import Placement, needed_accelerators, place
from local_sagemaker.components import Component, State
from local_sagemaker.errors import HostingError
from local_sagemaker.hosting import Copy

if TYPE_CHECKING:
    from local_sagemaker.control_plane import ControlPlane
    from local_sagemaker.inference_components import InferenceComponents

_log = logging.getLogger(__name__)

# [T] How long a container may take to pass its health check when nothing says otherwise: 8 minutes.
_START_SECONDS = 480
# [I] A copy that ends within a minute, three times in a row, is not replaced once more.
_STEADY_SECONDS = 60
_EARLY_ENDS = 3


class Deployments:
    """Brings what runs to what a component's specification says."""

    def __init__(self, plane: "ControlPlane", components: "InferenceComponents"):
        self._plane = plane
        self._components = components

    async def _take_time(self, component: Component, seconds: float) -> None:
        await self._plane.clock.sleep(seconds)
        await self._plane.traffic.released(component.name)

    async def create(self, component: Component) -> None:
        """Take a new component to InService or Failed."""
        await self._take_time(component, self._plane.settings.value.component_create_seconds)
        work = self._create_base(component) if component.base is None else self._create_adapter(component)
        reason = await _failure(work)
        component.failure_reason = reason
        component.enter(State.CREATE_FAILED if reason else State.IN_SERVICE, self._plane.clock.now())

    async def update_adapter(self, component: Component, url: str) -> None:
        """Serve another archive; InService either way, with a FailureReason and the old one if it failed."""
        await self._take_time(component, self._plane.settings.value.component_update_seconds)
        self._finish_update(component, await _failure(self._replace_archive(component, url)))

    async def update_base(
        self, component: Component, specification: dict[str, Any] | None, copies: int | None
    ) -> None:
        """Roll to another specification, then to another number of copies; None leaves either as it is."""
        await self._take_time(component, self._plane.settings.value.component_update_seconds)
        self._finish_update(component, await _failure(self._change_base(component, specification, copies)))

    def _finish_update(self, component: Component, reason: str | None) -> None:
        if reason is not None or not self._plane.settings.value.failure_reason_stays:
            component.failure_reason = reason
        component.enter(State.IN_SERVICE, self._plane.clock.now())

    async def delete(self, component: Component, adapters: list[Component]) -> None:
        """Take a component down, its adapters first; it goes, whatever its containers do."""
        await self._take_time(component, self._plane.settings.value.component_delete_seconds)
        for adapter in adapters:
            await self._delete_adapter(adapter)
        if component.base is None:
            async with component.rollout:
                await _failure(self._install(component, []))
            self._discard(component.directory)
            self._components.remove(component)
        else:
            await self._delete_adapter(component)

    async def _delete_adapter(self, adapter: Component) -> None:
        if adapter.registered_as is not None:
            await _failure(self._unregister(self._components.get(adapter.base or ""), adapter.registered_as))
        self._discard(adapter.directory)
        self._components.remove(adapter)

    # --- base components

    def _serving(self, component: Component, specification: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """The container definition of a base component, and the role that reads its model."""
        if "ModelName" in specification:
            model = self._plane.models.get(specification["ModelName"])
            return self._plane.models.container(specification["ModelName"]), model["ExecutionRoleArn"]
        return specification["Container"], self._plane.endpoints.get(component.endpoint).role

    def _variant(self, component: Component) -> dict[str, Any]:
        variant = self._plane.endpoints.get(component.endpoint).variant(component.variant)
        assert variant is not None  # an endpoint does not lose a variant that has components
        return variant

    def _place(
        self, component: Component, specification: dict[str, Any], copies: int, *, beside_own: bool = True
    ) -> list[Placement]:
        """Where more copies go, beside those that the component has or in their stead."""
        but = None if beside_own else component
        taken = self._components.reserved(component.endpoint, component.variant, but=but)
        return place(self._variant(component), needed_accelerators(specification), copies=copies, taken=taken)

    async def _create_base(self, component: Component) -> None:
        component.placements = self._place(component, component.specification, component.desired_copies)
        self._check_load(component)
        container, role = self._serving(component, component.specification)
        component.directory = await self._plane.hosting.fetch_model(container, role)
        component.environment = dict(container.get("Environment", {}))
        fresh = await self._start(
            component,
            component.specification,
            component.directory,
            component.environment,
            component.desired_copies,
        )
        await self._install(component, fresh)

    async def _change_base(
        self, component: Component, specification: dict[str, Any] | None, copies: int | None
    ) -> None:
        async with component.rollout:
            if specification is not None and specification != component.specification:
                await self._roll(
                    component, specification, component.desired_copies if copies is None else copies
                )
            elif copies is not None:
                await self._scale(component, copies)

    async def _roll(self, component: Component, specification: dict[str, Any], copies: int) -> None:
        """Put new copies in the place of all there are; those stay if not every new one comes up."""
        spare = self._plane.settings.value.base_update_room == "spare"
        reserved = component.placements
        placements = self._place(component, specification, copies, beside_own=spare)
        component.placements = [*reserved, *placements] if spare else placements
        directory = None
        try:
            self._check_load(component)
            container, role = self._serving(component, specification)
            environment = dict(container.get("Environment", {}))
            directory = await self._plane.hosting.fetch_model(container, role)
            fresh = await self._start(component, specification, directory, environment, copies)
            await self._install(component, fresh)
        except Exception:
            component.placements = reserved
            self._discard(directory)
            raise
        self._discard(component.directory)
        component.specification, component.desired_copies = specification, copies
        component.directory, component.environment = directory, environment
        component.placements = placements

    async def renew(self, component: Component) -> None:
        """Put new copies in the place of all there are; those stay if not every new one comes up."""
        async with component.rollout:
            if component.copies:
                await self._install(component, await self._start_more(component, len(component.copies)))

    async def _scale(self, component: Component, copies: int) -> None:
        there = len(component.copies)
        if copies > there:
            component.placements += self._place(component, component.specification, copies - there)
            try:
                fresh = await self._start_more(component, copies - there)
                await self._install(component, [*component.copies, *fresh])
            except HostingError:
                del component.placements[there:]
                raise
        else:
            # Those that have ended go first.
            stay = sorted(range(there), key=lambda index: not component.copies[index].running)[:copies]
            await self._install(component, [component.copies[index] for index in stay])
            component.placements = [component.placements[index] for index in stay]
        component.desired_copies = copies

    async def _start_more(self, component: Component, count: int) -> list[Copy]:
        assert component.directory is not None  # a component that is not Failed has its model
        return await self._start(
            component, component.specification, component.directory, component.environment, count
        )

    async def _start(
        self,
        component: Component,
        specification: dict[str, Any],
        model: Path,
        environment: dict[str, str],
        count: int,
    ) -> list[Copy]:
        """Start all of the copies, or leave none behind."""
        key = "ContainerStartupHealthCheckTimeoutInSeconds"
        of_variant = self._variant(component).get(key, _START_SECONDS)
        seconds = specification.get("StartupParameters", {}).get(key, of_variant)
        starts = [self._plane.hosting.start_copy(model, environment, seconds) for _ in range(count)]
        started = await asyncio.gather(*starts, return_exceptions=True)
        copies = [copy for copy in started if not isinstance(copy, BaseException)]
        for failure in started:
            if isinstance(failure, BaseException):
                await _stop(copies, drain=False)
                raise failure
        return copies

    async def _install(self, base: Component, copies: list[Copy], *, early_ends: int = 0) -> None:
        """Serve with these copies, which know the adapters by then; end those that are not among them."""
        fresh = [copy for copy in copies if copy not in base.copies]
        try:
            async with base.lock:
                for copy in fresh:
                    await self._register_adapters(base, copy)
                leaving = [copy for copy in base.copies if copy not in copies]
                base.copies = copies
        except Exception:
            await _stop(fresh, drain=False)
            raise
        for copy in fresh:
            self._plane.spawn(self._watch(base, copy, early_ends))
        await _stop(leaving)

    async def _watch(self, base: Component, copy: Copy, early_ends: int) -> None:
        """Replace a copy that ends by itself [I]; one that was taken away is none of the copies any more."""
        began = self._plane.clock.now()
        await copy.ended()
        early_ends = early_ends + 1 if self._plane.clock.now() - began < _STEADY_SECONDS else 0
        async with base.rollout:
            if copy not in base.copies:
                return
            _log.warning("a copy of %s ended", base.name)
            try:
                if early_ends >= _EARLY_ENDS:
                    raise HostingError("every replacement ended soon after its start")
                (fresh,) = await self._start_more(base, 1)
                copies = [fresh if other is copy else other for other in base.copies]
                await self._install(base, copies, early_ends=early_ends)
            except HostingError as error:
                base.failure_reason = f"A copy ended and was not replaced: {error}"
                del base.placements[base.copies.index(copy)]
                await self._install(base, [other for other in base.copies if other is not copy])

    async def _register_adapters(self, base: Component, copy: Copy) -> None:
        """Register what the other copies have; what fails is the adapter's to tell, not the copy's [I]."""
        if self._plane.settings.value.adapters_on_new_copies == "registered":
            for adapter in self._components.adapters_of(base):
                if adapter.registered_as is not None and adapter.directory is not None:
                    try:
                        await copy.register(adapter.registered_as, adapter.directory)
                    except HostingError as error:
                        if copy.running:
                            adapter.failure_reason = f"Not on every copy of {base.name}: {error}"
        if not copy.running:
            raise HostingError("The container ended before it was in service.")

    # --- adapters

    async def _fetch_adapter(self, component: Component, url: str) -> Path:
        self._check_load(component, url)
        role = self._plane.endpoints.get(component.endpoint).role
        return await self._plane.hosting.fetch_adapter(url, role)

    async def _create_adapter(self, component: Component) -> None:
        directory = await self._fetch_adapter(component, component.artifact_url)
        base = self._components.get(component.base or "")
        async with base.lock:
            try:
                await _register(base.running_copies, component.name, directory)
            except HostingError:
                self._discard(directory)
                raise
            component.directory, component.registered_as = directory, component.name

    async def _replace_archive(self, component: Component, url: str) -> None:
        mode = self._plane.settings.value.adapter_update
        if mode == "refused":
            raise HostingError("Update operation is not supported")
        directory = await self._fetch_adapter(component, url)
        base, old = self._components.get(component.base or ""), component.directory
        try:
            if mode == "gapless":
                await self._switch(component, base, directory)
            else:
                await self._unload_and_load(component, base, directory)
        except HostingError:
            self._discard(directory)
            raise
        self._discard(old)
        component.specification["Container"]["ArtifactUrl"] = url

    async def _switch(self, component: Component, base: Component, directory: Path) -> None:
        component.generation += 1
        # A dot is in no component's name, so this is no other component.
        fresh, stale = f"{component.name}.{component.generation}", component.registered_as
        async with base.lock:
            await _register(base.running_copies, fresh, directory)
            component.registered_as, component.directory = fresh, directory
        if stale is not None:
            await self._unregister(base, stale)

    async def _unload_and_load(self, component: Component, base: Component, directory: Path) -> None:
        name, old = component.registered_as, component.directory
        assert name is not None and old is not None  # noqa: PT018 - an adapter that is not Failed has both
        async with base.lock:
            # A copy that joins in the meantime gets neither archive.
            component.directory = None
            await _take_away(base.running_copies, name)
        await self._plane.clock.sleep(self._plane.settings.value.update_gap_seconds)
        async with base.lock:
            component.directory = old
            try:
                await _register(base.running_copies, name, directory)
            except HostingError:
                await _register(base.running_copies, name, old)
                raise
            component.directory = directory

    async def _unregister(self, base: Component, name: str) -> None:
        """Take a name that gets no new requests off every copy, after the requests in flight.

        The lock is not held meanwhile: one long request would hold up the writes on every other adapter.
        """
        await asyncio.gather(*(copy.drained(name) for copy in base.copies))
        async with base.lock:
            await _take_away(base.running_copies, name)

    def _check_load(self, component: Component, url: str | None = None) -> None:
        reason = self._plane.traffic.load_fault(component.name, url)
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
        await _take_away(done, name)
        raise


async def _take_away(copies: list[Copy], name: str) -> None:
    """Unregister, and go on when a container has lost the adapter, or is gone itself."""
    for copy in copies:
        try:
            await copy.unregister(name)
        except HostingError as error:
            _log.warning("%s", error)


async def _stop(copies: list[Copy], *, drain: bool = True) -> None:
    await asyncio.gather(*(copy.stop(drain=drain) for copy in copies))


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

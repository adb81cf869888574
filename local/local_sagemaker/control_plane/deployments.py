"""The slow part of a write on an inference component: fetch, start, register; a failure changes nothing."""

import asyncio
import logging
import math
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from local_sagemaker.control_plane.capacity import Placement, needed_resources, place_copies, room_beyond
from local_sagemaker.control_plane.component import AdapterComponent, BaseComponent, Component, State, base_of
from local_sagemaker.control_plane.component_store import ComponentStore
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.instance_counts import InstanceCounts
from local_sagemaker.control_plane.models import Models
from local_sagemaker.control_plane.ports import Copy
from local_sagemaker.control_plane.rolling_update import RollingUpdate
from local_sagemaker.errors import ApiError, HostingError

_log = logging.getLogger(__name__)

# [T] A container has 8 minutes to pass its health check unless a setting says otherwise.
_START_SECONDS = 480
# [I] A copy that ends within a minute of its start, three times in a row, is not replaced again.
_STEADY_SECONDS = 60
_EARLY_ENDS = 3
# How often alarms are looked at between two batches of an update.
_WATCH_SECONDS = 1.0


class Deployments:
    """Makes what runs match a component's specification."""

    def __init__(
        self, context: Context, models: Models, components: ComponentStore, instances: InstanceCounts
    ):
        self._context = context
        self._models = models
        self._components = components
        self._instances = instances

    async def _take_time(self, component: Component, seconds: float) -> None:
        await self._context.clock.sleep(seconds)
        await self._context.faults.released(component.name)

    async def create(self, component: Component) -> None:
        """Take a new component to InService or Failed."""
        await self._take_time(component, self._context.settings.value.component_create_seconds)
        work = (
            self._create_adapter(component)
            if isinstance(component, AdapterComponent)
            else self._create_base(base_of(component))
        )
        reason = await _failure(work)
        component.failure_reason = reason
        component.enter(State.CREATE_FAILED if reason else State.IN_SERVICE, self._context.clock.now())

    async def update_adapter(self, adapter: AdapterComponent, url: str) -> None:
        """Serve another archive. If that fails, the old one serves and FailureReason says why."""
        await self._take_time(adapter, self._context.settings.value.component_update_seconds)
        self._finish_update(adapter, await _failure(self._replace_archive(adapter, url)))

    async def update_base(
        self,
        base: BaseComponent,
        specification: dict[str, Any] | None,
        copies: int | None,
        *,
        specifications: list[dict[str, Any]] | None = None,
        deployment: dict[str, Any] | None = None,
    ) -> None:
        """Roll to another specification, then to another number of copies; None leaves either unchanged.

        specifications are all of them, if the specification is one of several. deployment is the request's
        DeploymentConfig.
        """
        await self._take_time(base, self._context.settings.value.component_update_seconds)
        # [I] As after a rollback: what is deployed already changes nothing, and explains no earlier failure.
        changes_nothing = specification == base.specification and copies in (None, len(base.running_copies))
        reason = await _failure(self._change_base(base, specification, copies, deployment))
        if reason is None and specification is not None:
            base.specifications = specifications
        # [I] After a failure, DesiredCopyCount is what it was before the update.
        base.requested_copies = base.desired_copies
        self._finish_update(base, base.failure_reason if changes_nothing and reason is None else reason)

    def _finish_update(self, component: Component, reason: str | None) -> None:
        if reason is not None or not self._context.settings.value.failure_reason_stays:
            component.failure_reason = reason
        component.enter(State.IN_SERVICE, self._context.clock.now())

    async def delete(self, component: Component, adapters: list[AdapterComponent]) -> None:
        """Delete a component after its adapters; failures of its containers are ignored."""
        await self._take_time(component, self._context.settings.value.component_delete_seconds)
        for adapter in adapters:
            await self._delete_adapter(adapter)
        if isinstance(component, AdapterComponent):
            await self._delete_adapter(component)
        else:
            base = base_of(component)
            async with base.rollout:
                await _failure(self._install(base, []))
            self._discard(base.directory)
            self._components.remove(base)

    async def _delete_adapter(self, adapter: AdapterComponent) -> None:
        if adapter.registered_as is not None:
            await _failure(self._unregister(adapter.base, adapter.registered_as))
        self._discard(adapter.directory)
        self._components.remove(adapter)

    # --- base components

    def _container(self, base: BaseComponent, specification: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """The container definition of a base component, and the role that reads its model."""
        if "ModelName" in specification:
            name = specification["ModelName"]
            try:
                return self._models.container(name), self._models.get(name)["ExecutionRoleArn"]
            except ApiError as error:
                # It was deleted, or is another one, since the request was accepted.
                raise HostingError(error.message) from error
        return specification["Container"], base.endpoint.role

    def _place(
        self, base: BaseComponent, specification: dict[str, Any], copies: int, *, beside_own: bool = True
    ) -> list[Placement]:
        """Place new copies beside the component's own copies, or in their place.

        The copies of failed components take room too [T].
        """
        taken = [
            placement
            for other in self._components.bases_on(base.endpoint, base.variant)
            if beside_own or other is not base
            for placement in other.placements
        ]
        return place_copies(
            base.production_variant,
            needed_resources(specification),
            copies=copies,
            taken=taken,
            kept=self._context.settings.value.instance_memory_kept,
        )

    async def _create_base(self, base: BaseComponent) -> None:
        base.placements = self._place(base, base.specification, base.desired_copies)
        self._check_load(base)
        container, role = self._container(base, base.specification)
        base.directory = await self._context.hosting.fetch_model(container, role)
        base.environment = dict(container.get("Environment", {}))
        fresh = await self._start(
            base, base.specification, base.directory, base.environment, base.desired_copies
        )
        await self._install(base, fresh)

    async def _change_base(
        self,
        base: BaseComponent,
        specification: dict[str, Any] | None,
        copies: int | None,
        deployment: dict[str, Any] | None,
    ) -> None:
        async with base.rollout:
            wanted = base.desired_copies if copies is None else copies
            if specification is not None and specification != base.specification:
                base.rolling = True
                try:
                    with self._instances.changing(base.endpoint):
                        await self._roll(base, specification, wanted, RollingUpdate.of(deployment, wanted))
                finally:
                    base.rolling = False
            else:
                # Even for the same number: a copy that ended may not have been replaced.
                await self._scale(base, wanted)

    async def _roll(
        self, base: BaseComponent, specification: dict[str, Any], copies: int, update: RollingUpdate
    ) -> None:
        """Replace the copies by new ones, batch by batch; if that fails, the old ones are brought back."""
        old, reserved = list(base.copies), list(base.placements)
        spare = self._context.settings.value.base_update_room == "spare"
        fresh: list[Copy] = []
        places: list[Placement] = []
        directory = None
        try:
            if not spare:
                # [V docs] What runs beside the old copies meanwhile is on newly provisioned capacity. Room is
                # kept for the old ones, which may come back, and for the new ones.
                places = self._place(base, specification, copies, beside_own=False)
                base.placements = [*reserved, *room_beyond(reserved, places)]
            self._check_load(base)
            container, role = self._container(base, specification)
            environment = dict(container.get("Environment", {}))
            directory = await self._context.hosting.fetch_model(container, role)
            end = self._end_of(update)
            while len(fresh) < copies:
                count = min(update.batch, copies - len(fresh))
                if spare:
                    places += self._place(base, specification, count)
                    base.placements = [*base.placements, *places[-count:]]
                fresh += await self._start(base, specification, directory, environment, count)
                staying = old[len(fresh) :] if len(fresh) < copies else []
                await self._install(base, [*staying, *fresh])
                if spare:
                    base.placements = [*reserved[len(old) - len(staying) :], *places]
                await self._bake(update, end)
            await self._install(base, fresh)
        except Exception:
            await self._roll_back(base, old, update)
            # If a copy did not come back, it is one of the first: they were replaced first.
            kept = sum(copy in old for copy in base.copies)
            base.placements = [*reserved[: len(base.copies) - kept], *reserved[len(old) - kept :]]
            self._discard(directory)
            raise
        self._discard(base.directory)
        base.specification, base.desired_copies = specification, copies
        base.directory, base.environment = directory, environment
        base.placements = places

    def _end_of(self, update: RollingUpdate) -> float:
        if update.timeout_seconds is None:
            return math.inf
        return self._context.clock.now() + update.timeout_seconds * self._context.settings.value.time_scale

    async def _bake(self, update: RollingUpdate, end: float) -> None:
        """Watch the alarms while a batch serves; HostingError if one rings or the update takes too long."""
        clock, scale = self._context.clock, self._context.settings.value.time_scale
        until = clock.now() + update.wait_seconds * scale
        while True:
            ringing = [name for name in update.alarms if self._context.telemetry.alarm_state(name) == "ALARM"]
            if ringing:
                # [I] No source has the words, nor those of the time limit.
                raise HostingError(f"The update was rolled back: alarms in ALARM: {', '.join(ringing)}")
            if clock.now() >= end:
                raise HostingError("The update was rolled back: it exceeded MaximumExecutionTimeoutInSeconds")
            if clock.now() >= until:
                return
            await clock.sleep(min(until - clock.now(), _WATCH_SECONDS * scale))

    async def _roll_back(self, base: BaseComponent, old: list[Copy], update: RollingUpdate) -> None:
        """Replace what an update has installed by copies of the old specification.

        [I] If one does not start, those that run stay.
        """
        kept = [copy for copy in old if copy in base.copies]
        if base.copies == kept:
            return
        base.enter(State.ROLLING_BACK, self._context.clock.now())
        fresh = [copy for copy in base.copies if copy not in old]
        restored: list[Copy] = []
        try:
            while len(kept) + len(restored) < len(old):
                count = min(update.rollback_batch, len(old) - len(kept) - len(restored))
                restored += await self._start_more(base, count)
                await self._install(base, [*restored, *kept, *fresh[len(restored) :]])
        except HostingError as error:
            _log.warning("%s has fewer copies than before its update: %s", base.name, error)
        await self._install(base, [*restored, *kept])

    async def renew(self, base: BaseComponent) -> None:
        """Replace all copies by new ones of the same specification; HostingError if one does not start."""
        async with base.rollout:
            if base.copies:
                await self._install(base, await self._start_more(base, len(base.copies)))

    async def _scale(self, base: BaseComponent, copies: int) -> None:
        present = len(base.copies)
        if copies > present:
            base.placements += self._place(base, base.specification, copies - present)
            try:
                fresh = await self._start_more(base, copies - present)
                await self._install(base, [*base.copies, *fresh])
            except HostingError:
                del base.placements[present:]
                raise
        else:
            # Copies that have ended are removed first.
            stay = sorted(range(present), key=lambda index: not base.copies[index].running)[:copies]
            await self._install(base, [base.copies[index] for index in stay])
            base.placements = [base.placements[index] for index in stay]
        base.desired_copies = copies

    async def _start_more(self, base: BaseComponent, count: int) -> list[Copy]:
        assert base.directory is not None  # a component that is not Failed has its model
        return await self._start(base, base.specification, base.directory, base.environment, count)

    async def _start(
        self,
        base: BaseComponent,
        specification: dict[str, Any],
        model: Path,
        environment: dict[str, str],
        count: int,
    ) -> list[Copy]:
        """Start new copies; if one fails, none stays."""
        key = "ContainerStartupHealthCheckTimeoutInSeconds"
        variant_seconds = base.production_variant.get(key, _START_SECONDS)
        seconds = specification.get("StartupParameters", {}).get(key, variant_seconds)
        await self._instances.provide(base)
        starts = [self._context.hosting.start_copy(model, environment, seconds) for _ in range(count)]
        started = await asyncio.gather(*starts, return_exceptions=True)
        copies = [copy for copy in started if not isinstance(copy, BaseException)]
        for failure in started:
            if isinstance(failure, BaseException):
                await _stop(copies, drain=False)
                raise failure
        return copies

    async def _install(self, base: BaseComponent, copies: list[Copy], *, early_ends: int = 0) -> None:
        """Serve with these copies, with the adapters registered on them, and end all other copies."""
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
            self._context.spawn(self._watch(base, copy, early_ends))
        await _stop(leaving)

    async def _watch(self, base: BaseComponent, copy: Copy, early_ends: int) -> None:
        """Replace a copy that ends by itself [I]; a copy that was removed is no longer among the copies."""
        began = self._context.clock.now()
        await copy.ended()
        early_ends = early_ends + 1 if self._context.clock.now() - began < _STEADY_SECONDS else 0
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

    async def _register_adapters(self, base: BaseComponent, copy: Copy) -> None:
        """Register the base's adapters on a new copy; a failure is the adapter's, not the copy's [I]."""
        if self._context.settings.value.adapters_on_new_copies == "registered":
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

    async def _fetch_adapter(self, adapter: AdapterComponent, url: str) -> Path:
        self._check_load(adapter)
        return await self._context.hosting.fetch_adapter(url, adapter.endpoint.role)

    async def _create_adapter(self, adapter: AdapterComponent) -> None:
        directory = await self._fetch_adapter(adapter, adapter.artifact_url)
        async with adapter.base.lock:
            try:
                await _register(adapter.base.running_copies, adapter.name, directory)
            except HostingError:
                self._discard(directory)
                raise
            adapter.directory, adapter.registered_as = directory, adapter.name

    async def _replace_archive(self, adapter: AdapterComponent, url: str) -> None:
        mode = self._context.settings.value.adapter_update
        if mode == "refused":
            raise HostingError("Update operation is not supported")
        directory, old = await self._fetch_adapter(adapter, url), adapter.directory
        try:
            if mode == "gapless":
                await self._switch(adapter, directory)
            else:
                await self._unload_and_load(adapter, directory)
        except HostingError:
            self._discard(directory)
            raise
        self._discard(old)
        adapter.specification["Container"]["ArtifactUrl"] = url

    async def _switch(self, adapter: AdapterComponent, directory: Path) -> None:
        """Register the new archive under a new name, then unregister the old name."""
        adapter.version += 1
        # No component's name has a dot, so no other component has this name.
        new, old = f"{adapter.name}.{adapter.version}", adapter.registered_as
        async with adapter.base.lock:
            await _register(adapter.base.running_copies, new, directory)
            adapter.registered_as, adapter.directory = new, directory
        if old is not None:
            await self._unregister(adapter.base, old)

    async def _unload_and_load(self, adapter: AdapterComponent, directory: Path) -> None:
        """Unregister the old archive, then register the new one under the same name: a gap."""
        base, name, old = adapter.base, adapter.registered_as, adapter.directory
        assert name is not None and old is not None  # noqa: PT018 - an adapter that is not Failed has both
        async with base.lock:
            # A copy that joins meanwhile gets neither archive.
            adapter.directory = None
            await _unregister_from(base.running_copies, name)
        await self._context.clock.sleep(self._context.settings.value.update_gap_seconds)
        async with base.lock:
            adapter.directory = old
            try:
                await _register(base.running_copies, name, directory)
            except HostingError:
                await _register(base.running_copies, name, old)
                raise
            adapter.directory = directory

    async def _unregister(self, base: BaseComponent, name: str) -> None:
        """Unregister a name from every copy, once the requests in progress have ended.

        The name gets no new requests. The lock is not held while waiting, since one long request would delay
        the writes on every other adapter.
        """
        await asyncio.gather(*(copy.drained(name) for copy in base.copies))
        async with base.lock:
            await _unregister_from(base.running_copies, name)

    def _check_load(self, component: Component) -> None:
        if component.name in self._context.faults.loads:
            raise HostingError(self._context.faults.loads[component.name])

    def _discard(self, directory: Path | None) -> None:
        if directory is not None:
            self._context.hosting.discard(directory)


async def _register(copies: list[Copy], name: str, directory: Path) -> None:
    """Register on every copy, or on none."""
    done: list[Copy] = []
    try:
        for copy in copies:
            await copy.register(name, directory)
            done.append(copy)
    except HostingError:
        await _unregister_from(done, name)
        raise


async def _unregister_from(copies: list[Copy], name: str) -> None:
    """Unregister a name; a container that does not answer is skipped with a warning."""
    for copy in copies:
        try:
            await copy.unregister(name)
        except HostingError as error:
            _log.warning("%s", error)


async def _stop(copies: list[Copy], *, drain: bool = True) -> None:
    await asyncio.gather(*(copy.stop(drain=drain) for copy in copies))


async def _failure(work: Awaitable[None]) -> str | None:
    """Run work and return its FailureReason, None if it succeeded."""
    try:
        await work
    except HostingError as error:
        return str(error)
    except Exception as error:
        _log.exception("a deployment failed")
        return f"InternalFailure: {error!r}"
    return None

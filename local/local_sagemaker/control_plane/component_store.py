"""All inference components of a control plane, and the look-ups that several operations share."""

from bisect import bisect_left, bisect_right, insort
from collections import deque
from collections.abc import Iterator

from local_sagemaker.control_plane.case_insensitive_dict import CaseInsensitiveDict
from local_sagemaker.control_plane.component import AdapterComponent, BaseComponent, Component
from local_sagemaker.control_plane.context import Context
from local_sagemaker.control_plane.endpoint_record import EndpointRecord
from local_sagemaker.control_plane.listings import Position
from local_sagemaker.control_plane.tags import Tags
from local_sagemaker.errors import MissingResourceError, validation_exception


class ComponentStore:
    """The components by name; deleted ones are kept as long as a listing may still show them."""

    def __init__(self, context: Context, tags: Tags):
        self._context = context
        self._tags = tags
        self._components: CaseInsensitiveDict[Component] = CaseInsensitiveDict()
        # With their ends, as long as listings that lag behind may show them.
        self._deleted: deque[tuple[float, Component]] = deque()
        # Those of both, sorted.
        self._by_creation: list[Component] = []

    def find(self, name: str) -> Component | None:
        """A component, None if there is none of that name."""
        return self._components.get(name)

    def get(self, name: str) -> Component:
        """A component; ValidationException if there is none of that name."""
        component = self.find(name)
        if component is None:
            arn = self._context.arn("inference-component", name)
            raise validation_exception(f'Could not find inference component "{arn}".', MissingResourceError)
        return component

    def add(self, component: Component, tags: list[dict[str, str]]) -> None:
        """Add a new component."""
        self._components[component.name] = component
        insort(self._by_creation, component, key=_position)
        self._tags.put(component.arn, tags)

    def remove(self, component: Component) -> None:
        """Remove a component that is deleted."""
        now = self._context.clock.now()
        del self._components[component.name]
        self._tags.drop(component.arn)
        component.vanish(now)
        lag = self._context.settings.value.listing_lag_seconds
        self._deleted.append((now, component))
        while self._deleted and self._deleted[0][0] <= now - lag:
            self._by_creation.remove(self._deleted.popleft()[1])

    def on_endpoint(self, endpoint: EndpointRecord) -> list[Component]:
        """The components on an endpoint."""
        return [component for component in self._components.values() if component.endpoint is endpoint]

    def bases_on(self, endpoint: EndpointRecord, variant: str) -> list[BaseComponent]:
        """The base components on a variant of an endpoint."""
        return [
            component
            for component in self.on_endpoint(endpoint)
            if isinstance(component, BaseComponent) and component.variant == variant
        ]

    def adapters_of(self, base: Component) -> list[AdapterComponent]:
        """The adapters of a base component."""
        return [
            component
            for component in self._components.values()
            if isinstance(component, AdapterComponent) and component.base is base
        ]

    def listed_at(
        self, moment: float, after: Position | None = None, *, descending: bool = False
    ) -> Iterator[tuple[Component, str, float]]:
        """Yield the components of a moment, each with its status and its last-modified time then.

        They come in the order of their creation. after is the creation time and the name of the one before.
        """
        order = self._by_creation
        if descending:
            end = len(order) if after is None else bisect_left(order, after, key=_position)
            places = range(end - 1, -1, -1)
        else:
            places = range(0 if after is None else bisect_right(order, after, key=_position), len(order))
        for component in map(order.__getitem__, places):
            component.forget_before(moment)
            seen = component.seen_at(moment)
            if seen is not None:
                yield component, *seen


def _position(component: Component) -> Position:
    return component.created, component.name

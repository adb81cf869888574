"""The tags of a fleet's components that come from the app."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import jsii
from aws_cdk import IStableAnyProducer, TagManager, TagType
from constructs import Construct

from adapter_fleet.common.validators import holds_token
from adapter_fleet.manifest.value_rules import problem_of_tag, problem_of_tag_count
from multi_adapter_inference.template.stack_location import stacks_of


class ComponentTags:
    """The tags of the stack, as a native resource has them, and those of `Tags.of(fleet)`.

    The fleet's function reads the stack's tags as well, as synth does not know those of `cdk deploy --tags`.
    The tags that synth knows are a property of the custom resource, so a change of them updates the fleet.

    of_adapters:
        The tags of each adapter in the manifest.
    """

    def __init__(self, fleet: Construct, of_adapters: Mapping[str, Mapping[str, str]]) -> None:
        self._fleet = fleet
        self._of_adapters = of_adapters
        self.manager = TagManager(TagType.MAP, "Custom::AdapterFleet")

    @property
    def inherited(self) -> dict[str, str]:
        """The tags that every component gets from the app."""
        found: dict[str, str] = {}
        for manager in self._stack_tags:
            found = {**manager.tag_values(), **found}
        return {**found, **self.manager.tag_values()}

    # Synth asks for the tags several times. What holds them never changes.
    @cached_property
    def _stack_tags(self) -> Sequence[TagManager]:
        """The tags of the fleet's stack, then those of the stack that this one is nested in."""
        return [stack.tags for stack in stacks_of(self._fleet)]

    def errors(self) -> list[str]:
        """Return what is wrong with the tags, once every aspect has run."""
        path, tags = self._fleet.node.path, self.inherited
        if wrong := [
            f"the tag {key!r:.80} of the fleet '{path}': {problem}"
            for key, value in tags.items()
            # A token may have a right value. A key that is known can be checked all the same.
            if not holds_token(key) and (problem := problem_of_tag(key, "" if holds_token(value) else value))
        ]:
            return wrong
        if problem := problem_of_tag_count({}, tags):
            return [f"the tags of the components of '{path}' {problem}"]
        return [
            f"the tags of adapter {name!r} of the fleet '{path}' {problem}"
            for name, own in self._of_adapters.items()
            if (problem := problem_of_tag_count(own, tags))
        ]


@jsii.implements(IStableAnyProducer)
class InheritedTags:
    """The property `Tags` of the custom resource, produced at the end of synth: aspects add tags."""

    def __init__(self, tags: ComponentTags) -> None:
        self._tags = tags

    def produce(self) -> dict[str, str] | None:
        """Return the tags."""
        return self._tags.inherited or None

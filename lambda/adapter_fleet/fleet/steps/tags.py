"""Steps that read or write tags. The fleet's tag says whose a component is."""

from collections.abc import Mapping
from dataclasses import replace

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.planning.context import tags_of
from adapter_fleet.fleet.planning.observe import adopt, is_own, may_be_claimed, with_tags
from adapter_fleet.fleet.state.components import ObservedComponent
from adapter_fleet.fleet.state.failures import Cause, cause_of
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.fleet.state.sagemaker_port import RefusedError, ServiceError
from adapter_fleet.fleet.steps.task import Done, NotSent, StepOutcome, StepTask, Strange

_TAGS_OF_AWS = "aws:"
"""Prefix of tags that nobody but AWS can remove."""


def read_tags(task: StepTask) -> StepOutcome:
    """Find out whose a component is."""
    return _with_tags(task, task.live, task.service.tags(task.record.component, task.live))


def claim(task: StepTask) -> StepOutcome:
    """Put the fleet's tag on an adapter that someone made by hand and ordered to import."""
    assert task.want is not None  # a claim waits for a manifest that wants the adapter
    live = task.service.describe(task.record.component)
    if live is None or live.created != task.live.created:
        # The listing lagged behind: another component has that name now.
        record = replace(task.record, live=live, absent_at=task.clock.now())
        return NotSent(record=record)
    task.record = replace(task.record, live=live)
    try:
        found = _with_tags(task, live, task.service.tags(task.record.component, live))
        # An order may name anything, and a fleet may have taken the component over since.
        if not may_be_claimed(found.record, live, task.context.target):
            return found
        # The stack would not know of changes, and would delete the component or fail at its next update.
        stack = task.service.stack_of(task.record.component, live)
    except RefusedError as error:
        return _not_tagged(task, str(error))
    if stack is not None:
        return replace(found, record=replace(found.record, other_stack=stack))
    # Saved before the tag is written: whichever pass finds the tag has to know that it was an import.
    task.save(replace(task.record, claimed=task.context.generation))
    tags = tags_of(task.want, task.context)
    task.check_lease()
    try:
        task.service.tag(task.record.component, live, {**tags, FLEET_TAG: task.uid})
    except RefusedError as error:
        return _not_tagged(task, str(error))
    # Earlier intents and failures are about another component of that name.
    return Done(record=adopt(replace(task.record, intent=None, failure=None), live, tags))


def retag(task: StepTask) -> StepOutcome:
    """Write the tags that are wanted, and remove those that are not."""
    live, want, before = task.live, task.want, task.record.tags
    assert want is not None  # only a wanted component has tags to write
    tags = tags_of(want, task.context)
    # Saved before any is written: whichever pass goes on has to know all tags that may be there. The fleet's
    # tag marks tags that are being written, as it is never among the wanted ones.
    task.save(replace(task.record, tags={**before, **tags, FLEET_TAG: task.uid}))
    removed = sorted(
        key for key in before.keys() - tags.keys() - {FLEET_TAG} if not key.startswith(_TAGS_OF_AWS)
    )
    try:
        if tags:
            task.check_lease()
            task.service.tag(task.record.component, live, tags)
        if removed:
            task.check_lease()
            task.service.untag(task.record.component, live, removed)
    except RefusedError as error:
        return foreign_after_all(task, task.record) or _not_tagged(task, str(error))
    return Done(record=replace(task.record, tags=tags, generation=task.context.generation))


def foreign_after_all(task: StepTask, record: AdapterRecord) -> StepOutcome | None:
    """Return the result of a write that was refused because the component is not the fleet's; else None."""
    live = record.live
    try:
        if live is None or is_own(task.service.tags(record.component, live), uid=task.uid):
            return None
    except ServiceError:
        return None
    # Described again first, as the creation time decides whose it is.
    return Done(record=replace(record, intent=None, owned=None, live=replace(live, doubtful=True)))


def _with_tags(task: StepTask, live: ObservedComponent, tags: Mapping[str, str]) -> StepOutcome:
    record = with_tags(task.record, live, tags, uid=task.uid, now=task.clock.now())
    if record.owned is None:
        return Strange(record=record, created=live.created)
    return Done(record=record)


def _not_tagged(task: StepTask, reason: str) -> StepOutcome:
    """Note that tags were refused, which is no fault of the artifact: it is retried."""
    assert task.want is not None  # only a wanted component has tags to write
    cause = cause_of(reason)
    return task.failure(task.want.artifact, reason, cause=cause if cause.retried else Cause.QUOTA)

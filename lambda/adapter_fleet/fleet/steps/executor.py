"""Takes one step of a plan: a few calls for one component. The other modules have the steps."""

from collections.abc import Callable
from dataclasses import replace

from botocore.exceptions import ClientError, HTTPClientError

from adapter_fleet.common.bounded_text import text_of
from adapter_fleet.fleet.planning.decide import Step
from adapter_fleet.fleet.planning.observe import with_description
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.rows.leased_table import LeaseLostError
from adapter_fleet.fleet.state.rows.record_rows import RecordTooLargeError
from adapter_fleet.fleet.state.sagemaker_port import (
    ConflictError,
    MissingError,
    RefusedError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.fleet.steps import archive_verification, probes, smoke_requests, tags, writes
from adapter_fleet.fleet.steps.task import CALL_SECONDS, Done, StepOutcome, StepTask, Stopped
from adapter_fleet.manifest.desired import Artifact

MAX_STEP_SECONDS = max(3 * CALL_SECONDS, smoke_requests.MAX_SMOKE_SECONDS, probes.MAX_PROBE_SECONDS)
"""The longest that a step may take: three calls, or the requests to an adapter.

The three calls are a look at the archive, a write, and a read of the tags after the write was refused.
"""


def execute(task: StepTask) -> StepOutcome:
    """Take the step. Its errors are in the result, except for those that end the pass.

    These are LeaseLostError, and what the registry raises if it does not answer, throttles or refuses.
    """
    result = _execute(task)
    if task.decision.step.asks:
        result.record = replace(result.record, asked_at=task.clock.now())
    return result


def _execute(task: StepTask) -> StepOutcome:
    try:
        return _STEPS[task.decision.step](task)
    except (ThrottledError, UnansweredError, ConflictError) as error:
        return Stopped(record=task.record, error=error)
    except MissingError as error:
        live = task.record.live
        if live is None:
            return Stopped(record=task.record, error=error, blocks=True)
        # Deleted meanwhile: the next step is a look.
        return Stopped(record=replace(task.record, live=replace(live, doubtful=True)), error=error)
    except RefusedError as error:
        return Stopped(record=task.record, error=error, blocks=True)
    except LeaseLostError:
        raise
    except RecordTooLargeError as error:
        return _unexpected(task, str(error), Cause.ARTIFACT)  # another attempt would be as large
    except Exception as error:  # One adapter must not stop the others.
        if _is_outage(error):
            raise
        return replace(_unexpected(task, text_of(error)), unexpected=error)


def _is_outage(error: Exception) -> bool:
    """Return True if the registry has the fault, and not the adapter: the service's errors are the port's."""
    if isinstance(error, ClientError):
        return "Validation" not in str(error)  # of an item of this adapter, also in a transaction
    return isinstance(error, HTTPClientError)


def _unexpected(task: StepTask, reason: str, cause: Cause = Cause.UNEXPECTED) -> StepOutcome:
    """Return the result of a step that ended with an unexpected exception before any write was sent."""
    record, step = task.record, task.decision.step
    if step.reads:
        return Stopped(record=record, error=RefusedError(reason))
    if step is Step.DELETE:
        return writes.not_deleted(task, reason)
    wanted = task.want.artifact if task.want is not None else None
    asked = record.serving if step.asks else None
    artifact = asked or task.decision.artifact or wanted or Artifact(uri="")
    return task.failure(artifact, reason, cause=cause)


def _look(task: StepTask) -> StepOutcome:
    live = task.service.describe(task.record.component)
    return Done(record=with_description(task.record, live, now=task.clock.now()))


_STEPS: dict[Step, Callable[[StepTask], StepOutcome]] = {
    Step.LOOK: _look,
    Step.READ_TAGS: tags.read_tags,
    Step.CLAIM: tags.claim,
    Step.RETAG: tags.retag,
    Step.CREATE: writes.write,
    Step.UPDATE: writes.write,
    Step.DELETE: writes.write,
    Step.SMOKE: smoke_requests.smoke,
    Step.PROBE: probes.probe,
    Step.ASK: smoke_requests.ask,
    Step.VERIFY: archive_verification.verify,
    Step.CONFIRM: archive_verification.confirm,
    Step.CHECK_ARCHIVE: archive_verification.check_serving,
}

"""Steps that send a request to an adapter: its smoke request, or any request after its base changed."""

from dataclasses import replace

from adapter_fleet.common.aws_errors import container_message, container_status, lacks_adapter, refuses_form
from adapter_fleet.fleet.state.failures import Cause, cause_of
from adapter_fleet.fleet.state.probe_check import ProbeCheck
from adapter_fleet.fleet.state.records import AdapterRecord, Recheck
from adapter_fleet.fleet.state.sagemaker_port import RefusedError, ServiceError, UnansweredError
from adapter_fleet.fleet.steps.task import Done, StepOutcome, StepTask
from adapter_fleet.manifest.desired import Artifact, SmokeRequest

ASK_SECONDS = 65.0
"""The longest that one request to an adapter may take, by the timeouts of the runtime's client."""

_SMOKE_ATTEMPTS = 3
_SMOKE_SECONDS = 15.0
_SMOKE_PAUSE_SECONDS = 1.0

MAX_SMOKE_SECONDS = _SMOKE_SECONDS + _SMOKE_PAUSE_SECONDS + ASK_SECONDS
"""The longest that all attempts of a smoke request take: the last begins when the others used their time."""

ANY_REQUEST = SmokeRequest.from_prompt("Hello", max_tokens=1)
"""The request for an adapter without a smoke request."""


def smoke(task: StepTask) -> StepOutcome:
    """Send the smoke request: a wrong answer is the adapter's failure."""
    record, want = task.record, task.want
    assert want is not None and want.smoke is not None  # noqa: PT018 - only such adapters have this step
    serving = serving_of(record)
    try:
        problem = _ask(task, want.smoke)
    except (UnansweredError, RefusedError) as error:
        return not_asked(task, error)
    if problem is None:
        record = _answered(record, want.smoke)
        if want.artifact.probe is None and want.smoke.prompt is not None:
            record = replace(record, probed=ProbeCheck(artifact=serving))
        return Done(record=record)
    reason = f"the smoke request failed: {problem}"
    return task.failure(serving, reason, cause=Cause.SMOKE, smoke=want.smoke.digest)


def ask(task: StepTask) -> StepOutcome:
    """Ask an adapter whether its base still has it; mark it to be sent again if not."""
    smoke = task.want.smoke if task.want is not None else None
    try:
        problem = _ask(task, smoke or ANY_REQUEST)
    except (UnansweredError, RefusedError) as error:
        return not_asked(task, error)
    if problem is None or (smoke is None and _refuses_body(problem)):
        return Done(record=_answered(task.record, smoke))
    check = task.record.probed
    if check is not None and check.resent and not lacks_adapter(problem):
        return Done(record=replace(task.record, recheck=None))  # its probe shows who answers
    sent_before = task.record.recheck is Recheck.SENT
    record = replace(task.record, recheck=Recheck.SEND)
    if not sent_before:
        return Done(record=record)
    reason = task.live.failure_reason or f"it does not answer: {problem}"
    return task.failure(serving_of(record), reason, record=record)


def _refuses_body(problem: str) -> bool:
    """Return True if a container that has the adapter refuses the body. [I] It may refuse any."""
    return refuses_form(container_status(problem), container_message(problem))


def _ask(task: StepTask, request: SmokeRequest) -> str | None:
    """Send a request, several times until the answer is right; return what is wrong with the last answer."""
    problem, began = None, task.clock.now()
    for attempt in range(_SMOKE_ATTEMPTS):
        if attempt and task.clock.now() - began > _SMOKE_SECONDS:
            break
        if attempt:
            task.clock.sleep(_SMOKE_PAUSE_SECONDS)
        problem = task.service.ask(task.record.component, task.context.target.endpoint, request)
        if problem is None:
            break
    return problem


def not_asked(task: StepTask, error: ServiceError, *, what: str = "the smoke request") -> StepOutcome:
    """Note that a request did not reach the adapter, which is no fault of its artifact: it is retried."""
    cause = cause_of(str(error))
    return task.failure(
        serving_of(task.record),
        f"{what} got no answer: {error}",
        cause=cause if cause.retried else Cause.CAPACITY,
    )


def _answered(record: AdapterRecord, smoke: SmokeRequest | None) -> AdapterRecord:
    """Return the record of an adapter that answered; `smoke` is the smoke request that it passed."""
    record = replace(record, recheck=None)
    if smoke is not None:
        record = replace(record, passed=record.serving, passed_smoke=smoke.digest)
    failure = record.failure
    if failure is None or not failure.artifact.same_as(record.serving):
        return record
    return replace(record, failure=None)


def serving_of(record: AdapterRecord) -> Artifact:
    """Return the artifact that serves."""
    assert record.serving is not None  # only an adapter that serves is asked
    return record.serving

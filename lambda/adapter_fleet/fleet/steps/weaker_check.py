"""The weaker check of who answers, for an adapter without a probe."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from adapter_fleet.common.aws_errors import lacks_adapter
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.probe_check import ProbeCheck, requests_for
from adapter_fleet.fleet.state.records import Recheck
from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapter_fleet.fleet.steps.smoke_requests import serving_of
from adapter_fleet.fleet.steps.task import Done, StepOutcome, StepTask
from adapter_fleet.manifest.desired import new_nonce, with_nonce
from adapter_fleet.serving.completions import Completion, PromptRequest

_SECONDS = 15.0
"""After this long, no further answers are compared."""

_COMPARED_CHARACTERS = 60
"""The beginning of an answer that stands for the whole."""

_CONFIRMED = 2
"""So many more answers that equal another's, each behind a nonce of its own, are no coincidence."""


def compare_answers(task: StepTask) -> StepOutcome:
    """Compare the adapter's answer to its smoke request with the base model's, and later with its own.

    This is weaker than a probe: an adapter may answer a prompt as its base model does, or in another way
    behind another nonce. Only one that answers as somebody else does, and once did not, is wrong.
    """
    record, serving, check = task.record, serving_of(task.record), task.record.probed
    smoke = task.want.smoke if task.want is not None else None
    prompt = None if smoke is None else smoke.prompt
    if check is None or check.rebased or not check.artifact.same_as(serving):
        check = ProbeCheck(artifact=serving)
    known, impostor, requests = check.answer, None, 2
    try:
        if smoke is not None and prompt is not None and known is None:
            own, base = _side_by_side(task, prompt, task.context.target.base, new_nonce())
            check = replace(check, like_base=own.text == base.text, answer=_beginning_of(own))
        elif smoke is not None and prompt is not None:
            impostor, requests = _impostor(task, prompt, known), requests_for(task.copies)
    except ServiceError as error:
        if known is not None and lacks_adapter(str(error)):
            record = replace(record, recheck=Recheck.SEND)
    ended = replace(check, ended=task.clock.now())
    if impostor is None or smoke is None:
        failure = record.failure
        if failure is not None and failure.cause is Cause.IDENTITY and failure.artifact.same_as(serving):
            failure = None
        checked = replace(record, probed=replace(ended, resent=False), failure=failure)
        return Done(record=checked, requests=requests)
    resend = Recheck.RESEND if task.repairs and not check.resent else record.recheck
    return task.failure(
        serving,
        f"the smoke request: {impostor} answers in its place; it answered otherwise before",
        cause=Cause.IDENTITY,
        smoke=smoke.digest,
        record=replace(record, probed=ended, recheck=resend),
    )


def _impostor(task: StepTask, prompt: PromptRequest, known: str | None) -> str | None:
    """Return who answers in the place of an adapter whose answer began otherwise; None for nobody known."""
    base = task.context.target.base
    for nonce in _nonces(task, requests_for(task.copies)):
        own = _asked(task, prompt, task.record.component, nonce)
        if _beginning_of(own) == known:
            continue
        other = task.answers.get(_beginning_of(own))
        if _asked(task, prompt, base, nonce).text == own.text and _answers_as(task, prompt, base):
            return "the base model"
        if other is not None and other in task.wanted and _answers_as(task, prompt, other):
            return f"adapter '{task.wanted[other].name}'"
    return None


def _answers_as(task: StepTask, prompt: PromptRequest, other: str) -> bool:
    """Return True if an adapter and another component give the same answers, at least on one copy."""
    equal = 0
    for nonce in _nonces(task, _CONFIRMED + requests_for(task.copies)):
        own, others = _side_by_side(task, prompt, other, nonce)
        equal += own.text == others.text
        if equal == _CONFIRMED:
            return True
    return False


def _nonces(task: StepTask, count: int) -> Iterator[str]:
    """Yield nonces while there is time for another request."""
    began = task.clock.now()
    for _ in range(count):
        yield new_nonce()
        if task.stop() or task.clock.now() - began > _SECONDS:
            return


def _side_by_side(
    task: StepTask, prompt: PromptRequest, other: str, nonce: str
) -> tuple[Completion, Completion]:
    return _asked(task, prompt, task.record.component, nonce), _asked(task, prompt, other, nonce)


def _asked(task: StepTask, prompt: PromptRequest, component: str, nonce: str) -> Completion:
    asked = replace(prompt, prompt=with_nonce(prompt.prompt, nonce))
    return task.service.complete(component, task.context.target.endpoint, asked)


def _beginning_of(answer: Completion) -> str:
    beginning = answer.text.strip()[:_COMPARED_CHARACTERS]
    return hashlib.sha256(beginning.encode()).hexdigest()[:16]

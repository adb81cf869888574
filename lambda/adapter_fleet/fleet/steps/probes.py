"""Steps that find out who answers for an adapter.

Engines answer with the base model, an earlier version or another adapter without an error, and a copy may
have lost an adapter that others have. Only the declared version answers its probe as recorded.
docs/adr/0019-probes.md says what is compared, and why.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from adapter_fleet.common.aws_errors import lacks_adapter
from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.counts import noun_of
from adapter_fleet.fleet.planning.settle import probe_of
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.probe_check import ProbeCheck, requests_for
from adapter_fleet.fleet.state.records import AdapterRecord, Recheck
from adapter_fleet.fleet.state.sagemaker_port import (
    ModelFailedError,
    RefusedError,
    ServiceError,
    ThrottledError,
    UnansweredError,
)
from adapter_fleet.fleet.steps.smoke_requests import ASK_SECONDS, not_asked, serving_of
from adapter_fleet.fleet.steps.task import Done, StepOutcome, StepTask, Stopped
from adapter_fleet.manifest.desired import Artifact, Probe, new_nonce, with_nonce
from adapter_fleet.serving.completions import Completion, PromptRequest

_SERIES_SECONDS = 30.0
"""After this long, a step ends and the next one goes on with the series."""

_PAUSE_SECONDS = 1.0
"""Before the second series: the first may have come before every copy had loaded the adapter."""

_MAX_ERRORS = 3
"""Errors and lost answers of one step after which the container counts as not answering."""

MAX_PROBE_SECONDS = _PAUSE_SECONDS + _SERIES_SECONDS + 2 * ASK_SECONDS
"""The longest that a step takes: the last request of a series, and then one to the base model."""

_SHOWN_CHARACTERS = 60


@dataclass
class _Series:
    """The answers of one step.

    check:
        The check with these answers.
    wrong:
        The nonce and the answer of each request that another answered; None where a copy has no such adapter.
    sent, answered:
        How many requests were sent, and whether any had an answer.
    error:
        The last error. A throttle ends the step.
    """

    check: ProbeCheck
    wrong: list[tuple[str, Completion | None]] = field(default_factory=list)
    sent: int = 0
    answered: bool = False
    error: ServiceError | None = None

    def add(self, nonce: str, answer: Completion | None, probe: Probe) -> None:
        """Note an answer."""
        self.answered = True
        if answer is not None and answer.begins_with(probe.answer):
            self.check = replace(self.check, right=self.check.right + 1)
        else:
            self.check = replace(self.check, wrong=self.check.wrong + 1)
            self.wrong.append((nonce, answer))

    @property
    def is_decided(self) -> bool:
        """True if no more requests are needed. A failure needs a wrong answer to show."""
        check = self.check
        if not check.suspected and self.wrong:
            return True
        return check.is_complete or (check.is_wrong and bool(self.wrong))


def probe(task: StepTask) -> StepOutcome:
    """Ask the probe as often as the copies need it. A whole copy that answers wrongly is a failure."""
    check, serving = task.record.probed, serving_of(task.record)
    assert task.want is not None  # only wanted adapters are asked
    wanted = probe_of(serving, task.want)
    if wanted is None:
        return _weaker(task)
    if check is None or not check.is_of(serving, wanted):
        check = ProbeCheck(artifact=serving, probe=wanted.digest)
    if not check.asked:
        check = replace(check, copies=task.copies)
        if check.suspected:
            task.clock.sleep(_PAUSE_SECONDS)
    series = _Series(check)
    try:
        _ask(task, wanted, series)
    except (ModelFailedError, UnansweredError, RefusedError) as error:
        return replace(not_asked(task, error, what="the probe"), requests=series.sent)
    return replace(_result(task, wanted, series), requests=series.sent)


def _result(task: StepTask, probe: Probe, series: _Series) -> StepOutcome:
    """Return what the answers of a step mean."""
    check = series.check
    if check.is_wrong and series.wrong:
        return _failed(task, probe, series)
    if series.wrong and not check.suspected:
        check = replace(check.begin_again(), suspected=True)
    record = _right(task, check)
    if isinstance(series.error, ThrottledError):
        return Stopped(record=record, error=series.error)
    return Done(record=record)


def _ask(task: StepTask, probe: Probe, series: _Series) -> None:
    """Send the requests that are left of a series, as far as there is time.

    A first series ends with its first wrong answer. A second one goes on, to tell whether any copy is right.
    """
    began, errors = task.clock.now(), 0
    while not series.is_decided:
        late = task.stop() or task.clock.now() - began > _SERIES_SECONDS
        if series.sent and late:
            break
        nonce = new_nonce()
        series.sent += 1
        try:
            series.add(nonce, _answer(task, probe, nonce), probe)
        except ThrottledError as error:
            series.error = error
            break  # the next step goes on
        except (ModelFailedError, UnansweredError) as error:
            series.error = error
            errors += 1
            if errors == _MAX_ERRORS:
                raise
    if series.error is not None and not series.answered:
        raise series.error


def _answer(task: StepTask, probe: Probe, nonce: str) -> Completion | None:
    """Return the answer to the probe; None if the copy does not have the adapter."""
    try:
        return task.service.complete(
            task.record.component, task.context.target.endpoint, probe.request(nonce)
        )
    except ModelFailedError as error:
        if not lacks_adapter(str(error)):
            raise
        return None


def _right(task: StepTask, check: ProbeCheck) -> AdapterRecord:
    """Return the record of an adapter that is not wrong. The end of the series ends a failure, too."""
    record = task.record
    if not check.is_complete:
        return replace(record, probed=check)
    failure = record.failure
    if failure is not None and failure.artifact.same_as(record.serving):
        failure = None
    ended = replace(
        check, wrong=0, suspected=False, resent=False, lacked=False, rebased=False, ended=task.clock.now()
    )
    return replace(record, probed=ended, failure=failure)


def _failed(task: StepTask, probe: Probe, series: _Series) -> StepOutcome:
    """Return the failure of an adapter for which another answers; its artifact may be sent again, once."""
    serving, check = serving_of(task.record), series.check
    reason = f"the probe: {_culprit(task, probe, series)}"
    lacked = not check.right and all(answer is None for _, answer in series.wrong)
    again = _is_sent_again(task, check, lacked=lacked)
    record = replace(
        task.record,
        probed=replace(check.begin_again(), lacked=lacked),
        recheck=Recheck.RESEND if again else task.record.recheck,
    )
    return task.failure(serving, reason, cause=Cause.IDENTITY, probe=probe.digest, record=record)


def _is_sent_again(task: StepTask, check: ProbeCheck, *, lacked: bool) -> bool:
    """Return True if the artifact is sent again: the probe was right before, or is right on other copies.

    A probe that was never right may be wrong itself: a new one for a version that serves already, or an old
    one after the base model changed. Such a probe causes no write. Nor does one whose artifact was sent again
    already, unless the copies that were sent it are gone: the present ones lack it, and those did not.
    """
    if not task.repairs or (check.resent and (check.lacked or not lacked)):
        return False
    if check.ended is None:
        return check.right > 0 and not serving_of(task.record).same_as(task.record.last_good)
    return check.right > 0 or not check.rebased


def _culprit(task: StepTask, probe: Probe, series: _Series) -> str:
    """Return who answered instead, on how many requests, and what."""
    nonce, answer = next(((nonce, found) for nonce, found in series.wrong if found is not None), ("", None))
    if answer is None:
        text = "a copy of the base model does not have the adapter"
    else:
        who = _who(task, probe, nonce, answer) or "another model answers in its place, or the probe is wrong"
        got = short_repr(answer.text.strip()[:_SHOWN_CHARACTERS])
        text = f"{who}, as it should begin with {short_repr(probe.answer[:_SHOWN_CHARACTERS])}, got {got}"
    if series.check.right:
        text = f"not every copy of the base model has it: {text}"
    return f"{text} ({series.check.wrong} of {series.check.asked} {noun_of(series.check.asked, 'answer')})"


def _who(task: StepTask, probe: Probe, nonce: str, answer: Completion) -> str | None:
    """Return who gives an answer that is not the adapter's own; None if nobody is known to."""
    for who, artifact in _others(task):
        other = artifact.probe
        if other is not None and other.prompt == probe.prompt and answer.begins_with(other.answer):
            return f"{who} answers in its place"
    try:
        base = task.service.complete(
            task.context.target.base, task.context.target.endpoint, probe.request(nonce)
        )
    except ServiceError:
        return None
    return "the base model answers in its place" if base.text == answer.text else None


def _others(task: StepTask) -> Iterator[tuple[str, Artifact]]:
    """Yield the versions and adapters whose probes are known: earlier versions of its own first."""
    serving = serving_of(task.record)
    for version in task.record.versions:
        if not version.same_version_as(serving):
            yield f"its version {version.version}", version
    for component, other in task.wanted.items():
        if component != task.record.component and not other.artifact.same_version_as(serving):
            yield f"adapter '{other.name}'", other.artifact


# --- the weaker check

_CONFIRMED = 2
"""So many more answers that equal another's, each behind a nonce of its own, are no coincidence."""


def _weaker(task: StepTask) -> StepOutcome:
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
        if task.stop() or task.clock.now() - began > _SERIES_SECONDS / 2:
            return


def _side_by_side(
    task: StepTask, prompt: PromptRequest, other: str, nonce: str
) -> tuple[Completion, Completion]:
    return _asked(task, prompt, task.record.component, nonce), _asked(task, prompt, other, nonce)


def _asked(task: StepTask, prompt: PromptRequest, component: str, nonce: str) -> Completion:
    asked = replace(prompt, prompt=with_nonce(prompt.prompt, nonce))
    return task.service.complete(component, task.context.target.endpoint, asked)


def _beginning_of(answer: Completion) -> str:
    beginning = answer.text.strip()[:_SHOWN_CHARACTERS]
    return hashlib.sha256(beginning.encode()).hexdigest()[:16]

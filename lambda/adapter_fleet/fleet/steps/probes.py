"""Steps that find out who answers for an adapter.

Engines answer with the base model, an earlier version or another adapter without an error, and a copy may
have lost an adapter that others have. Only the declared version answers its probe as recorded.
docs/adr/0019-probes.md says what is compared, and why.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from adapter_fleet.common.aws_errors import lacks_adapter
from adapter_fleet.common.bounded_text import short_repr
from adapter_fleet.common.counts import noun_of
from adapter_fleet.fleet.planning.proof import probe_of
from adapter_fleet.fleet.state.failures import Cause
from adapter_fleet.fleet.state.probe_check import ProbeCheck
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
from adapter_fleet.fleet.steps.weaker_check import compare_answers
from adapter_fleet.manifest.desired import Artifact, Probe, new_nonce
from adapter_fleet.serving.completions import Completion

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
        return compare_answers(task)
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

"""Steps that find out who answers for an adapter.

Engines answer with the base model, an earlier version or another adapter without an error, and a copy may
have lost an adapter that others have. Only the declared version answers its probe as recorded.
docs/adr/0019-probes.md says what is compared, and with what chance a wrong copy is missed.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

from adapter_fleet.common.bounded_text import short_repr
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
from adapter_fleet.fleet.steps.smoke_requests import ASK_SECONDS, UNKNOWN_ADAPTER, not_asked, serving_of
from adapter_fleet.fleet.steps.task import StepResult, StepTask
from adapter_fleet.manifest.desired import Artifact, Probe, new_nonce, with_nonce
from adapter_fleet.serving.completions import Completion

_SERIES_SECONDS = 30.0
"""After this long, a step ends and the next one goes on with the series."""

_FEWEST_REQUESTS = 3
"""Of a second series: one wrong answer may be that of an unlucky nonce."""

_PAUSE_SECONDS = 1.0
"""Before the second series: the first may have come before every copy had loaded the adapter."""

_NONCE_REQUESTS = 3
"""How often a prompt with a wrong answer is sent again at least, to see whether the copies agree on it."""

_MAX_ERRORS = 3
"""Errors of one step after which the container counts as not answering."""

MAX_PROBE_SECONDS = _PAUSE_SECONDS + _SERIES_SECONDS + 2 * ASK_SECONDS
"""The longest that a step takes: the last request of a series, and then one to the base model."""

_SHOWN_CHARACTERS = 60


@dataclass
class _Series:
    """The answers of one step.

    wrong:
        The nonce and the answer of each request that another answered; None where a copy has no such adapter.
    """

    right: int = 0
    wrong: list[tuple[str, Completion | None]] = field(default_factory=list)

    @property
    def asked(self) -> int:
        """How many requests had an answer."""
        return self.right + len(self.wrong)

    def add(self, nonce: str, answer: Completion | None, probe: Probe) -> None:
        """Note an answer."""
        if answer is not None and answer.begins_with(probe.answer):
            self.right += 1
        else:
            self.wrong.append((nonce, answer))


def probe(task: StepTask) -> StepResult:
    """Ask the probe as often as the copies need it. A wrong answer that comes again is a failure."""
    record, check, serving = task.record, task.record.probed, serving_of(task.record)
    assert task.want is not None  # only wanted adapters are asked
    wanted = task.want.artifact.probe
    if wanted is None:
        return StepResult(record=_compared_with_base(task))
    if check is None or not check.is_of(serving, wanted):
        check = ProbeCheck(artifact=serving, probe=wanted.digest)
    if check.right == 0:
        check = replace(check, copies=task.copies)
    if check.suspected:
        task.clock.sleep(_PAUSE_SECONDS)
    began = task.clock.now()
    try:
        series = _ask(task, wanted, check)
        # If the copies agree, nobody else answers: the text in front changed the adapter's own answer.
        agreed = check.suspected and _is_of_nonces(task, wanted, check, series, until=began + _SERIES_SECONDS)
    except (ModelFailedError, UnansweredError, RefusedError) as error:
        return not_asked(task, error, what="the probe")
    if agreed or not series.wrong:
        check = replace(check, right=check.right + series.asked)
        return StepResult(record=_right(task, check))
    if not check.suspected:
        again = replace(check, right=0, suspected=True)
        return StepResult(record=replace(record, probed=again))
    return _failed(task, wanted, check, series)


def _ask(task: StepTask, probe: Probe, check: ProbeCheck) -> _Series:
    """Send the requests that are left of a series, as far as there is time.

    A first series ends with its first wrong answer. A second one goes on, to tell whether any copy is right.
    """
    series, began, errors = _Series(), task.clock.now(), 0
    wanted = requests_for(check.copies)
    if check.suspected:
        wanted = max(wanted, _FEWEST_REQUESTS)
    while check.right + series.asked < wanted:
        late = task.stop() or task.clock.now() - began > _SERIES_SECONDS
        if series.asked and (late or (series.wrong and not check.suspected)):
            break
        nonce = new_nonce()
        try:
            series.add(nonce, _answer(task, probe, nonce), probe)
        except ThrottledError:
            if not series.asked:
                raise
            break  # the next step goes on
        except ModelFailedError:
            errors += 1
            if errors == _MAX_ERRORS:
                raise
    return series


def _is_of_nonces(task: StepTask, probe: Probe, check: ProbeCheck, series: _Series, *, until: float) -> bool:
    """Return True if an adapter that is right elsewhere gives its wrong answers on every copy.

    A nonce may change an answer. It does so on each copy alike, while a copy that has another adapter differs
    from those that have the right one.
    """
    if check.right + series.right == 0:
        return False
    for nonce, _ in series.wrong:
        for _ in range(max(_NONCE_REQUESTS, requests_for(check.copies))):
            if task.clock.now() > until:
                return False
            again = _answer(task, probe, nonce)
            if again is None or again.begins_with(probe.answer):
                return False
    return True


def _answer(task: StepTask, probe: Probe, nonce: str) -> Completion | None:
    """Return the answer to the probe; None if the copy does not have the adapter."""
    try:
        return task.service.complete(task.record.component, task.context.endpoint, probe.request(nonce))
    except ModelFailedError as error:
        if UNKNOWN_ADAPTER.search(str(error)) is None:
            raise
        return None


def _right(task: StepTask, check: ProbeCheck) -> AdapterRecord:
    """Return the record after right answers alone. The end of the series ends a failure, too."""
    record = task.record
    if not check.is_complete:
        return replace(record, probed=check)
    failure = record.failure
    if failure is not None and failure.artifact.same_as(record.serving):
        failure = None
    ended = replace(check, suspected=False, resent=False, ended=task.clock.now())
    return replace(record, probed=ended, failure=failure)


def _failed(task: StepTask, probe: Probe, check: ProbeCheck, series: _Series) -> StepResult:
    """Return the failure of an adapter for which another answers.

    Its artifact is sent again once if it was right before, or is right on other copies.
    """
    serving = serving_of(task.record)
    reason = f"the probe: {_culprit(task, probe, series)}"
    good = serving.same_as(task.record.last_good)
    mended = task.repairs and not check.resent and (good or series.right > 0 or check.right > 0)
    task.record = replace(
        task.record,
        probed=check.begin_again(),
        recheck=Recheck.RESEND if mended else task.record.recheck,
    )
    result = task.failure(serving, reason, cause=Cause.IDENTITY, probe=probe.digest)
    return replace(result)


def _culprit(task: StepTask, probe: Probe, series: _Series) -> str:
    """Return who answered instead, on how many requests, and what."""
    nonce, answer = next(((nonce, found) for nonce, found in series.wrong if found is not None), ("", None))
    if answer is None:
        text = "a copy of the base model does not have the adapter"
    else:
        who = _who(task, probe, nonce, answer) or "another model answers in its place"
        got = short_repr(answer.text.strip()[:_SHOWN_CHARACTERS])
        text = f"{who}, as it should begin with {short_repr(probe.answer[:_SHOWN_CHARACTERS])}, got {got}"
    if series.right:
        text = f"not every copy of the base model has it: {text}"
    return f"{text} ({len(series.wrong)} of {series.asked} answers)"


def _who(task: StepTask, probe: Probe, nonce: str, answer: Completion) -> str | None:
    """Return who gives an answer that is not the adapter's own; None if nobody is known to."""
    for who, artifact in _others(task):
        other = artifact.probe
        if other is not None and other.prompt == probe.prompt and answer.begins_with(other.answer):
            return f"{who} answers in its place"
    try:
        base = task.service.complete(task.context.base, task.context.endpoint, probe.request(nonce))
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


def _compared_with_base(task: StepTask) -> AdapterRecord:
    """Return the record after a comparison of the adapter's and the base model's answer to the smoke request.

    This is weaker than a probe: an adapter may answer a prompt as its base model does, so equal answers are
    no failure. An error is none either.
    """
    record, smoke = task.record, task.want.smoke if task.want is not None else None
    prompt = None if smoke is None else smoke.prompt
    like_base = None
    if prompt is not None:
        asked = replace(prompt, prompt=with_nonce(prompt.prompt, new_nonce()))
        with suppress(ServiceError):
            own, base = (
                task.service.complete(component, task.context.endpoint, asked)
                for component in (record.component, task.context.base)
            )
            like_base = own.text == base.text
    check = ProbeCheck(artifact=serving_of(record), like_base=like_base, ended=task.clock.now())
    return replace(record, probed=check)

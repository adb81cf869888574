"""The steps of publishing after an upload: the probe and the evaluation of each version."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapter_fleet.manifest.desired import Artifact
from adapters_cli.artifacts.declared_adapters import DeclaredAdapters
from adapters_cli.artifacts.evaluation_gate import EvaluationGate
from adapters_cli.artifacts.probes import ProbeFinder, is_entry_of, probe_of
from adapters_cli.artifacts.publisher import FAILURES, PublishResult, PublishState
from adapters_cli.output.errors import CommandError, error_text
from adapters_cli.output.exit_codes import INTERRUPTED
from adapters_cli.output.text import few, print_note


def probed(
    results: Sequence[PublishResult], finder: ProbeFinder | None, declared: DeclaredAdapters
) -> tuple[list[PublishResult], int | None]:
    """Return the results with their probes, and the exit code of a signal that ended the search.

    Those that were not reached then count as failed, so that the manifest keeps their entries.
    """
    done: list[PublishResult] = []
    code = None
    try:
        for result in results:
            done.append(with_probe(result, finder, declared))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as end:  # a signal while a temporary component was there
        code = end.code if isinstance(end.code, int) else INTERRUPTED
    return [*done, *map(_interrupted, results[len(done) :])], code


def _interrupted(result: PublishResult) -> PublishResult:
    if result.state is PublishState.FAILED:
        return result
    return replace(result, state=PublishState.FAILED, reasons=("it was interrupted before its turn ended",))


def with_probe(
    result: PublishResult, finder: ProbeFinder | None, declared: DeclaredAdapters
) -> PublishResult:
    """Return the result with the adapter's probe, or as failed if the probe is wrong or cannot be found."""
    if result.uri is None or result.state is PublishState.FAILED:
        return result
    entry = declared.entry(result.name)
    artifact = Artifact(uri=result.uri, digest=result.identity, checksum=result.checksum)
    try:
        probe = probe_of(result.name, Path(result.path), artifact, entry, finder)
    except (CommandError, ServiceError) as error:
        return replace(result, state=PublishState.FAILED, reasons=(error_text(error),))
    if probe is None and entry is not None and entry.probe is not None and not is_entry_of(artifact, entry):
        print_note(
            f"{result.name}: the manifest keeps the probe of its earlier version, which was not verified"
            " for this one and cannot tell the two apart"
        )
    return replace(result, probe=probe)


def with_evaluation(
    result: PublishResult,
    gate: EvaluationGate,
    declared: DeclaredAdapters,
    answering: Mapping[str, str | None],
    *,
    dry_run: bool,
) -> PublishResult:
    """Return the result with the adapter's evaluation, or as failed if it did not pass.

    It follows the version that answers most callers, as the routes of a fleet say (`answering`), or else the
    one that the manifest names. A dry run stores no evaluation, and returns the result as it is if the
    evaluation passed.
    """
    if result.uri is None or result.identity is None or result.state is PublishState.FAILED:
        return result
    entry = declared.entry(result.name)
    try:
        last, recorded = (None, None) if entry is None else (entry.known_digest, entry.evaluation)
        last = answering.get(result.name) or last
        if dry_run:
            gate.passed(result.identity, last)
            return result
        record = gate.admit(result.identity, result.uri, last, recorded)
    except FAILURES as error:
        reasons = tuple(error_text(error).splitlines())
        return replace(result, state=PublishState.FAILED, reasons=reasons)
    return replace(result, evaluation=record)


def note_lost_evaluations(results: Sequence[PublishResult], declared: DeclaredAdapters) -> None:
    """Say which entries lose the evaluation of their earlier version."""
    lost = [
        result.name
        for result in results
        if not result.reasons
        and result.evaluation is None
        and (entry := declared.entry(result.name)) is not None
        and entry.evaluation is not None
        and entry.known_digest != result.identity
    ]
    if lost:
        print_note(f"not evaluated, so that the manifest drops that of the earlier version: {few(lost)}")

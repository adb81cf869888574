"""`adapters publish`: check adapters of this machine, upload them to S3, and declare them in a manifest."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.filesize import decimal

from adapter_fleet.common.counts import counted
from adapter_fleet.common.findings import shortened
from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapter_fleet.manifest.desired import Artifact
from adapter_fleet.manifest.manifest import (
    LocalArtifact,
    Manifest,
    ManifestAdapter,
    S3Artifact,
)
from adapter_fleet.serving.base_model import BaseModelFacts
from adapters_cli.artifacts.local_adapters import LocalAdapter, local_adapters, print_leftovers
from adapters_cli.artifacts.publish_cache import PublishCache
from adapters_cli.aws.account import Account, account_of
from adapters_cli.fleets.base_place import base_place, rank_limit_of_manifest
from adapters_cli.manifests.edit import PublishedAdapter, edited
from adapters_cli.manifests.editable_manifest import EditableManifest
from adapters_cli.models.serving_limits import ServingLimits
from adapters_cli.output.errors import CommandError, UsageError, error_text, option_errors
from adapters_cli.output.exit_codes import INTERRUPTED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import few, print_error, print_note

if TYPE_CHECKING:
    from adapters_cli.artifacts.archive_store import ArchiveStore
    from adapters_cli.artifacts.evaluation_gate import EvaluationGate
    from adapters_cli.artifacts.probes import ProbeFinder
    from adapters_cli.artifacts.publisher import Candidate, PublishResult

_JOBS = 8
"""Adapters at the same time."""

_HEADINGS = ("ADAPTER", "STATE", "IDENTITY", "RANK", "SIZE", "WHY")

EXAMPLES = """
# Check, upload and declare one adapter.
adapters publish out/acme s3://my-adapters/prod --manifest adapters.yaml

# Show which adapters of a folder are new.
adapters publish out s3://my-adapters/prod --dry-run

# Upload what the manifest names on this machine.
adapters publish s3://my-adapters/prod --manifest adapters.yaml
"""


def publish(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            default_factory=list,
            help="Directories, archives (.tar.gz), or folders of such; else those that the manifest has on"
            " this machine.",
            show_default=False,
        ),
    ],
    destination: Annotated[
        str, typer.Argument(metavar="S3://BUCKET/PREFIX", help="Bucket and prefix of the archives.")
    ],
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest", metavar="FILE|S3://…", help="Manifest that declares them; created if needed."
        ),
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option(
            "--base-model", metavar="NAME", help="Their base model; overrides their own configurations."
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of a single adapter; else that of its directory."),
    ] = None,
    probe_on: Annotated[
        str | None,
        typer.Option(
            "--probe-on",
            metavar="BASE|STACK",
            help="Base component, or a fleet's stack: find or verify the probes there.",
        ),
    ] = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(
            "--evaluation",
            metavar="FILE",
            help="result.json of 'adapters evaluate', for the manifest to record. Repeatable.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Write nothing, and run no adapter; show what is new.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check adapters, upload those that are not in S3 yet, and write or update a manifest of them.

    Each goes to PREFIX/NAME/sha256-IDENTITY.tar.gz and is never replaced there. After an interruption, the
    next run continues where this one stopped. Everything else in the manifest stays as it is.

    A probe is a prompt and what this adapter answers, and the base model does not. The fleet asks it, and so
    knows that nobody else answers in the adapter's place. It is in the file `probe.json` beside the weights,
    or found with --probe-on, which runs each adapter there for a moment.

    With --evaluation, the result of each version is stored beside its archive, and the manifest records it. A
    version that missed a requirement, or that no result is about, is not named in the manifest.

    Ends with 1 if an adapter failed. The others are published, and the manifest keeps its entry of the failed
    one.
    """
    # Imported here: the compressor takes long to import, and other commands do without.
    from adapters_cli.artifacts.archive_store import ArchiveStore
    from adapters_cli.artifacts.publisher import PublishState

    if base_model is not None and not base_model.strip():
        raise UsageError(f"'--base-model' should be a name, got {base_model!r}")
    account = account_of(context)
    finder = None if probe_on is None else _probe_finder(account, probe_on, manifest=manifest)
    gate = _gate(account, evaluation or (), manifest=manifest)
    rank = None if manifest is None else rank_limit_of_manifest(account, manifest)
    limits = ServingLimits.of_options(account, max_lora_rank=rank)
    store = ArchiveStore(account.s3, destination)
    declared = None if manifest is None else _Declared(manifest, account, base_model)
    adapters = local_adapters(paths, name=name) if paths else _of_manifest(declared, name)
    if declared is not None and not dry_run:
        declared.manifest.try_to_write()
    results, sent = _upload(adapters, store, declared, limits, base_model=base_model, dry_run=dry_run)
    code = None
    if declared is not None:
        if finder is None or dry_run:
            results = [_with_probe(result, None, declared) for result in results]
        else:
            results, code = _each(results, partial(_with_probe, finder=finder, declared=declared))
        if gate is not None:
            results = [_with_evaluation(result, gate, declared, dry_run=dry_run) for result in results]
        if not dry_run:
            _note_lost_evaluations(results, declared)
    for result in results:
        for reason in result.reasons:
            print_error(f"{result.name}: {reason}")
    changed = False
    try:
        if declared is not None and not dry_run:
            changed = declared.update(results)
    finally:
        # Also if the manifest cannot be written: the archives are in S3 by now.
        _print(results, declared, sent, changed=changed, as_json=as_json)
    raise typer.Exit(code or int(any(result.state is PublishState.FAILED for result in results)))


def _each(
    results: Sequence["PublishResult"], step: Callable[["PublishResult"], "PublishResult"]
) -> tuple[list["PublishResult"], int | None]:
    """Take a step with each adapter. Return the results, and the exit code of a signal that ended it.

    Those that were not reached then count as failed, so that the manifest keeps their entries.
    """
    done: list[PublishResult] = []
    code = None
    try:
        for result in results:
            done.append(step(result))
    except KeyboardInterrupt:
        code = INTERRUPTED
    except SystemExit as end:  # a signal while a temporary component was there
        code = end.code if isinstance(end.code, int) else INTERRUPTED
    return [*done, *map(_interrupted, results[len(done) :])], code


def _interrupted(result: "PublishResult") -> "PublishResult":
    from adapters_cli.artifacts.publisher import PublishState

    if result.state is PublishState.FAILED:
        return result
    return replace(result, state=PublishState.FAILED, reasons=("it was interrupted before its turn ended",))


def _upload(
    adapters: Sequence[LocalAdapter],
    store: "ArchiveStore",
    declared: "_Declared | None",
    limits: ServingLimits,
    *,
    base_model: str | None,
    dry_run: bool,
) -> tuple[list["PublishResult"], str]:
    """Check and upload adapters; return the results, and how much was sent at which speed."""
    from adapters_cli.artifacts.publisher import Publisher, check_adapter
    from adapters_cli.output.progress_bars import TransferBars, rate

    base = base_model if declared is None else declared.base_model
    # One call lists a thousand archives: enough for ten versions of each of a hundred adapters.
    listing = store.listed(pages=1 + len(adapters) // 100)
    with TransferBars(len(adapters)) as bars:
        publisher = Publisher(store, listing, PublishCache.of_user(), bars, jobs=_JOBS, dry_run=dry_run)
        candidates = publisher.map(lambda adapter: check_adapter(adapter, limits, base, base_model), adapters)
        if declared is not None:
            declared.rehearse(candidates, store)
        results = publisher.map(publisher.publish, candidates)
        sent = rate(bars.sent, bars.seconds) if bars.sent else ""
    for candidate in candidates:
        for warning in candidate.warnings:
            print_note(warning)
    print_leftovers(adapter.path for adapter in adapters)
    return results, sent


def _probe_finder(account: Account, target: str, *, manifest: str | None) -> "ProbeFinder":
    from adapters_cli.artifacts.probes import ProbeFinder

    if manifest is None:
        raise UsageError("a probe is recorded in a manifest; give one with --manifest")
    place = base_place(account, target, option="--probe-on")
    return ProbeFinder(account=account, endpoint=place.endpoint, base=place.base)


def _gate(account: Account, results: Sequence[Path], *, manifest: str | None) -> "EvaluationGate | None":
    from adapters_cli.artifacts.evaluation_gate import EvaluationGate

    if not results:
        return None
    if manifest is None:
        raise UsageError("an evaluation is recorded in a manifest; give one with --manifest")
    with option_errors():
        return EvaluationGate.of(results, account.s3)


def _with_probe(
    result: "PublishResult", finder: "ProbeFinder | None", declared: "_Declared"
) -> "PublishResult":
    """Return the result with the adapter's probe, or as failed if the probe is wrong or cannot be found."""
    from adapters_cli.artifacts.probes import is_entry_of, probe_of
    from adapters_cli.artifacts.publisher import PublishState

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


def _with_evaluation(
    result: "PublishResult", gate: "EvaluationGate", declared: "_Declared", *, dry_run: bool
) -> "PublishResult":
    """Return the result with the adapter's evaluation, or as failed if it did not pass.

    A dry run stores no evaluation, and returns the result as it is if the evaluation passed.
    """
    from adapters_cli.artifacts.publisher import FAILURES, PublishState

    if result.uri is None or result.identity is None or result.state is PublishState.FAILED:
        return result
    entry = declared.entry(result.name)
    try:
        last, recorded = (None, None) if entry is None else (entry.known_digest, entry.evaluation)
        if dry_run:
            gate.passed(result.identity, last)
            return result
        record = gate.admit(result.identity, result.uri, last, recorded)
    except FAILURES as error:
        reasons = tuple(error_text(error).splitlines())
        return replace(result, state=PublishState.FAILED, reasons=reasons)
    return replace(result, evaluation=record)


def _note_lost_evaluations(results: Sequence["PublishResult"], declared: "_Declared") -> None:
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


def _of_manifest(declared: "_Declared | None", name: str | None) -> list[LocalAdapter]:
    """Return the adapters that a manifest has on this machine. Raises CommandError if there are none."""
    if name is not None:
        raise UsageError("--name is for a path that is given")
    if declared is None:
        raise CommandError("there is nothing to publish; give paths, or a manifest that has some")
    found = [
        LocalAdapter(name=adapter.name, path=adapter.artifact.path)
        for adapter in declared.before.adapters
        if isinstance(adapter.artifact, LocalArtifact)
    ]
    if not found:
        raise CommandError("there is nothing to publish: the manifest has no adapter on this machine")
    return found


class _Declared:
    """The manifest that declares the published adapters.

    base_model:
        The base model of the option or of the manifest; None before the adapters are checked if neither
        gives it.
    """

    def __init__(self, where: str, account: Account, base_model: str | None) -> None:
        self.manifest = EditableManifest.of(where, account)
        self.before = self.manifest.parsed()
        self.base_model = self._base_model(base_model)

    def _base_model(self, given: str | None) -> str | None:
        """Return the given base model or else the manifest's. Raises CommandError if they differ."""
        present = self.before.base_model
        if present is None or given is None or BaseModelFacts(name=present).is_named(given):
            return given or present
        raise CommandError(
            f"{self.manifest.where}: base_model: should be {given!r} ('--base-model'), got {present!r}"
        )

    def entry(self, name: str) -> ManifestAdapter | None:
        """Return the entry of an adapter before it is published; None if it has none."""
        entries = self.before.adapters
        return next((entry for entry in entries if entry.name.casefold() == name.casefold()), None)

    def rehearse(self, candidates: Sequence["Candidate"], store: "ArchiveStore") -> None:
        """Edit the manifest in memory, so that its mistakes are reported before the upload.

        Most identities are unknown yet, so made-up ones stand for them. Adapters that the manifest has in
        this place already are left out: they may stay as they are.
        """
        if self.base_model is None:
            self.base_model = _common_base_model(candidates)
        known = {
            adapter.artifact.uri.rpartition("/")[0]
            for adapter in self.before.adapters
            if isinstance(adapter.artifact, S3Artifact)
        }
        identity = "0" * 64
        adapters = [
            PublishedAdapter(
                name=candidate.adapter.name,
                uri=store.uri(store.key(candidate.adapter.name, identity)),
                identity=identity,
                checksum=f"sha256:{identity}",
                rank=candidate.rank,
            )
            for candidate in candidates
            if candidate.rank is not None
        ]
        if adapters:
            new = [adapter for adapter in adapters if adapter.uri.rpartition("/")[0] not in known]
            self._edited(self.manifest.read(), new)

    def update(self, results: Sequence["PublishResult"]) -> bool:
        """Declare what is in S3 by now; return True if that changes the manifest. Prints its warnings.

        Raises CommandError if the manifest names another version by now than the one that the evaluation of
        an adapter was compared with.
        """
        adapters = [
            PublishedAdapter(
                name=result.name,
                uri=result.uri,
                identity=result.identity,
                checksum=result.checksum,
                rank=result.rank,
                probe=result.probe,
                evaluation=result.evaluation,
            )
            for result in results
            if not result.reasons
            and result.uri is not None
            and result.identity is not None
            and result.rank is not None
        ]

        def change(text: bytes) -> bytes:
            self._check_unchanged(text, [adapter.name for adapter in adapters if adapter.evaluation])
            return self._edited(text, adapters)

        if not adapters or not self.manifest.update(change):
            return False
        for warning in shortened(self.manifest.parsed().warnings()):
            print_note(str(warning))
        return True

    def _check_unchanged(self, text: bytes, names: Sequence[str]) -> None:
        manifest = Manifest.parse(text, where=self.manifest.where, folder=self.manifest.folder)
        now = {entry.name.casefold(): entry.known_digest for entry in manifest.adapters}
        before = {entry.name.casefold(): entry.known_digest for entry in self.before.adapters}
        changed = [name for name in names if now.get(name.casefold()) != before.get(name.casefold())]
        if changed:
            raise CommandError(
                f"{self.manifest.where}: it names another version of {few(changed)} by now, which was not"
                " compared; run this again"
            )

    def _edited(self, text: bytes, adapters: Sequence[PublishedAdapter]) -> bytes:
        return edited(
            text,
            adapters,
            base_model=self.base_model,
            where=self.manifest.where,
            folder=self.manifest.folder,
        )


def _common_base_model(candidates: Sequence["Candidate"]) -> str | None:
    """Return the base model of all adapters. Raises CommandError if there are several."""
    names: dict[str, list[str]] = {}
    for candidate in candidates:
        if (base := candidate.base_model) is not None:
            same = next((other for other in names if BaseModelFacts(name=other).is_named(base)), base)
            names.setdefault(same, []).append(candidate.adapter.name)
    if len(names) > 1:
        lines = [f"{base!r}: {few(adapters)}" for base, adapters in names.items()]
        raise CommandError(
            "\n".join(
                [
                    "a manifest is for one base model, and the adapters were trained for several; publish"
                    " those of each to a manifest of its own, or give --base-model if it is the same one:",
                    *lines,
                ]
            )
        )
    return next(iter(names), None)


def _print(
    results: Sequence["PublishResult"],
    declared: _Declared | None,
    sent: str,
    *,
    changed: bool,
    as_json: bool,
) -> None:
    """Print the result and the totals."""
    where = None if declared is None else declared.manifest.where
    document = {
        "adapters": [asdict(result) for result in results],
        "manifest": None if where is None else {"where": where, "changed": changed},
    }
    table = RowTable(headings=_HEADINGS, rows=[*map(_row, results)], styled=1)
    print_result(document, table, as_json=as_json)
    if as_json:
        return
    counts = Counter(result.state for result in results)
    parts = [f"{counts[state]} {state}" for state in sorted(counts, reverse=True)]
    text = f"{counted(len(results), 'adapter')}: {', '.join(parts)}{sent and f'; {sent} sent'}"
    if where is not None:
        text += f"; {where} {'updated' if changed else 'unchanged'}"
    print_note(text)


def _row(result: "PublishResult") -> tuple[str, ...]:
    more = len(result.reasons) - 1
    why = result.reasons[0] + (f" (and {more} more)" if more > 0 else "") if result.reasons else ""
    return (
        result.name,
        result.state,
        result.identity[:12] if result.identity else "-",
        str(result.rank or "-"),
        _size(result.size),
        why,
    )


def _size(size: int | None) -> str:
    """Return a size with a unit on a terminal, else in bytes."""
    if size is None:
        return "-"
    return decimal(size) if sys.stdout.isatty() else str(size)

"""`adapters publish`: check adapters of this machine, upload them to S3, and declare them in a manifest."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from adapter_fleet.common.counts import counted
from adapter_fleet.common.s3_uri import SCHEME
from adapters_cli.artifacts.local_adapters import LocalAdapter, local_adapters
from adapters_cli.aws.account import Account, account_of
from adapters_cli.fleets.base_component import base_place
from adapters_cli.fleets.fleet_lookup import fleet_of_manifest, newest_generation
from adapters_cli.models.options import ServingLimits, check_model_name
from adapters_cli.output.errors import CommandError, UsageError, option_errors
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import print_error, print_note

if TYPE_CHECKING:
    from adapters_cli.artifacts.archive_store import ArchiveStore
    from adapters_cli.artifacts.declared_adapters import DeclaredAdapters
    from adapters_cli.artifacts.evaluation_gate import EvaluationGate
    from adapters_cli.artifacts.probes import ProbeFinder
    from adapters_cli.artifacts.publisher import PublishResult

_JOBS = 8
"""Adapters at the same time."""

_HEADINGS = ("ADAPTER", "STATE", "IDENTITY", "RANK", "SIZE", "WHY")

EXAMPLES = """
# Check, upload and declare one adapter.
adapters publish out/acme s3://my-adapters/prod --manifest adapters.yaml

# Upload what the manifest names on this machine.
adapters publish s3://my-adapters/prod --manifest adapters.yaml

# Give prod the versions that dev has proven.
adapters publish dev.yaml s3://my-adapters/prod --manifest prod.yaml
"""


def publish(
    context: typer.Context,
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="PATH",
            default_factory=list,
            help="Directories, archives (.tar.gz), or folders of such; or the manifest (.yaml, .json) of"
            " another environment; else those that the manifest has on this machine.",
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
        typer.Option(
            "--name",
            metavar="NAME",
            help="Name of a single adapter, or the one of a manifest to take.",
        ),
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
    percent: Annotated[
        int | None,
        typer.Option(
            "--percent",
            metavar="N",
            min=1,
            max=100,
            help="Share of the callers whom a new version answers, in a fleet with releases.",
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

    A probe is a prompt and an answer that only this adapter gives. It is in the file `probe.json` beside the
    weights, or found with --probe-on, which runs each adapter there for a moment.

    With --evaluation, the manifest records the result of each version. It does not name a version that missed
    a requirement or has no result.

    From a manifest, each archive is copied as it is, with its probe and its evaluation. A digest that the
    bucket has already is not copied again.

    Ends with 1 if an adapter failed. The others are published, and the manifest keeps its entry of the failed
    one.
    """
    # Imported here: the compressor takes long to import, and other commands do without.
    from adapters_cli.artifacts.archive_store import ArchiveStore
    from adapters_cli.artifacts.declared_adapters import DeclaredAdapters
    from adapters_cli.artifacts.manifest_source import ManifestSource, is_manifest
    from adapters_cli.artifacts.publish_steps import note_lost_evaluations, with_evaluation
    from adapters_cli.artifacts.publisher import PublishState

    check_model_name(base_model)
    _check_words(paths, destination)
    if percent is not None and manifest is None:
        raise UsageError("a share is recorded in a manifest; give one with --manifest")
    account = account_of(context)
    finder = None if probe_on is None else _probe_finder(account, probe_on, paths, manifest=manifest)
    gate = _gate(account, evaluation or (), manifest=manifest)
    fleet = None if manifest is None else fleet_of_manifest(account, manifest)
    rank = None if fleet is None else newest_generation(fleet).request.target.settings.max_lora_rank
    limits = ServingLimits.of_options(account, max_lora_rank=rank)
    store = ArchiveStore(account.s3, destination)
    declared = None if manifest is None else DeclaredAdapters(manifest, account, base_model)
    if declared is not None and not dry_run:
        declared.manifest.try_to_write()
    if is_manifest(paths):
        known = base_model if declared is None else declared.base_model
        source = ManifestSource.of(paths[0], name, account, store=store, limits=limits, base_model=known)
        results, sent, code = source.publish(declared, dry_run=dry_run), "", None
    else:
        adapters = local_adapters(paths, name=name) if paths else _named_by(declared, name)
        results, sent, code = _of_this_machine(
            adapters, store, limits, declared, base_model, finder, dry_run=dry_run
        )
    if declared is not None:
        if gate is not None:
            routes = {} if fleet is None else fleet.registry.routes.read().routes
            last = {name: route.live.artifact.digest for name, route in routes.items()}
            results = [with_evaluation(one, gate, declared, last, dry_run=dry_run) for one in results]
        if not dry_run:
            note_lost_evaluations(results, declared)
    for result in results:
        for reason in result.reasons:
            print_error(f"{result.name}: {reason}")
    changed = None if dry_run else False
    try:
        if declared is not None and not dry_run:
            changed = declared.update(results, percent)
    finally:
        # Also if the manifest cannot be written: the archives are in S3 by now.
        _print(results, declared, sent, changed=changed, as_json=as_json)
    raise typer.Exit(code or int(any(result.state is PublishState.FAILED for result in results)))


def _of_this_machine(
    adapters: Sequence[LocalAdapter],
    store: "ArchiveStore",
    limits: ServingLimits,
    declared: "DeclaredAdapters | None",
    base_model: str | None,
    finder: "ProbeFinder | None",
    *,
    dry_run: bool,
) -> tuple[list["PublishResult"], str, int | None]:
    """Publish adapters; return the results, what was sent, and the exit code of a signal that ended it."""
    from adapters_cli.artifacts.publish_steps import probed
    from adapters_cli.artifacts.publisher import publish_all

    results, sent = publish_all(
        store,
        # One call lists a thousand archives: enough for ten versions of each of a hundred adapters.
        store.listed(pages=1 + len(adapters) // 100),
        adapters,
        limits,
        base_model if declared is None else declared.base_model,
        base_model,
        checked=None if declared is None else partial(declared.rehearse, store=store),
        jobs=_JOBS,
        dry_run=dry_run,
    )
    if declared is None:
        return results, sent, None
    results, code = probed(results, None if dry_run else finder, declared)
    return results, sent, code


def _check_words(paths: Sequence[Path], destination: str) -> None:
    if paths and str(paths[0]).startswith("s3:/") and not destination.startswith(SCHEME):
        last = str(paths[0]).replace("s3:/", SCHEME)  # pathlib makes one slash of two
        words = " ".join(map(str, (*paths[1:], destination, last)))
        raise UsageError(f"the destination comes last: adapters publish {words}")


def _probe_finder(
    account: Account, target: str, paths: Sequence[Path], *, manifest: str | None
) -> "ProbeFinder":
    from adapters_cli.artifacts.manifest_source import is_manifest
    from adapters_cli.artifacts.probes import ProbeFinder

    if is_manifest(paths):
        raise UsageError("--probe-on is for adapters of this machine; a manifest has their probes")
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


def _named_by(declared: "DeclaredAdapters | None", name: str | None) -> list[LocalAdapter]:
    if name is not None:
        raise UsageError("--name is for a path that is given")
    if declared is None:
        raise CommandError("there is nothing to publish; give paths, or a manifest that has some")
    return declared.on_this_machine()


def _print(
    results: Sequence["PublishResult"],
    declared: "DeclaredAdapters | None",
    sent: str,
    *,
    changed: bool | None,
    as_json: bool,
) -> None:
    """Print the result and the totals.

    changed:
        Whether the manifest was written; None if it was not to be.
    """
    where = None if declared is None else declared.manifest.where
    document = {
        "adapters": [_document(result) for result in results],
        "manifest": None if where is None else {"where": where, "changed": bool(changed)},
    }
    from adapters_cli.artifacts.publisher import PublishState

    failed_last = sorted(results, key=lambda result: result.state is PublishState.FAILED)
    table = RowTable(headings=_HEADINGS, rows=[*map(_row, failed_last)], styled=1)
    print_result(document, table, as_json=as_json)
    if as_json:
        return
    counts = Counter(result.state for result in results)
    parts = [f"{counts[state]} {state}" for state in sorted(counts, reverse=True)]
    text = f"{counted(len(results), 'adapter')}: {', '.join(parts)}{sent and f'; {sent} sent'}"
    if where is not None and changed is not None:
        text += f"; {where} {'updated' if changed else 'unchanged'}"
    print_note(text)


def _document(result: "PublishResult") -> dict[str, Any]:
    document = asdict(result)
    identity = document.pop("identity")
    return {**document, "digest": None if identity is None else f"sha256:{identity}"}


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

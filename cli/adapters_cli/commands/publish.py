"""`adapters publish`: check adapters of this machine, bring them into S3, and name them in a manifest."""

import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.filesize import decimal

from adapter_fleet.manifest.manifest import LocalArtifact, Manifest, S3Artifact
from adapter_fleet.serving.base_model import BaseModelFacts
from adapters_cli.artifacts.local_adapters import Source, sources_of, tell_left_behind
from adapters_cli.artifacts.publish_cache import Memory
from adapters_cli.aws.account import account_of
from adapters_cli.manifests.edit import PublishedAdapter, edited
from adapters_cli.manifests.editable_manifest import ManifestPlace
from adapters_cli.models.serving_limits import Serving
from adapters_cli.output.errors import CommandError, UsageError, reported_errors
from adapters_cli.output.tables import print_rows
from adapters_cli.output.text import counted, few, print_error, print_note

if TYPE_CHECKING:
    from adapters_cli.artifacts.archive_store import ArchiveStore
    from adapters_cli.artifacts.publisher import Candidate, Outcome

_HEADINGS = ("ADAPTER", "STATE", "IDENTITY", "RANK", "SIZE", "WHY")


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
    destination: Annotated[str, typer.Argument(metavar="S3://BUCKET/PREFIX", help="Where they go.")],
    manifest: Annotated[
        str | None,
        typer.Option("--manifest", metavar="FILE|S3://…", help="Name them in this manifest, or a new one."),
    ] = None,
    base_model: Annotated[
        str | None,
        typer.Option("--base-model", metavar="NAME", help="What they were trained for, whatever they say."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Name of a single adapter; else that of its directory.")
    ] = None,
    jobs: Annotated[
        int, typer.Option("--jobs", metavar="N", min=1, max=16, help="How many at the same time.")
    ] = 8,
    max_lora_rank: Annotated[
        int | None, typer.Option("--max-lora-rank", metavar="N", help="Refuse higher ranks.")
    ] = None,
    container: Annotated[
        str | None, typer.Option("--container", metavar="LMI…", help="The container, such as lmi19.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; tell what is new.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Check adapters, upload those that are not in S3 yet, and write or update a manifest of them.

    Each goes to PREFIX/NAME/sha256-IDENTITY.tar.gz and is never replaced there. Run again after an
    interruption, it goes on where it was. A manifest keeps all else that it says.

    Ends with 1 if an adapter has failed; the others are published, and the manifest says of that one what it
    said before.
    """
    with reported_errors():
        # The compressor and the bars take a while to import, and other commands do without.
        from adapters_cli.artifacts.archive_store import ArchiveStore
        from adapters_cli.artifacts.publisher import Publisher, State, checked
        from adapters_cli.output.progress_bars import TransferBars, rate

        if base_model is not None and not base_model.strip():
            raise UsageError(f"'--base-model' should be a name, got {base_model!r}")
        account = account_of(context)
        serving = Serving.of_options(account, container=container, max_lora_rank=max_lora_rank)
        store = ArchiveStore(account.s3, destination)
        place = ManifestPlace.of(manifest, account) if manifest is not None else None
        before = place.parsed() if place is not None else None
        sources = sources_of(paths, name=name) if paths else _local(before, name)
        base = _base_of(place, before, base_model)
        if place is not None and not dry_run:
            place.try_to_write()
        # A call lists a thousand archives, as many as a hundred adapters may have by and by.
        listing = store.listed(pages=1 + len(sources) // 100)
        with TransferBars(len(sources)) as bars:
            publisher = Publisher(store, listing, Memory.of_user(), bars, jobs=jobs, dry_run=dry_run)
            candidates = publisher.map(lambda source: checked(source, serving, base, base_model), sources)
            if place is not None and base is None:
                base = _common_base(candidates)
            if place is not None and before is not None:
                _rehearse(place, before, store, candidates, base)
            outcomes = publisher.map(publisher.publish, candidates)
            sent = rate(bars.sent, bars.seconds) if bars.sent else ""
        for candidate in candidates:
            for warning in candidate.warnings:
                print_note(warning)
        tell_left_behind(source.path for source in sources)
        for outcome in outcomes:
            for reason in outcome.reasons:
                print_error(f"{outcome.name}: {reason}")
        if not as_json:
            print_rows(_HEADINGS, map(_row, outcomes), styled=1)
        changed = False
        try:
            if place is not None and not dry_run:
                changed = _update(place, outcomes, base)
        finally:
            # Also where the manifest cannot be written: what is in S3 by now is worth knowing.
            if as_json:
                typer.echo(json.dumps(_document(outcomes, place, changed=changed), indent=2))
            else:
                print_note(_total(outcomes, sent, place, changed=changed))
        raise typer.Exit(int(any(outcome.state is State.FAILED for outcome in outcomes)))


def _local(manifest: Manifest | None, name: str | None) -> list[Source]:
    """Return the adapters that a manifest has on this machine; CommandError where it has none."""
    if name is not None:
        raise UsageError("--name is for a path that is given")
    if manifest is None:
        raise CommandError("there is nothing to publish; give paths, or a manifest that has some")
    found = [
        Source(name=adapter.name, path=adapter.artifact.path)
        for adapter in manifest.adapters
        if isinstance(adapter.artifact, LocalArtifact)
    ]
    if not found:
        raise CommandError("there is nothing to publish: the manifest has no adapter on this machine")
    return found


def _base_of(place: ManifestPlace | None, before: Manifest | None, given: str | None) -> str | None:
    """Return the base model that is given, or else the manifest's, which has to be the same."""
    if place is None or before is None or before.base_model is None:
        return given
    if given is not None and not BaseModelFacts(name=before.base_model).is_named(given):
        raise CommandError(
            f"{place.where}: base_model: should be {given!r} ('--base-model'), got {before.base_model!r}"
        )
    return given or before.base_model


def _common_base(candidates: Sequence["Candidate"]) -> str | None:
    """Return the base model of all; CommandError where there are several."""
    bases: dict[str, list[str]] = {}
    for candidate in candidates:
        if (base := candidate.base_model) is not None:
            same = next((other for other in bases if BaseModelFacts(name=other).is_named(base)), base)
            bases.setdefault(same, []).append(candidate.source.name)
    if len(bases) > 1:
        lines = [f"{base!r}: {few(names)}" for base, names in bases.items()]
        raise CommandError(
            "\n".join(
                [
                    "a manifest is for one base model, and the adapters were trained for several; publish"
                    " those of each to a manifest of its own, or tell with --base-model that it is the same:",
                    *lines,
                ]
            )
        )
    return next(iter(bases), None)


def _rehearse(
    place: ManifestPlace,
    before: Manifest,
    store: "ArchiveStore",
    candidates: Sequence["Candidate"],
    base: str | None,
) -> None:
    """Change the manifest's text as after the upload, so that what is wrong with that is told before it.

    The identities are made up, as most are not known yet. What the manifest has in its place already may be
    the same, and stay as it is.
    """
    there = {
        adapter.artifact.uri.rpartition("/")[0]
        for adapter in before.adapters
        if isinstance(adapter.artifact, S3Artifact)
    }
    identity = "0" * 64
    adapters = [
        PublishedAdapter(
            name=candidate.source.name,
            uri=store.uri(store.key(candidate.source.name, identity)),
            identity=identity,
            checksum=f"sha256:{identity}",
            rank=candidate.rank,
        )
        for candidate in candidates
        if candidate.rank is not None
    ]
    new = [adapter for adapter in adapters if adapter.uri.rpartition("/")[0] not in there]
    if adapters:
        edited(place.read(), new, base_model=base, where=place.where, folder=place.folder)


def _update(place: ManifestPlace, outcomes: Sequence["Outcome"], base: str | None) -> bool:
    """Name in the manifest what is in S3; tell whether that changes it."""
    adapters = [
        PublishedAdapter(
            name=outcome.name,
            uri=outcome.uri,
            identity=outcome.identity,
            checksum=outcome.checksum,
            rank=outcome.rank,
        )
        for outcome in outcomes
        if outcome.uri is not None and outcome.identity is not None and outcome.rank is not None
    ]
    if not adapters:
        return False
    return place.update(
        lambda text: edited(text, adapters, base_model=base, where=place.where, folder=place.folder)
    )


def _row(outcome: "Outcome") -> tuple[str, ...]:
    more = len(outcome.reasons) - 1
    why = outcome.reasons[0] + (f" (and {more} more)" if more > 0 else "") if outcome.reasons else ""
    return (
        outcome.name,
        outcome.state,
        outcome.identity[:12] if outcome.identity else "-",
        str(outcome.rank or "-"),
        _size(outcome.size),
        why,
    )


def _size(size: int | None) -> str:
    """Return a size for who reads it: with a unit for a person, else in bytes."""
    if size is None:
        return "-"
    return decimal(size) if sys.stdout.isatty() else str(size)


def _total(outcomes: Sequence["Outcome"], sent: str, place: ManifestPlace | None, *, changed: bool) -> str:
    counts = Counter(outcome.state for outcome in outcomes)
    parts = [f"{counts[state]} {state}" for state in sorted(counts, reverse=True)]
    text = f"{counted(len(outcomes), 'adapter')}: {', '.join(parts)}{sent and f'; {sent} sent'}"
    if place is not None:
        text += f"; {place.where} {'updated' if changed else 'unchanged'}"
    return text


def _document(outcomes: Sequence["Outcome"], place: ManifestPlace | None, *, changed: bool) -> dict[str, Any]:
    """Return what `--json` writes."""
    return {
        "adapters": [asdict(outcome) for outcome in outcomes],
        "manifest": {"where": place.where, "changed": changed} if place is not None else None,
    }

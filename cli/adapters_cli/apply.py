"""`adapters apply`: bring a manifest into force with no deployment, and follow what becomes of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.fleet.state.records import Generation, Outcome, Source, Target
from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapter_fleet.manifest.desired import DesiredFleet
from adapters_cli import INTERRUPTED
from adapters_cli.account import CommandError, account_of, errors_told
from adapters_cli.fleet import Fleet, FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.manifests import ManifestFile, capped
from adapters_cli.plan import Change, compare, known_to_fail, target_of
from adapters_cli.status import NOT_SETTLED, Progress, look, still_there
from adapters_cli.stored_manifest import ChangedMeanwhileError, StoredManifest
from adapters_cli.text import complain, counted, one_line, tell

_LOOK_SECONDS = 1.0
_NOTICE_SECONDS = 120.0
"""How long the news of an object may take. EventBridge mostly delivers within a second."""

_WRITTEN = "the manifest is written, and the fleet goes on with it; 'adapters status --wait' follows"


def apply(
    context: typer.Context,
    manifest: Annotated[Path, typer.Argument(help="The manifest, in YAML or JSON; - for standard input.")],
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long to follow at most.")
    ] = 3600,
    allow_failing: Annotated[
        bool, typer.Option("--allow-failing", help="Write it although adapters are known to fail by it.")
    ] = False,
) -> None:
    """Write the fleet's manifest in S3, unless someone else has meanwhile, and follow until it is in force.

    That is for fleets whose manifest is in S3 (`AdapterManifest.from_bucket`); others change with a
    deployment. What `adapters plan` knows to fail is not written.

    Ends with 1 if the manifest is refused or fails, and with 3 where the time has passed before, or
    something is pending though it is in force. Ctrl-C stops following; what is written stays.
    """
    with errors_told():
        found = find_fleet(account_of(context), stack=stack, name=fleet, table=table_name)
        target = target_of(found)
        stored = _stored(found, target)
        file = ManifestFile.read(manifest, target)
        if file.local:
            mistakes = map(str, file.mistakes)
            raise CommandError(
                "\n".join(
                    [
                        *mistakes,
                        *file.local,
                        f"publish them first: adapters publish s3://BUCKET/PREFIX --manifest {manifest}",
                    ]
                )
            )
        desired, _ = file.desired(target)
        _announce(found, desired)
        number = _in_force(found, stored, file, desired)
        if number is not None:
            raise typer.Exit(_followed(found, stored, number, timeout))
        _check_outlook(found, target, desired, allow_failing=allow_failing)
        _check_noticeable(found, stored, file)
        record = found.registry.fleet() or found.record
        version = _write(found, stored, file.text)
        with _written_told():
            number = _noticed(found, stored, record.generation, version, desired.digest)
            raise typer.Exit(_followed(found, stored, number, timeout))


@contextmanager
def _written_told() -> Iterator[None]:
    """Say that the manifest is written where following it ends before the fleet has."""
    try:
        yield
    except KeyboardInterrupt:
        tell(_WRITTEN)
        raise typer.Exit(INTERRUPTED) from None
    except (BotoCoreError, ClientError, ServiceError):
        tell(_WRITTEN)
        raise


def _stored(fleet: Fleet, target: Target) -> StoredManifest:
    if target.manifest is None:
        raise CommandError(
            f"the manifest of fleet '{fleet.record.name}' belongs to its stack, and changes with a deployment"
        )
    return StoredManifest.read(fleet.account.s3, *bucket_and_key(target.manifest))


def _announce(fleet: Fleet, desired: DesiredFleet) -> None:
    """Say what the manifest changes in what is wanted."""
    seen = look(fleet)
    before = {adapter.component: adapter for adapter in fleet.registry.desired(seen.active.number).adapters}
    after = {adapter.component: adapter for adapter in desired.adapters}
    added = len(after.keys() - before.keys())
    removed = len(before.keys() - after.keys())
    changed = sum(before[name] != after[name] for name in after.keys() & before.keys())
    tell(f"{fleet.record.name}: {counted(added, 'adapter')} added, {changed} changed, {removed} removed")


def _check_outlook(fleet: Fleet, target: Target, desired: DesiredFleet, *, allow_failing: bool) -> None:
    """Refuse what `adapters plan` knows that it would be refused, or fail."""
    outlook = compare(fleet, target, desired)
    if outlook.refused is not None:
        raise CommandError(f"the fleet would refuse it: {outlook.refused}")
    if outlook.trouble is not None:
        complain(outlook.trouble)
    failing = known_to_fail(outlook.changes)
    if not failing:
        return
    told = capped(list(map(_why, failing)), "adapters are known to fail")
    if allow_failing:
        complain("\n".join(told))
        return
    raise CommandError(
        "\n".join([*told, "nothing is written; mend that, or give --allow-failing to write it all the same"])
    )


def _why(change: Change) -> str:
    return f"{change.name}: {change.action}: {one_line(change.why or '')}"


def _in_force(fleet: Fleet, stored: StoredManifest, file: ManifestFile, desired: DesiredFleet) -> int | None:
    """Return the generation that already brings about the same, None where it takes a new one."""
    newest = fleet.registry.generation(fleet.record.generation)
    if (
        newest is not None
        and newest.outcome in (Outcome.OPEN, Outcome.CONVERGED)
        and stored.digest == file.manifest.digest
        and fleet.registry.desired(newest.number) == desired
    ):
        return newest.number
    return None


def _check_noticeable(fleet: Fleet, stored: StoredManifest, file: ManifestFile) -> None:
    """Refuse to write what the fleet would take for the version that it knows, in a bucket without versions.

    It is the rule of `Intake.manifest_changed`: there the same bytes are the same version.
    """
    newest = fleet.registry.generation(fleet.record.generation)
    if (
        newest is None
        or newest.request.source is Source.UNDO
        or stored.version is None
        or stored.version != _bare(stored.etag)
        or stored.version != _bare(newest.request.manifest_version)
        or stored.text != file.text
    ):
        return
    reason = f" ({newest.reason})" if newest.reason else ""
    raise CommandError(
        f"nothing is written: {stored.uri} has these very bytes already, and with them generation"
        f" {newest.number} is {newest.outcome}{reason}\n"
        "its bucket keeps no versions, so the fleet would not take them for new; change something in the"
        " file, be it a comment"
    )


def _bare(etag: str | None) -> str:
    return (etag or "").strip('"')


def _write(fleet: Fleet, stored: StoredManifest, text: bytes) -> str:
    """Write the object if it is still the one that was read; return what names the new version."""
    try:
        return stored.write(fleet.account.s3, text)
    except ChangedMeanwhileError:
        raise CommandError(
            f"{stored.uri} was written by someone else in the meantime; look at it, and apply again"
        ) from None


def _noticed(fleet: Fleet, stored: StoredManifest, before: int, version: str, digest: str) -> int:
    """Wait for the generation that the new version makes; it is newer than `before`."""
    account = fleet.account
    started = account.now()
    while account.now() - started < _NOTICE_SECONDS:
        record = fleet.registry.fleet()
        for number in range(before + 1, record.generation + 1 if record is not None else 0):
            made = fleet.registry.generation(number)
            if made is None:
                continue
            named = _bare(made.request.manifest_version)
            from_object = made.request.source is Source.OBJECT
            if named == version or (from_object and made.request.source_digest == digest):
                return number
            # The fleet reads the newest version, whichever the news are of.
            if from_object and named != stored.version:
                raise CommandError(
                    f"{stored.uri} was superseded by a newer manifest, generation {number}, before the fleet"
                    " had noticed it"
                )
        account.sleep(_LOOK_SECONDS)
    raise CommandError(
        f"the manifest is written, and the fleet has not noticed it within {_NOTICE_SECONDS:.0f} seconds;"
        " does the bucket send its events to EventBridge?"
    )


def _followed(fleet: Fleet, stored: StoredManifest, number: int, timeout: float) -> int:
    """Follow a generation until it has ended; return the exit code."""
    account = fleet.account
    started = account.now()
    progress = Progress()
    try:
        while True:
            seen = look(fleet)
            generation = fleet.registry.generation(number)
            if generation is None:
                raise CommandError(f"generation {number} is gone")
            if seen.newest.number == number:
                progress.say(seen)
            if generation.outcome is not Outcome.OPEN:
                break
            if account.now() - started >= timeout:
                complain(f"generation {number} is not settled after {timeout:.0f} seconds")
                return _held_up(fleet)
            account.sleep(_LOOK_SECONDS)
    finally:
        progress.end()
    return _ended(fleet, generation, stored)


def _held_up(fleet: Fleet) -> int:
    """Say what keeps a fleet from going on, where that is known; return the exit code."""
    record = fleet.registry.fleet()
    if record is not None and record.trouble is not None:
        complain(one_line(record.trouble))
    return NOT_SETTLED


def _ended(fleet: Fleet, generation: Generation, stored: StoredManifest) -> int:
    number, outcome = generation.number, generation.outcome
    if outcome is Outcome.CONVERGED:
        if generation.reason:
            complain(one_line(generation.reason))
        told = f"generation {number} is in force: {generation.in_service} of {generation.desired} in service"
        if not generation.pending:
            typer.echo(told)
            return 0
        # Something was taken away by hand since.
        typer.echo(f"{told}, {generation.pending} pending")
        return _held_up(fleet)
    if outcome is Outcome.SUPERSEDED:
        raise CommandError(f"generation {number} was superseded before it was in force")
    raise CommandError(
        f"generation {number} {outcome}: {one_line(generation.reason or '')}\n{still_there(stored.uri)}"
    )

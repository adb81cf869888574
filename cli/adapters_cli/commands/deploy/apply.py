"""`adapters apply`: write a fleet's manifest in S3 and wait until it is in force, or try adapters again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.counts import counted
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.fleet.state.generations import Generation, Outcome, Source, Target
from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapter_fleet.manifest.desired import DesiredFleet
from adapters_cli.aws.account import account_of
from adapters_cli.fleets import orders
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, manifest_target, newest_generation
from adapters_cli.fleets.fleet_status import in_force, manifest_not_in_force_note, read_changes, read_status
from adapters_cli.fleets.manifest_changes import accepted_changes
from adapters_cli.fleets.status_line import StatusLine
from adapters_cli.manifests.manifest_file import ManifestFile
from adapters_cli.manifests.stored_manifest import ChangedMeanwhileError, StoredManifest
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.exit_codes import FAILED, INTERRUPTED, NOT_SETTLED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.text import capped, one_line, print_error, print_note
from adapters_cli.output.usage_errors import is_given

_READ_EVERY_SECONDS = 1.0
_NOTICE_SECONDS = 120.0
"""How long an object's event may take. EventBridge delivers most events within a second."""

_WRITTEN = "the manifest is written, and the fleet goes on with it; 'adapters status --wait' follows"


class NotNoticedError(CommandError):
    """The fleet has not noticed the new manifest in time, and may still do so."""

    code = NOT_SETTLED


EXAMPLES = """
# Change the fleet, and wait until it is done.
adapters apply adapters.yaml --stack Tenants

# Wait ten minutes at most.
adapters apply adapters.yaml --stack Tenants --timeout 600

# Try one adapter again; without a name, all that failed.
adapters apply --retry acme --stack Tenants
"""


def apply(
    context: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MANIFEST|NAME",
            help="The manifest, in YAML or JSON; - for standard input. With --retry, adapters; else all that"
            " failed.",
        ),
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Try or ask adapters again; the manifest stays.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", min=0, help="Longest time to wait.")
    ] = 3600,
    allow_failing: Annotated[
        bool,
        typer.Option("--allow-failing", help="Write it although adapters fail, and end with 0."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write the fleet's manifest in S3 and wait until it is in force; or try adapters again.

    It is for fleets whose manifest is in S3 (`AdapterManifest.from_bucket`). It writes nothing if someone
    else has written the manifest meanwhile, or if `adapters plan` would end with 1. Ctrl-C ends the waiting;
    what is written stays.

    Ends with 1 if the manifest is refused, fails or is superseded, or if an adapter that it changes fails,
    unless with --allow-failing. Ends with 3 if it is not in force in time, if the fleet does not notice it
    within two minutes, or if something is pending.

    --retry is for every fleet, and does not wait. It starts the fleet's state machine again if a named
    adapter is pending. One in service is asked again, and sent again if its probe was right before and is
    wrong now. If it does not answer, the fleet looks at the others, too. What somebody changed by hand is put
    back, of the named adapters alone; without a name, of all whose change the fleet knows.
    """
    if not retry and len(words or ()) != 1:
        raise UsageError("give one manifest, or --retry")
    if retry and (allow_failing or is_given(context, "timeout")):
        raise UsageError("--retry waits for nothing; give it without --timeout and --allow-failing")
    fleet = find_fleet(account_of(context))
    if retry:
        _retry(fleet, words or (), as_json=as_json)
        return
    manifest = Path(*words or ())
    target = manifest_target(fleet)
    stored = _stored(fleet, target)
    file = ManifestFile.read(manifest, target, fleet.registry)
    if file.local:
        publish = f"publish them first: adapters publish s3://BUCKET/PREFIX --manifest {manifest}"
        raise CommandError("\n".join([*map(str, file.mistakes), *file.local, publish]))
    desired, _ = file.desired(target)
    _print_changes(fleet, desired)
    number = _already_open_or_in_force(fleet, stored, file, desired)
    if number is not None:
        code = _wait_for(fleet, stored, number, fleet.account.now(), timeout, as_json=as_json)
        raise typer.Exit(0 if allow_failing and code == FAILED else code)
    _check_changes(fleet, target, desired, allow_failing=allow_failing)
    _check_new_version(fleet, stored, file)
    record = fleet.registry.fleet() or fleet.record
    version = _write(fleet, stored, file.text)
    written = fleet.account.now()
    with _note_that_it_is_written():
        number = _generation_of_version(fleet, stored, record.generation, version, desired.digest, timeout)
        code = _wait_for(fleet, stored, number, written, timeout, as_json=as_json)
    raise typer.Exit(0 if allow_failing and code == FAILED else code)


def _retry(fleet: Fleet, names: Sequence[str], *, as_json: bool) -> None:
    components, pending = orders.retry(fleet, names)
    retried = [{"name": name, "component": component} for component, name in components.items()]
    if components:
        adapters = {name.partition("@")[0] for name in components.values()}
        text = f"{counted(len(adapters), 'adapter')} will be tried again; {orders.FOLLOW_HINT}"
    else:
        text = "no adapter has failed" + (f"; {pending} pending" if pending else "")
        text += "; with a name, an adapter in service is asked again"
    print_result({"fleet": fleet.record.name, "retried": retried}, text, as_json=as_json)


@contextmanager
def _note_that_it_is_written() -> Iterator[None]:
    """Print that the manifest is written if the waiting ends early."""
    try:
        yield
    except KeyboardInterrupt:
        print_note(_WRITTEN)
        raise typer.Exit(INTERRUPTED) from None
    except (BotoCoreError, ClientError, ServiceError):
        print_note(_WRITTEN)
        raise


def _stored(fleet: Fleet, target: Target) -> StoredManifest:
    if target.manifest is None:
        raise CommandError(
            f"the manifest of fleet '{fleet.record.name}' belongs to its stack, and changes with a deployment"
        )
    return StoredManifest.read(fleet.account.s3, *bucket_and_key(target.manifest))


def _print_changes(fleet: Fleet, desired: DesiredFleet) -> None:
    """Print how many adapters the manifest adds, changes and removes."""
    active = in_force(fleet.registry, newest_generation(fleet))
    before = {
        adapter.component: adapter for adapter in fleet.registry.generations.desired(active.number).adapters
    }
    after = {adapter.component: adapter for adapter in desired.adapters}
    added = counted(len(after.keys() - before.keys()), "adapter")
    removed = len(before.keys() - after.keys())
    changed = sum(before[name] != after[name] for name in after.keys() & before.keys())
    print_note(f"{fleet.record.name}: {added} added, {changed} changed, {removed} removed")


def _check_changes(fleet: Fleet, target: Target, desired: DesiredFleet, *, allow_failing: bool) -> None:
    """Raise CommandError if the fleet would refuse the manifest, or if adapters are known to fail."""
    planned = accepted_changes(fleet, target, desired)
    if not planned.failing:
        return
    reasons = [f"{change.name}: {change.action}: {one_line(change.why or '')}" for change in planned.failing]
    lines = capped(reasons, "adapters are known to fail")
    if allow_failing:
        print_error("\n".join(lines))
        return
    raise CommandError(
        "\n".join([*lines, "nothing is written; fix that, or give --allow-failing to write it all the same"])
    )


def _already_open_or_in_force(
    fleet: Fleet, stored: StoredManifest, file: ManifestFile, desired: DesiredFleet
) -> int | None:
    """Return the number of the newest generation if it has the same desired state; else None."""
    newest = fleet.registry.generations.find(fleet.record.generation)
    if (
        newest is not None
        and newest.outcome in (Outcome.OPEN, Outcome.CONVERGED)
        and stored.digest == file.manifest.digest
        and fleet.registry.generations.desired(newest.number) == desired
    ):
        return newest.number
    return None


def _check_new_version(fleet: Fleet, stored: StoredManifest, file: ManifestFile) -> None:
    """Raise CommandError if the fleet could not tell the new object from the version that it knows.

    In a bucket without versioning, the same bytes are the same version (`RequestHandler.manifest_changed`).
    """
    newest = fleet.registry.generations.find(fleet.record.generation)
    if (
        newest is None
        or newest.request.source is Source.UNDO
        or stored.version is None
        or stored.version != _without_quotes(stored.etag)
        or stored.version != _without_quotes(newest.request.manifest_version)
        or stored.text != file.text
    ):
        return
    reason = f" ({newest.reason})" if newest.reason else ""
    raise CommandError(
        f"nothing is written: {stored.uri} has these very bytes already, and with them generation"
        f" {newest.number} is {newest.outcome}{reason}\n"
        "its bucket keeps no versions, so the fleet would not notice them; change something in the file, such"
        " as a comment"
    )


def _without_quotes(etag: str | None) -> str:
    return (etag or "").strip('"')


def _write(fleet: Fleet, stored: StoredManifest, text: bytes) -> str:
    """Write the object, unless it has changed since it was read; return the new version."""
    try:
        return stored.write(fleet.account.s3, text)
    except ChangedMeanwhileError:
        raise CommandError(
            f"{stored.uri} was written by someone else in the meantime; look at it, and apply again"
        ) from None


def _generation_of_version(
    fleet: Fleet, stored: StoredManifest, before: int, version: str, digest: str, timeout: float
) -> int:
    """Wait for the generation of the new version, which is newer than `before`; return its number.

    Raises NotNoticedError if the fleet does not notice the version in time.
    """
    account = fleet.account
    started = account.now()
    longest = min(_NOTICE_SECONDS, timeout)
    while True:
        record = fleet.registry.fleet()
        for number in range(before + 1, record.generation + 1 if record is not None else 0):
            made = fleet.registry.generations.find(number)
            if made is None:
                continue
            named = _without_quotes(made.request.manifest_version)
            from_object = made.request.source is Source.OBJECT
            if named == version or (from_object and made.request.source_digest == digest):
                return number
            # The fleet reads the newest version, whichever version the event is of.
            if from_object and named != stored.version:
                raise CommandError(
                    f"{stored.uri} was superseded by a newer manifest, generation {number}, before the fleet"
                    " had noticed it"
                )
        if account.now() - started >= longest:
            break
        account.sleep(_READ_EVERY_SECONDS)
    hint = "does the bucket send its events to EventBridge?"
    if timeout < _NOTICE_SECONDS:
        hint = f"--timeout ended the wait; {orders.FOLLOW_HINT}"
    raise NotNoticedError(
        f"the manifest is written, and the fleet has not noticed it within {longest:.0f} seconds; {hint}"
    )


def _wait_for(
    fleet: Fleet, stored: StoredManifest, number: int, started: float, timeout: float, *, as_json: bool
) -> int:
    """Wait until a generation has ended, until `timeout` seconds after `started`; return the exit code."""
    account = fleet.account
    line = StatusLine()
    seen = read_status(fleet)
    try:
        while True:
            generation = fleet.registry.generations.find(number)
            if generation is None:
                raise CommandError(f"generation {number} is gone")
            if seen.newest.number == number:
                line.show(seen)
            if generation.outcome is not Outcome.OPEN:
                break
            if account.now() - started >= timeout:
                if as_json:
                    _print_document(fleet, generation, stored)
                print_error(f"generation {number} is not settled after {counted(round(timeout), 'second')}")
                return _pending_exit(fleet)
            account.sleep(_READ_EVERY_SECONDS)
            seen = read_changes(fleet, seen)
    finally:
        line.end()
    if as_json:
        _print_document(fleet, generation, stored)
    return _ended_exit(fleet, generation, stored, as_json=as_json)


def _print_document(fleet: Fleet, generation: Generation, stored: StoredManifest) -> None:
    document = {
        "fleet": fleet.record.name,
        "manifest": stored.uri,
        "generation": generation.number,
        "outcome": generation.outcome,
        "reason": generation.reason,
        "adapters": generation.desired,
        "in_service": generation.in_service,
        "pending": generation.pending,
        "failed": generation.failed,
        "failures": generation.failures,
    }
    print_result(document, "", as_json=True)


def _pending_exit(fleet: Fleet) -> int:
    """Print the fleet's trouble, if there is any; return the exit code."""
    record = fleet.registry.fleet()
    if record is not None and record.trouble is not None:
        print_error(one_line(record.trouble))
    return NOT_SETTLED


def _ended_exit(fleet: Fleet, generation: Generation, stored: StoredManifest, *, as_json: bool) -> int:
    """Print how a generation has ended; return the exit code. Raises CommandError if it is not in force."""
    number, outcome = generation.number, generation.outcome
    if outcome is Outcome.CONVERGED:
        if generation.reason:
            print_error(one_line(generation.reason))
        result = (
            f"generation {number} is in force: {generation.in_service} of {generation.desired} in service"
        )
        if generation.pending:
            # Someone has deleted components by hand since.
            result = f"{result}, {generation.pending} pending"
        if generation.failures:
            result = f"{result}, {generation.failures} of the changed ones failed: see 'adapters status'"
        if not as_json:
            typer.echo(result)
        return _pending_exit(fleet) if generation.pending else FAILED if generation.failures else 0
    if outcome is Outcome.SUPERSEDED:
        raise CommandError(f"generation {number} was superseded before it was in force")
    reason = one_line(generation.reason or "")
    raise CommandError(f"generation {number} {outcome}: {reason}\n{manifest_not_in_force_note(stored.uri)}")

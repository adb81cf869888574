"""`adapters import`: write a manifest of adapters created by hand, and let a fleet adopt them."""

import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.artifacts.archive import ArchiveError
from adapter_fleet.common.counts import counted
from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.generations import Source, Target
from adapter_fleet.fleet.state.records import Order, OrderKind
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import ManifestAdapter, ManifestError
from adapter_fleet.manifest.writer import manifest_text
from adapters_cli.artifacts.temporary_component import TAG
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.components import EndpointComponents
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, stack_of_environment
from adapters_cli.fleets.fleet_status import FleetStatus, desired_by, find_status
from adapters_cli.fleets.orders import with_retries
from adapters_cli.manifests.entries import entries_of, entry_of, names_of, valid_entries
from adapters_cli.output.confirmation import check_terminal, confirm
from adapters_cli.output.errors import CommandError, NoAnswerError, UsageError, error_text
from adapters_cli.output.exit_codes import FAILED
from adapters_cli.output.text import print_error, print_note

_DOWNLOADS = 4

EXAMPLES = """
# Write a manifest of what is there.
adapters import --endpoint my-endpoint

# Let a fleet take them over.
adapters import --endpoint my-endpoint --stack Tenants --take-over
"""


def import_(
    context: typer.Context,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Allow the fleet to take them over, once its manifest has them."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
) -> None:
    """Write a manifest of the adapters on an endpoint that belong to no fleet.

    --endpoint is required. With a fleet, the manifest also has the fleet's own adapters, so that it can be
    applied as it is. Adapters of a CloudFormation stack are left out: that stack would delete them, or fail.

    Ends with 1 if an adapter had to be left out.
    """
    if yes and not take_over:
        raise UsageError("--yes confirms --take-over")
    if take_over:
        check_terminal(yes=yes)
    account = account_of(context)
    endpoint = account.endpoint
    if endpoint is None:
        raise UsageError("which endpoint? Give --endpoint")
    given = _fleet(account, endpoint=endpoint, takes_over=take_over)
    target = given.status.newest.request.target if given is not None else None
    present, lost = valid_entries(given.entries) if given is not None else ([], [])
    components = EndpointComponents(account, endpoint)
    unowned = _of_no_fleet(components, base=target.base if target is not None else None)
    stacks = components.stacks({name: live for name, (live, _) in unowned.items()})
    alone = {name: found for name, found in unowned.items() if name not in stacks}
    known = {_component(adapter, target) for adapter in present} & alone.keys()
    adapters, problems = _entries(
        account,
        {component: own for component, own in alone.items() if component not in known},
        prefix=target.prefix if target is not None else None,
        present=present,
    )
    problems += [
        f"{component}: it belongs to stack '{stack}' and is left out; the guide to operating fleets says how"
        " to move it"
        for component, stack in stacks.items()
    ]
    for problem in [*problems, *(f"{problem}; the fleet would delete it" for problem in lost)]:
        print_error(problem)
    base_model = None if target is None else target.settings.base_model
    typer.echo(_text([*adapters, *present], base_model), nl=False)
    free = len(adapters) + len(known)
    print_note(
        f"{counted(free, 'adapter')} on '{endpoint}' {'belongs' if free == 1 else 'belong'} to no fleet"
    )
    if given is not None and present:
        print_note(
            f"{counted(len(present), 'adapter')} of {given.fleet.record.name} as it is now"
            f" {'follows' if len(present) == 1 else 'follow'} in the manifest, which deletes none of them"
        )
    claimed = {_component(adapter, target) for adapter in adapters} | known
    if given is not None and take_over and claimed:
        question = f"Let {given.fleet.record.name} take over {counted(len(claimed), 'adapter')}?"
        confirm(question, "nothing is taken over", yes=yes)
        _hand_over(given, {component: alone[component][0] for component in sorted(claimed)})
    if problems or lost:
        raise typer.Exit(FAILED)


@dataclass(frozen=True, kw_only=True)
class _GivenFleet:
    """The fleet that the manifest is for."""

    fleet: Fleet
    status: FleetStatus

    @property
    def entries(self) -> list[ManifestAdapter]:
        """The manifest entries of its present desired state."""
        desired = desired_by(self.fleet.registry, self.status.active)
        return entries_of(desired, self.status.newest.request.target)


def _component(adapter: ManifestAdapter, target: Target | None) -> str:
    return adapter.component or adapter.component_name(target.prefix if target is not None else "")


def _fleet(account: Account, *, endpoint: str, takes_over: bool) -> _GivenFleet | None:
    """Return the fleet of the options; None if there is none and none is needed."""
    if not (takes_over or account.names_fleet or stack_of_environment()):
        return None
    fleet = find_fleet(account)
    status = find_status(fleet.registry, account.now())
    if takes_over and (status is None or status.newest.request.source is Source.DELETION):
        raise CommandError("there is no fleet to take them over; deploy it first, without them")
    if status is None:
        return None
    target = status.newest.request.target
    if target.endpoint != endpoint:
        raise CommandError(f"the fleet is on endpoint '{target.endpoint}', got '{endpoint}'")
    return _GivenFleet(fleet=fleet, status=status)


def _of_no_fleet(
    components: EndpointComponents, *, base: str | None
) -> dict[str, tuple[ObservedComponent, dict[str, str]]]:
    """Return the adapters that belong to no fleet, with their tags; only those of `base`, if it is given.

    Raises NoAnswerError if the endpoint has no component: SageMaker lists none for an endpoint that does not
    exist.
    """
    listed = components.listed()
    if not listed:
        raise NoAnswerError(f"endpoint '{components.endpoint}' is not there, or has no component")
    described = components.described(
        name for name, live in listed.items() if live.status is not Status.DELETING
    )
    adapters = {
        name: live
        for name, live in described.items()
        if live is not None and live.base is not None and (base is None or live.base == base)
    }
    tags = components.tags(adapters)
    return {
        name: (adapters[name], own)
        for name, own in sorted(tags.items())
        # A preview is gone in a moment.
        if FLEET_TAG not in own and TAG not in own
    }


def _entries(
    account: Account,
    alone: dict[str, tuple[ObservedComponent, dict[str, str]]],
    *,
    prefix: str | None,
    present: list[ManifestAdapter],
) -> tuple[list[ManifestAdapter], list[str]]:
    """Return the manifest entries, and why other adapters are left out."""
    uris = sorted({live.artifact_uri for live, _ in alone.values() if live.artifact_uri is not None})
    with ThreadPoolExecutor(_DOWNLOADS) as downloads:
        digests = dict(zip(uris, downloads.map(lambda uri: _digest(account, uri), uris), strict=True))
    names = names_of(alone.keys(), prefix, [adapter.name for adapter in present])
    entries, problems = [], []
    for component, (live, tags) in alone.items():
        uri = live.artifact_uri
        if uri is None:
            problems.append(f"{component}: it has no artifact")
            continue
        digest = digests[uri]
        if isinstance(digest, Exception):
            problems.append(f"{component}: {uri}: {error_text(digest)}")
            continue
        entries.append(
            entry_of(component, names[component], prefix=prefix, uri=uri, digest=digest, tags=tags)
        )
    valid, invalid = valid_entries(entries, beside=present)
    return valid, [*problems, *invalid]


def _text(adapters: list[ManifestAdapter], base_model: str | None) -> str:
    """Return the manifest's text. Raises CommandError if it breaks a rule of the whole manifest."""
    try:
        Manifest.of(adapters, base_model=base_model)
    except ManifestError as error:
        raise CommandError("\n".join(finding.message for finding in error.findings)) from None
    return manifest_text(adapters, base_model=base_model)


def _digest(account: Account, uri: str) -> str | Exception:
    """Return the identity of the adapter in an archive in S3, or the error that prevents it."""
    # Imported here: the compressor takes long to import.
    from adapter_rules.archives.packing import identity_of

    bucket, key = bucket_and_key(uri)
    with tempfile.TemporaryDirectory(prefix="adapter-") as scratch:
        path = Path(scratch, "adapter.tar.gz")
        try:
            account.s3.download_file(bucket, key, str(path))
            return identity_of(path)
        except (ArchiveError, BotoCoreError, ClientError, OSError) as error:
            return error


def _hand_over(given: _GivenFleet, components: dict[str, ObservedComponent]) -> None:
    """Leave the orders that allow the fleet to adopt components."""
    fleet = given.fleet
    now = fleet.account.now()
    orders = [
        Order(kind=OrderKind.CLAIM, component=component, at=now, created=live.created)
        for component, live in components.items()
    ]
    present = {adapter.component for adapter in desired_by(fleet.registry, given.status.active).adapters}
    if present.isdisjoint(components):
        # The fleet has nothing to do until its manifest has them.
        fleet.registry.orders.add(orders)
    else:
        fleet.order(with_retries(orders))
    number = counted(len(orders), "adapter")
    print_note(f"{fleet.record.name} takes over {number} once its manifest has them")

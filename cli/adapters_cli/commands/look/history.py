"""`adapters history`: show the events of one adapter, or the generations of a fleet."""

from collections.abc import Sequence
from typing import Annotated

import typer

from adapter_fleet.common.naming import did_you_mean, is_of_version
from adapter_fleet.fleet.state.generations import Generation
from adapter_fleet.fleet.state.records import Event
from adapter_fleet.fleet.state.rows.event_rows import MOST_EVENTS
from adapters_cli.aws.account import account_of
from adapters_cli.aws.worker_threads import read_each
from adapters_cli.fleets.adapter_history import AdapterHistory, event_document
from adapters_cli.fleets.adapter_lookup import AdapterArgument, AdapterLookup
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import read_adapter_state
from adapters_cli.fleets.versions import figures_text, is_named, print_earlier_versions
from adapters_cli.output.errors import CommandError
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import print_note, timestamp, whole_second

_HEADINGS = ("WHEN", "WHAT", "GENERATION", "FROM", "TO", "SECONDS", "WHY")
_SPARE = ("SECONDS", "GENERATION", "FROM", "TO")
_GENERATION_HEADINGS = ("GENERATION", "WHEN", "SOURCE", "OUTCOME", "CHANGES", "REASON")
_GENERATION_SPARE = ("CHANGES", "SOURCE")

EXAMPLES = """
# What happened to one adapter.
adapters history acme --stack Tenants

# The last five changes of the manifest.
adapters history --limit 5 --stack Tenants
"""


def history(
    context: typer.Context,
    name: AdapterArgument = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, help="Maximum number of lines.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the events of an adapter, or every change of the manifest; newest first.

    Events are kept for 400 days. Ends with 1 if the fleet knows no adapter of that name.
    """
    fleet = find_fleet(account_of(context))
    if name is None:
        _show_generations(fleet, limit, as_json=as_json)
    else:
        _show_adapter(fleet, name, limit, as_json=as_json)


def _show_adapter(fleet: Fleet, name: str, limit: int, *, as_json: bool) -> None:
    lookup = AdapterLookup(fleet, newest_generation(fleet))
    component, (adapter, _, version) = lookup.component(name), name.partition("@")
    components = lookup.components_of_versions(adapter)
    known = lookup.find_version(adapter, version) if version else None
    if known is not None:
        version = known.digest or known.uri
    events = AdapterHistory.read(fleet.registry, components, MOST_EVENTS if version else limit).with_reasons
    events = [(event, why) for event, why in events if not version or _is_of(event, version)][:limit]
    present = read_adapter_state(fleet, component)
    if not events and present is None:
        raise CommandError(f"nothing is known of an adapter '{name}'{did_you_mean(name, lookup.known)}")
    document = {
        "name": name,
        "component": component,
        "events": [event_document(event, why) for event, why in events],
    }
    rows = [
        (
            whole_second(event.at),
            event.what,
            str(event.generation),
            event.before or "-",
            event.after or "-",
            "-" if event.seconds is None else f"{event.seconds:.1f}",
            _why(event, why),
        )
        for event, why in events
    ]
    table = RowTable(headings=_HEADINGS, rows=rows, styled=1, spare=_SPARE)
    print_result(document, table, as_json=as_json)
    if not as_json and not events:
        print_note(f"adapter '{name}' has no events so far")
    elif not as_json and present is not None:
        print_earlier_versions(present)


def _is_of(event: Event, version: str) -> bool:
    """Return True if an event is one of a version, or of its component."""
    artifacts = filter(None, (event.before_artifact, event.after_artifact))
    digest = version.removeprefix("sha256:").removeprefix("sha256-").lower()
    return is_of_version(event.component, digest) or any(is_named(each, version) for each in artifacts)


def _why(event: Event, why: str | None) -> str:
    """Return the reason of an event, and how the version did that it brought."""
    evaluation = event.after_artifact.evaluation if event.after_artifact is not None else None
    evaluated = None if evaluation is None else f"evaluated: {figures_text(evaluation)}"
    return "; ".join(filter(None, (why, evaluated)))


def _show_generations(fleet: Fleet, limit: int, *, as_json: bool) -> None:
    newest = fleet.record.generation
    read = read_each(range(newest, max(0, newest - limit), -1), fleet.registry.generations.find)
    generations = [generation for generation in read.values() if generation is not None]
    reasons = [_reason(fleet, generation) for generation in generations]
    document = {
        "fleet": fleet.record.name,
        "generations": [
            _generation_document(generation, reason)
            for generation, reason in zip(generations, reasons, strict=True)
        ],
    }
    rows = [
        _generation_row(generation, reason) for generation, reason in zip(generations, reasons, strict=True)
    ]
    table = RowTable(headings=_GENERATION_HEADINGS, rows=rows, styled=3, spare=_GENERATION_SPARE)
    print_result(document, table, as_json=as_json)
    if not as_json and not generations:
        print_note(f"fleet '{fleet.record.name}' has received no manifest yet")


def _reason(fleet: Fleet, generation: Generation) -> str | None:
    undone = fleet.registry.lineage.undone_number(generation)
    if undone is None:
        return generation.reason
    takes_back = f"takes generation {undone} back"
    return f"{takes_back}; {generation.reason}" if generation.reason else takes_back


def _generation_row(generation: Generation, reason: str | None) -> Sequence[str]:
    return (
        str(generation.number),
        whole_second(generation.request.at),
        _source(generation),
        generation.outcome,
        "-" if generation.changes is None else str(generation.changes),
        reason or "",
    )


def _generation_document(generation: Generation, reason: str | None) -> dict[str, object]:
    return {
        "number": generation.number,
        "requested_at": timestamp(generation.request.at),
        "ended_at": timestamp(generation.ended),
        "source": _source(generation),
        "outcome": generation.outcome,
        "changes": generation.changes,
        "failures": generation.failures,
        "reason": reason,
    }


def _source(generation: Generation) -> str:
    return "rollback" if generation.undo else generation.request.source

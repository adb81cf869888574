"""`adapters history`: what became of one adapter, or of the fleet's generations, newest first."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from adapter_fleet.fleet.state.generations import Generation, undone_number
from adapter_fleet.fleet.state.records import Event
from adapters_cli.account import CommandError, account_of, errors_told
from adapters_cli.components import each
from adapters_cli.fleet import Fleet, FleetOption, StackOption, TableOption, find_fleet
from adapters_cli.lookup import component_of
from adapters_cli.past import Past
from adapters_cli.rows import show
from adapters_cli.status import look
from adapters_cli.text import moment, tell
from adapters_cli.versions import as_document, tell_earlier

_HEADINGS = ("WHEN", "WHAT", "GENERATION", "FROM", "TO", "SECONDS", "WHY")
_SPARE = ("SECONDS", "GENERATION", "FROM", "TO")
_GENERATION_HEADINGS = ("GENERATION", "WHEN", "SOURCE", "OUTCOME", "CHANGES", "REASON")
_GENERATION_SPARE = ("CHANGES", "SOURCE")


def history(
    context: typer.Context,
    name: Annotated[
        str | None,
        typer.Argument(help="The adapter's name, or its component's; without it, the fleet's generations."),
    ] = None,
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many lines at most.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Write each one as a line of JSON.")] = False,
) -> None:
    """Show what became of an adapter, or of every change of the manifest; newest first.

    What became of adapters is kept for 400 days.
    """
    with errors_told():
        found = find_fleet(account_of(context), stack=stack, name=fleet, table=table_name)
        if name is None:
            _show_generations(found, limit, as_json=as_json)
        else:
            _show_adapter(found, name, limit, as_json=as_json)


def _show_adapter(fleet: Fleet, name: str, limit: int, *, as_json: bool) -> None:
    component = component_of(fleet, name)
    past = Past.read(fleet.registry, component, limit)
    present = [adapter for adapter in look(fleet).adapters if adapter.component == component]
    if not past.told and not present:
        raise CommandError(f"nothing is known of an adapter '{name}'")
    if as_json:
        for event, why in past.told:
            typer.echo(json.dumps(_event(event, why)))
    elif not past.told:
        tell(f"nothing has become of adapter '{name}' so far")
    else:
        rows = [
            (
                _second(event.at),
                event.what,
                str(event.generation),
                event.before or "-",
                event.after or "-",
                "-" if event.seconds is None else f"{event.seconds:.1f}",
                why or "",
            )
            for event, why in past.told
        ]
        show(_HEADINGS, rows, styled=1, spare=_SPARE)
        for adapter in present:
            tell_earlier(adapter)


def _event(event: Event, why: str | None) -> dict[str, object]:
    return {
        **asdict(event),
        "at": moment(event.at),
        "before_artifact": as_document(event.before_artifact),
        "after_artifact": as_document(event.after_artifact),
        "why": why,
    }


def _show_generations(fleet: Fleet, limit: int, *, as_json: bool) -> None:
    newest = fleet.record.generation
    read = each(range(newest, max(0, newest - limit), -1), fleet.registry.generation)
    generations = [generation for generation in read.values() if generation is not None]
    reasons = [_reason(fleet, generation) for generation in generations]
    if as_json:
        for generation, reason in zip(generations, reasons, strict=True):
            typer.echo(json.dumps(_document(generation, reason)))
    elif not generations:
        tell(f"fleet '{fleet.record.name}' has never been asked for anything")
    else:
        rows = [_row(generation, reason) for generation, reason in zip(generations, reasons, strict=True)]
        show(_GENERATION_HEADINGS, rows, styled=3, spare=_GENERATION_SPARE)


def _reason(fleet: Fleet, generation: Generation) -> str | None:
    undone = undone_number(generation, fleet.registry.generation)
    if undone is None:
        return generation.reason
    takes_back = f"takes generation {undone} back"
    return f"{takes_back}; {generation.reason}" if generation.reason else takes_back


def _row(generation: Generation, reason: str | None) -> Sequence[str]:
    return (
        str(generation.number),
        _second(generation.request.at),
        _source(generation),
        generation.outcome,
        "-" if generation.changes is None else str(generation.changes),
        reason or "",
    )


def _document(generation: Generation, reason: str | None) -> dict[str, object]:
    return {
        "number": generation.number,
        "requested_at": moment(generation.request.at),
        "ended_at": moment(generation.ended),
        "source": _source(generation),
        "outcome": generation.outcome,
        "changes": generation.changes,
        "failures": generation.failures,
        "reason": reason,
    }


def _source(generation: Generation) -> str:
    return "rollback" if generation.undo else generation.request.source


def _second(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))

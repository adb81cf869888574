"""`adapters probe`: ask adapters for their probes now."""

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated

import typer

from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapter_fleet.manifest.desired import Probe, new_nonce
from adapters_cli.aws.account import account_of
from adapters_cli.aws.worker_threads import read_each
from adapters_cli.fleets.adapter_lookup import AdapterLookup, complete_adapter
from adapters_cli.fleets.adapter_states import StateGroup
from adapters_cli.fleets.base_component import read_base
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import FleetStatus, desired_by, read_status
from adapters_cli.output.exit_codes import FAILED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import one_line, print_note

_MOST_NAMED = 10
_HEADINGS = ("ADAPTER", "RESULT", "ANSWER")

EXAMPLES = """
# Does every adapter of the fleet answer as itself?
adapters probe --stack Tenants
"""


class ProbeResult(StrEnum):
    """What came of a probe."""

    RIGHT = "right"
    WRONG = "wrong"
    """Another model may answer in its place."""
    NO_ANSWER = "no answer"
    NO_PROBE = "no probe"


@dataclass(frozen=True, kw_only=True)
class ProbedAdapter:
    """An adapter, and its answer or the error that came instead."""

    name: str
    component: str
    result: ProbeResult
    answer: str | None = None


def probe(
    context: typer.Context,
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME", help="Adapters to ask; else all.", autocompletion=complete_adapter),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Ask adapters for their probes now, each once, and compare the answers.

    A request reaches one copy of the base model. An adapter without a probe is not asked.

    Ends with 1 if an answer is wrong, if one does not answer, or if nobody was asked.
    """
    fleet = find_fleet(account_of(context))
    newest = newest_generation(fleet)
    found = AdapterLookup(fleet, newest).find_each(names) if names else []
    versions = {component: name for component, name in found if "@" in name}
    only = [component for component, name in found if "@" not in name] if names else None
    seen = read_status(fleet, only, alone=versions)
    probes = {component: (name, probe) for name, component, probe in _probes(fleet, seen, versions)}
    endpoint = seen.active.request.target.endpoint
    asked = read_each(probes, lambda component: _ask(fleet, endpoint, component, *probes[component]))
    probed = [*asked.values()]
    rows = [(one.name, one.result, one_line(one.answer or "")) for one in probed]
    table = RowTable(headings=_HEADINGS, rows=rows, styled=1)
    print_result({"adapters": [asdict(one) for one in probed]}, table, as_json=as_json)
    counts = Counter(one.result for one in probed)
    bad = {one.name for one in probed if one.result in (ProbeResult.WRONG, ProbeResult.NO_ANSWER)}
    if not as_json:
        print_note(", ".join(f"{counts[result]} {result}" for result in ProbeResult if counts[result]))
        if bad:
            print_note(_what_helps(fleet, seen, bad))
    raise typer.Exit(FAILED if bad or not counts[ProbeResult.RIGHT] else 0)


def _what_helps(fleet: Fleet, seen: FleetStatus, bad: Set[str]) -> str:
    base = read_base(fleet, seen.active)
    if base.outage or base.note:
        return base.outage or base.note or ""
    served = {one.name for one in seen.adapters if one.group is StateGroup.IN_SERVICE}
    if not bad <= served or len(bad) > _MOST_NAMED:
        return "'adapters status' says what helps"
    return (
        f"'adapters apply --retry {' '.join(sorted(bad))}' asks again, and sends again what answers wrongly"
    )


def _probes(
    fleet: Fleet, seen: FleetStatus, versions: Mapping[str, str]
) -> Iterator[tuple[str, str, Probe | None]]:
    """Yield adapters, the components that their callers reach, and what these should answer.

    While an adapter has a share of the callers, they reach two. Of what is not declared, such as the version
    that a rollback brought back, the probe is the one that it has passed.
    """
    declared = {one.name: one.artifact.probe for one in desired_by(fleet.registry, seen.active).adapters}
    for state in seen.adapters:
        if state.group is StateGroup.ORPHAN:
            continue
        if state.component in versions:
            yield versions[state.component], state.component, _passed(fleet, state.component)
            continue
        if state.beside is not None:
            yield state.name, state.beside, _passed(fleet, state.beside)
        if state.beside is None or state.percent:
            own = _passed(fleet, state.component) if state.pinned else declared.get(state.name)
            yield state.name, state.component, own


def _passed(fleet: Fleet, component: str) -> Probe | None:
    record = fleet.registry.records.find(component)
    return None if record is None or record.serving is None else record.serving.probe


def _ask(fleet: Fleet, endpoint: str, component: str, name: str, probe: Probe | None) -> ProbedAdapter:
    if probe is None:
        return ProbedAdapter(name=name, component=component, result=ProbeResult.NO_PROBE)
    try:
        answer = fleet.account.service.complete(component, endpoint, probe.request(new_nonce()))
    except ServiceError as error:
        result, text = ProbeResult.NO_ANSWER, str(error)
    else:
        right = answer.begins_with(probe.answer)
        result, text = (ProbeResult.RIGHT if right else ProbeResult.WRONG), answer.text
    return ProbedAdapter(name=name, component=component, result=result, answer=text)

"""`adapters describe`: show all that is known of one adapter."""

import json
import sys
from collections.abc import Iterator, Mapping
from shutil import get_terminal_size
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.counts import counted
from adapter_fleet.evaluation.evaluation_bar import EvaluationBar
from adapter_fleet.fleet.state.generations import Target
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from adapter_fleet.manifest.writer import plain_evaluation, plain_probe
from adapter_fleet.openai.urls import base_url
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.component_metrics import ComponentMetrics
from adapters_cli.fleets.adapter_history import AdapterHistory, event_document
from adapters_cli.fleets.adapter_lookup import AdapterLookup
from adapters_cli.fleets.base_state import read_base
from adapters_cli.fleets.fleet_lookup import (
    Fleet,
    FleetOption,
    StackOption,
    TableOption,
    find_fleet,
    newest_generation,
)
from adapters_cli.fleets.fleet_status import AdapterState, Proof, desired_by, read_status
from adapters_cli.fleets.name_completion import complete_adapter
from adapters_cli.fleets.versions import figures_text, version_document
from adapters_cli.output.errors import reported_errors
from adapters_cli.output.exit_codes import FAILED
from adapters_cli.output.text import folded, latency, one_line, print_error, print_note, timestamp

_PROOFS = {
    Proof.PROBE: "it answered its probe",
    Proof.WEAKER: "it has no probe, and its smoke request has another answer than the base model's",
    Proof.NOT_DISTINGUISHED: "it has no probe, and its smoke request has the base model's answer, too",
}
_WIDTH = 13
_EVENTS = 10
_OWNER_TAGS = ("owner", "team")
_HOUR = 3600.0
_PERCENTILE = 99

EXAMPLES = """
# All about one adapter.
adapters describe acme --stack Tenants

# The same for a program.
adapters describe acme --stack Tenants --json
"""


def describe(
    context: typer.Context,
    name: Annotated[
        str, typer.Argument(help="The adapter's name, or its component's.", autocompletion=complete_adapter)
    ],
    stack: StackOption = None,
    fleet: FleetOption = None,
    table_name: TableOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON document.")] = False,
) -> None:
    """Show an adapter: its version, state, owner, evaluation, history, and the address that clients call.

    Shows its requests of the last hour as well, from CloudWatch. The owner is its tag `owner`, else `team`.
    The history has the newest ten events; `adapters history` shows all.

    Ends with 1 if the base component is not there or failed: no adapter answers then.
    """
    with reported_errors():
        account = account_of(context)
        found = find_fleet(account, stack=stack, name=fleet, table=table_name)
        newest = newest_generation(found)
        lookup = AdapterLookup(found, newest)
        component = lookup.component(name)
        seen = read_status(found, [component])
        if not seen.adapters:
            raise lookup.unknown(name)
        desired = desired_by(found.registry, seen.active).adapters
        declared = next((adapter for adapter in desired if adapter.component == component), None)
        document = _document(found, seen.active.request.target, seen.adapters[0], declared)
        base = read_base(found, seen.active)
        document |= {"base_outage": base.outage, "copies": base.copies}
    if base.note is not None:
        print_error(base.note)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        for label, value in _lines(document):
            _print_line(label, one_line(value))
        if base.outage is not None:
            print_error(one_line(base.outage))
    raise typer.Exit(0 if base.outage is None else FAILED)


def _print_line(label: str, text: str) -> None:
    """Print a line; on a terminal, the words that have no room go below it.

    An address or a digest without room has a line of its own. It is not folded, so that it can be copied.
    """
    lines = [text]
    if sys.stdout.isatty():
        room = max(_WIDTH, get_terminal_size().columns - _WIDTH)
        if " " in text:
            lines = folded(text, room)
        elif len(text) > room:
            typer.echo(f"{label}\n  {text}")
            return
    for number, line in enumerate(lines):
        typer.echo(f"{'' if number else label:<{_WIDTH}}{line}")


def _document(
    fleet: Fleet, target: Target, state: AdapterState, declared: DesiredAdapter | None
) -> dict[str, Any]:
    account = fleet.account
    wanted = None if declared is None else declared.artifact
    tags = {} if declared is None else state.tags
    events = AdapterHistory.read(fleet.registry, state.component, _EVENTS).with_reasons
    history = [event_document(event, why) for event, why in events]
    return {
        "name": state.name,
        "component": state.component,
        "fleet": fleet.record.name,
        "owner": next((tags[key] for key in _OWNER_TAGS if key in tags), None),
        "endpoint": target.endpoint,
        "base": target.base,
        "state": state.state,
        "since": timestamp(state.since),
        "reason": state.reason,
        "serving": version_document(state.artifact),
        "declared": version_document(wanted),
        "pinned": state.pinned,
        "earlier": [version_document(artifact) for artifact in state.earlier],
        "rank": None if declared is None else declared.rank,
        "tags": tags,
        "probe": None if wanted is None or wanted.probe is None else plain_probe(wanted.probe),
        "proof": state.proof,
        "evaluation": _evaluation(account, target.settings.bar_beside(target.base), state, wanted),
        "last_hour": _last_hour(account, state.component),
        "history": history,
        "last_reason": state.reason or next((why for _, why in events if why), None),
        "base_url": base_url(account.runtime_url, endpoint=target.endpoint, component=state.component),
        "model": state.component,
        "invocations_url": f"{account.runtime_url}/endpoints/{target.endpoint}/invocations",
    }


def _evaluation(
    account: Account, bar: EvaluationBar | None, state: AdapterState, wanted: Artifact | None
) -> dict[str, Any]:
    """Return the recorded evaluation of the version that serves, its stored results, and the fleet's bar."""
    shown = state.artifact or wanted
    if shown is not None and wanted is not None and shown.same_version_as(wanted):
        shown = wanted  # the manifest may have recorded the evaluation after the version came into service
    record = None if shown is None else shown.evaluation
    required: dict[str, Any] | None = None
    if bar is not None:
        missed = [problem for _, problem in bar.problems(record, adapter=state.name)]
        required = {
            "requirements": list(bar.requirements),
            "exempt": bar.is_exempt(state.name),
            "missed": missed,
        }
    return {
        "version": None if shown is None else shown.version,
        "recorded": None if record is None else plain_evaluation(record),
        "figures": None if record is None else figures_text(record),
        "stored": _stored(account, shown),
        "required": required,
    }


def _last_hour(account: Account, component: str) -> dict[str, Any] | None:
    """Return the requests of the last hour, errors and times; None without permission to read them."""
    end = account.now()
    try:
        metrics = ComponentMetrics(account)
        load = metrics.load_of(component, end - _HOUR, end)
        slowest = metrics.slowest([component], end - _HOUR, end, percentile=_PERCENTILE)
    except (ClientError, BotoCoreError) as error:
        print_note(f"the metrics of {component} cannot be read: {error}")
        return None
    return {
        "requests": load.requests,
        "client_errors": load.client_errors,
        "server_errors": load.server_errors,
        "mean_seconds": load.mean_seconds,
        "p99_seconds": slowest.get(component),
    }


def _stored(account: Account, artifact: Artifact | None) -> list[str]:
    """Return the addresses of stored results, newest first; none without permission to list them."""
    if artifact is None or artifact.digest is None:
        return []
    from adapters_cli.artifacts.evaluation_store import EvaluationStore

    try:
        return EvaluationStore(account.s3).uris(artifact.uri, artifact.digest)
    except (ClientError, BotoCoreError) as error:
        print_note(f"the stored results of {artifact.version} cannot be listed: {error}")
        return []


def _lines(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "adapter", document["name"]
    for label in ("component", "endpoint", "base", "fleet"):
        yield label, document[label]
    if document["owner"]:
        yield "owner", document["owner"]
    since = f" since {_to_the_second(document['since'])}" if document["since"] else ""
    yield "state", f"{document['state']}{since}"
    if document["reason"]:
        yield "reason", document["reason"]
    elif document["last_reason"]:
        yield "last reason", document["last_reason"]
    yield from _versions(document)
    yield from _declared_lines(document)
    yield from _evaluation_lines(document["evaluation"])
    if document["last_hour"] is not None:
        yield "last hour", _hour_text(document["last_hour"])
    yield "base_url", document["base_url"]
    yield "model", document["model"]
    yield "invocations", document["invocations_url"]
    for number, event in enumerate(document["history"]):
        yield "" if number else "history", _event_text(event)


def _declared_lines(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if document["rank"]:
        yield "rank", str(document["rank"])
    for number, (key, value) in enumerate(document["tags"].items()):
        yield "" if number else "tags", f"{key} = {value}"
    if probe := document["probe"]:
        yield "probe", f"{probe['prompt']!r} begins with {probe['answer']!r}"
    if document["proof"]:
        yield "proof", _PROOFS[document["proof"]]


def _hour_text(hour: Mapping[str, Any]) -> str:
    requests, errors = int(hour["requests"]), int(hour["client_errors"] + hour["server_errors"])
    text = f"{counted(requests, 'request')}, {counted(errors, 'error')}"
    if not requests:
        return text
    return f"{text}, mean {latency(hour['mean_seconds'])}, p99 {latency(hour['p99_seconds'])}"


def _event_text(event: Mapping[str, Any]) -> str:
    versions = " to ".join(filter(None, (event["before"], event["after"])))
    words = (_to_the_second(event["at"]), event["what"], versions, f"in generation {event['generation']}")
    why = f": {event['why']}" if event["why"] else ""
    return " ".join(filter(None, words)) + why


def _to_the_second(at: str) -> str:
    return f"{at[:19]}Z"


def _versions(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    serving, declared = document["serving"], document["declared"]
    if serving is None:
        yield "serving", "nothing"
    else:
        yield "serving", serving["version"]
        yield "archive", serving["uri"]
        if serving["digest"]:
            yield "digest", serving["digest"]
    if declared is not None and (serving is None or declared["uri"] != serving["uri"]):
        yield "declared", declared["version"]
        yield "declared at", declared["uri"]
    # Not the version that a rollback has restored: it serves already.
    restored = serving["version"] if serving is not None and document["pinned"] else None
    earlier = [version["version"] for version in document["earlier"] if version["version"] != restored]
    if earlier:
        yield "earlier", ", ".join(earlier)


def _evaluation_lines(evaluation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    recorded, stored, required = evaluation["recorded"], evaluation["stored"], evaluation["required"]
    if recorded is not None:
        yield "evaluation", evaluation["figures"]
        yield "", f"on {recorded['at']} over {recorded['dataset'][:19]}"
        yield "result", recorded["result"]
    else:
        yield "evaluation", "none is recorded"
    if stored and (recorded is None or stored[0] != recorded["result"]):
        yield "stored", stored[0]
    if required is not None:
        asked = " and ".join(required["requirements"])
        if required["exempt"]:
            yield "gate", f"exempt from {asked}"
        elif required["missed"]:
            yield "gate", f"the fleet would not take it as a new version: {'; '.join(required['missed'])}"
        else:
            yield "gate", f"met: {asked}"

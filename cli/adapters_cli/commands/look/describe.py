"""`adapters describe`: show all that is known of one adapter, or of any component."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from shutil import get_terminal_size
from typing import Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.counts import counted
from adapter_fleet.evaluation import EvaluationBar
from adapter_fleet.fleet.state.generations import Generation
from adapter_fleet.fleet.state.sagemaker_port import ServiceError
from adapter_fleet.manifest.desired import Artifact
from adapter_fleet.manifest.writer import plain_evaluation, plain_probe
from adapter_fleet.openai.urls import base_url
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.components import described_component, read_load
from adapters_cli.fleets.adapter_history import AdapterHistory, event_document
from adapters_cli.fleets.adapter_lookup import NEW, AdapterArgument, AdapterLookup, OneComponentOption
from adapters_cli.fleets.adapter_states import AdapterState, Proof
from adapters_cli.fleets.base_component import read_base
from adapters_cli.fleets.endpoint_comparison import compare_with_endpoint
from adapters_cli.fleets.fleet_lookup import Fleet, find_fleet, newest_generation
from adapters_cli.fleets.fleet_status import desired_by, read_status
from adapters_cli.fleets.remedies import next_step
from adapters_cli.fleets.versions import figures_text, version_document
from adapters_cli.output.errors import CommandError, UsageError
from adapters_cli.output.exit_codes import FAILED
from adapters_cli.output.results import JsonOption, print_result
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

EXAMPLES = """
# All about one adapter.
adapters describe acme --stack Tenants

# Any component, with the address for clients of OpenAI's API.
adapters describe -c llm-base
"""


def describe(
    context: typer.Context,
    name: AdapterArgument = None,
    component: OneComponentOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an adapter: its version, state, owner, evaluation, history, and the address that clients call.

    It shows the requests of the last hour as well, from CloudWatch. The owner is the tag `owner`, else
    `team`. A client of OpenAI's API leaves the model of a base component empty.

    Ends with 1 if the fleet has no such adapter, if SageMaker has no component of it any more, or if no copy
    of its base model answers or comes.
    """
    if (name is None) == (component is None):
        raise UsageError("give the adapter's name, or --component")
    outage, is_gone = None, False
    account = account_of(context)
    fleet = find_fleet(account) if name is not None else None
    if fleet is not None and name == newest_generation(fleet).request.target.base:
        component = name
    if component is not None:
        document = _component_document(account, component)
    elif fleet is not None and name is not None:
        lookup = AdapterLookup(fleet, newest_generation(fleet))
        [own] = lookup.find([name])
        seen = read_status(fleet, [], alone=[own])
        if not seen.adapters:
            raise lookup.unknown(name)
        known = seen.adapters[0]
        seen = compare_with_endpoint(fleet, seen, lists=False)
        if seen.not_compared is not None:
            print_note(f"not compared with SageMaker's component: {one_line(seen.not_compared)}")
        is_gone = seen.adapters[0].group is not known.group
        document = _document(fleet, lookup, seen.active, seen.adapters[0])
        base = read_base(fleet, seen.active)
        outage = base.outage
        document |= {"base_outage": outage, "copies": base.copies}
        if base.note is not None:
            print_error(base.note)
    lines = [line for label, value in _lines(document) for line in _folded(label, one_line(value))]
    print_result(document, "\n".join(lines), as_json=as_json)
    if outage is not None and not as_json:
        print_error(one_line(outage))
    if outage is not None or is_gone:
        raise typer.Exit(FAILED)


def _folded(label: str, text: str) -> list[str]:
    """Return the lines of a value. On a terminal, the words that have no room go below it.

    An address or a digest without room has a line of its own. It is not folded, so that it can be copied.
    """
    lines = [text]
    if sys.stdout.isatty():
        room = max(_WIDTH, get_terminal_size().columns - _WIDTH)
        if " " in text:
            lines = folded(text, room)
        elif len(text) > room:
            return [f"{label}\n  {text}"]
    return [f"{'' if number else label:<{_WIDTH}}{line}" for number, line in enumerate(lines)]


def _component_document(account: Account, component: str) -> dict[str, Any]:
    live = described_component(account, component)
    endpoint = live.endpoint or ""
    return {
        "name": component,
        "component": component,
        "endpoint": endpoint,
        "base": live.base,
        "state": live.status,
        "since": timestamp(live.created),
        "reason": live.failure_reason,
        "last_hour": _last_hour(account, component),
        # A container knows an adapter by its component's name. It knows its base model by another name.
        **_addresses(account, endpoint, component, model="" if live.base is None else component),
    }


def _addresses(account: Account, endpoint: str, component: str, *, model: str) -> dict[str, str]:
    return {
        "base_url": base_url(account.runtime_url, endpoint=endpoint, component=component),
        "model": model,
        "invocations_url": f"{account.runtime_url}/endpoints/{endpoint}/invocations",
    }


def _document(fleet: Fleet, lookup: AdapterLookup, active: Generation, state: AdapterState) -> dict[str, Any]:
    account, target = fleet.account, active.request.target
    desired = desired_by(fleet.registry, active).adapters
    declared = next((one for one in desired if one.name == state.name), None)
    wanted = None if declared is None else declared.artifact
    own = wanted if state.artifact is None or state.artifact.same_version_as(wanted) else state.artifact
    tags = {} if declared is None else state.tags
    components = lookup.components_of_versions(state.name)
    events = AdapterHistory.read(fleet.registry, components, _EVENTS).with_reasons
    history = [event_document(event, why) for event, why in events]
    other = _other_version(fleet, lookup, state)
    step = next_step(state, state.name) or (None if other is None else next_step(other, other.name))
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
        "remedy": step,
        "until": timestamp(state.until),
        "serving": version_document(state.artifact),
        "declared": version_document(wanted),
        "pinned": state.pinned,
        "earlier": [version_document(artifact) for artifact in state.earlier],
        "rank": None if declared is None else declared.rank,
        "tags": tags,
        "probe": None if own is None or own.probe is None else plain_probe(own.probe),
        "proof": state.proof,
        "asked_at": timestamp(state.asked_at),
        "evaluation": _evaluation(target.settings.bar_beside(target.base), state.name, own),
        "last_hour": _last_hour(account, state.component),
        "percent": state.percent,
        "beside": None if other is None else _beside(account, other),
        "history": history,
        "last_reason": state.reason or next((why for _, why in events if why), None),
        **_addresses(account, target.endpoint, state.component, model=state.component),
    }


def _evaluation(bar: EvaluationBar | None, name: str, shown: Artifact | None) -> dict[str, Any]:
    """Return the recorded evaluation of a version, and the fleet's bar."""
    record = None if shown is None else shown.evaluation
    required: dict[str, Any] | None = None
    if bar is not None:
        missed = [problem for _, problem in bar.problems(record, adapter=name)]
        required = {
            "requirements": list(bar.requirements),
            "exempt": bar.is_exempt(name),
            "missed": missed,
        }
    return {
        "version": None if shown is None else shown.version,
        "recorded": None if record is None else plain_evaluation(record),
        "figures": None if record is None else figures_text(record),
        "required": required,
    }


def _other_version(fleet: Fleet, lookup: AdapterLookup, state: AdapterState) -> AdapterState | None:
    """Return the state of the declared version, else of the one that answers; None if there is no other."""
    for name in (f"{state.name}@{NEW}", state.name):
        with suppress(CommandError):
            [other] = lookup.find([name])
            found = read_status(fleet, [], alone=[other]).adapters
            if found and found[0].component != state.component:
                return found[0]
    return None


def _beside(account: Account, other: AdapterState) -> dict[str, Any]:
    """Return another version than the one that is shown."""
    return {
        "component": other.component,
        "version": other.version,
        "state": other.state,
        "reason": other.reason,
        "percent": other.percent,
        "until": timestamp(other.until),
        "last_hour": _last_hour(account, other.component),
    }


def _last_hour(account: Account, component: str) -> dict[str, Any] | None:
    """Return the requests of the last hour, errors and times; None without permission to read them."""
    end = account.now()
    try:
        return asdict(read_load(account, component, end - _HOUR, end))
    except (ClientError, BotoCoreError, ServiceError) as error:
        print_note(f"the metrics of {component} cannot be read: {error}")
        return None


def _lines(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "adapter" if document["base"] else "base model", document["name"]
    share = f", for {document['percent']} % of the callers" if document.get("percent", 100) < 100 else ""
    for label in ("component", "endpoint", "base", "fleet", "owner"):
        if document.get(label):
            yield label, f"{document[label]}{share if label == 'component' else ''}"
    yield from _state_lines(document)
    if "fleet" in document:
        yield from _fleet_lines(document)
    if document["last_hour"] is not None:
        yield "last hour", _hour_text(document["last_hour"])
    if beside := document.get("beside"):
        reason = beside["reason"] or ("it answers" if beside["percent"] else "-")
        yield "beside", f"{beside['component']}, {beside['state']}: {reason}"
        if beside["last_hour"] is not None:
            yield "", f"last hour: {_hour_text(beside['last_hour'])}"
    yield "base_url", document["base_url"]
    yield "model", document["model"] or '""'
    yield "invocations", document["invocations_url"]
    for number, event in enumerate(document.get("history", ())):
        yield "" if number else "history", _event_text(event)


def _state_lines(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    since = f" since {_to_the_second(document['since'])}" if document["since"] else ""
    yield "state", f"{document['state']}{since}"
    if document["reason"]:
        yield "reason", document["reason"]
    if document.get("until"):
        yield "until", _to_the_second(document["until"])
    if document.get("remedy"):
        yield "what helps", document["remedy"]


def _fleet_lines(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if document["last_reason"] and not document["reason"]:
        yield "last reason", document["last_reason"]
    yield from _versions(document)
    yield from _declared_lines(document)
    yield from _evaluation_lines(document["evaluation"])


def _declared_lines(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if document["rank"]:
        yield "rank", str(document["rank"])
    for number, (key, value) in enumerate(document["tags"].items()):
        yield "" if number else "tags", f"{key} = {value}"
    if probe := document["probe"]:
        yield "probe", f"{probe['prompt']!r} begins with {probe['answer']!r}"
    if document["proof"]:
        yield "proof", _PROOFS[document["proof"]]
    yield "last asked", _to_the_second(document["asked_at"]) if document["asked_at"] else "never"


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
    shown = serving["version"] if serving is not None else None
    earlier = [version["version"] for version in document["earlier"] if version["version"] != shown]
    if earlier:
        yield "earlier", ", ".join(earlier)


def _evaluation_lines(evaluation: dict[str, Any]) -> Iterator[tuple[str, str]]:
    recorded, required = evaluation["recorded"], evaluation["required"]
    if recorded is not None:
        yield "evaluation", evaluation["figures"]
        yield "", f"on {recorded['at']} over {recorded['dataset'][:19]}"
        yield "result", recorded["result"]
    else:
        yield "evaluation", "none is recorded"
    if required is not None:
        asked = " and ".join(required["requirements"])
        if required["exempt"]:
            yield "gate", f"exempt from {asked}"
        elif required["missed"]:
            yield "gate", f"the fleet would not take it as a new version: {'; '.join(required['missed'])}"
        else:
            yield "gate", f"met: {asked}"

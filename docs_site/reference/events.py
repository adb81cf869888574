"""The page of the events: the history of adapters, generations, and the events that start a fleet."""

from collections.abc import Iterable

import griffe

from docs_site.markdown import table, wrapped
from docs_site.reference.docstrings import to_markdown
from docs_site.reference.sources import load

FILE = "events.md"

WHATS = {
    "created": "The component was created.",
    "updated": "The component serves another version.",
    "deleted": "The component was deleted.",
    "restored": "The component serves its last good version again, after a failure.",
    "failed": "A write failed, or the adapter did not answer as it should. `cause` says why.",
    "adopted": "The fleet took over a component that carried its tag, and that it did not know.",
    "drifted": "Someone changed or deleted the component by hand.",
    "retried": "`adapters apply --retry` ordered another attempt.",
    "unpinned": "The manifest named another version, which ended a rollback.",
}
"""What the events of an adapter are called."""


def page() -> str:
    """Return the page."""
    state = load("adapter_fleet")["fleet.state"]
    parts = [
        "# Events and history",
        wrapped(
            "What a fleet records, and which events of AWS start it. `adapters history` shows the records;"
            " `--json` has every field. The fleet's table keeps them for 400 days."
        ),
        "## Events of an adapter",
        wrapped(
            "`adapters history NAME` shows them, newest first. The function's log has a line for each one,"
            " with the message `adapter <what>` and the fields `adapter`, `component`, `before`, `after`,"
            " `seconds`, `cause` and `generation`."
        ),
        table(("what", "what happened"), [(f"`{what}`", said) for what, said in WHATS.items()]),
        _markdown(_docstring(state["records.Event"]).partition("\n\n")[2]),
        "## Generations",
        wrapped("One for each accepted change of the manifest. `adapters history` shows them."),
        table(("source", "who requested it"), _members(state["generations.Source"])),
        table(("outcome", "how it ended"), _members(state["generations.Outcome"])),
        "## Events that start a fleet",
        wrapped("The stack has a rule of EventBridge for each of these:"),
        table(
            ("rule", "event", "what the fleet does"),
            [
                (
                    "`ManifestChanged`",
                    "`aws.s3`, *Object Created*, of the manifest's bucket and key",
                    "reads the manifest, and makes it a generation",
                ),
                (
                    "`ManifestReread`",
                    "a schedule, each 15 minutes by default",
                    "looks for a manifest whose event was lost",
                ),
                (
                    "`Scaling`",
                    "`aws.cloudwatch`, *CloudWatch Alarm State Change*, of the alarms that scale the base"
                    " model",
                    "asks new copies whether they have the adapters",
                ),
                ("`DriftCheck`", "a schedule, with `drift_check`", "looks for changes made by hand"),
            ],
        ),
        wrapped(
            "The first two exist for a manifest in S3, the third for an endpoint whose copies scale. A"
            " manifest's event that could not be delivered for two hours goes to the fleet's queue"
            " `DeadLetters`. The fleet sends no event of its own to EventBridge: let an alarm on its"
            " [metrics](metrics.md) do that."
        ),
    ]
    return "\n\n".join(parts) + "\n"


def recorded_whats() -> Iterable[str]:
    """Return the names of events that the record's docstring has."""
    _, _, entry = _docstring(load("adapter_fleet")["fleet.state.records.Event"]).partition("what:\n")
    line = entry.strip().partition(".")[0]
    return line.replace(" or ", ", ").split(", ")


def _members(enum: griffe.Class) -> list[tuple[str, str]]:
    return [
        (f"`{str(member.value).strip(chr(39))}`", member.docstring.value)
        for member in enum.members.values()
        if isinstance(member, griffe.Attribute) and member.docstring
    ]


def _docstring(found: griffe.Object) -> str:
    assert found.docstring is not None
    return found.docstring.value


def _markdown(docstring: str) -> str:
    return to_markdown(docstring, links=lambda _: None, root="../")

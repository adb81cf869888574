"""The clients: each one's package, environment and script, and the calls that are known to fail."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.clients.environments import ROOT, Environment
from tests.guides import MadePart, table


@dataclass(frozen=True)
class KnownFailure:
    """A call that fails.

    words:
        What its error contains.
    why:
        What does not work, for the guide.
    """

    words: str
    why: str


_ONLY_CHATS = KnownFailure("Error code: 404", "anything but chats, which AWS refuses, too")
_ENDPOINT_AS_MODEL = KnownFailure(
    "is not registered",
    # It always sends the endpoint's name as `model`, and LMI has no model of that name. It works for
    # adapters, which the component chooses, and on AWS's vLLM container.
    "`sagemaker_chat/` for the base of an LMI container",
)
_STREAM_AS_DICTIONARY = KnownFailure(
    "'EventStream' object has no attribute 'get'",
    "`invoke_with_response_stream`",  # it reads the stream as a dictionary
)

KNOWN: Mapping[str, Mapping[str, KnownFailure]] = {
    "aws_cli": {
        "sagemaker-runtime invoke-endpoint-with-response-stream": KnownFailure(
            "argument operation: Invalid choice", "streams"
        ),
    },
    "sagemaker_2": {
        "Session.update_inference_component (adapter)": KnownFailure(
            "Invalid type for parameter RuntimeConfig, value: None",
            "updating an adapter without `runtime_config`",  # it sends a null, which botocore refuses
        ),
    },
    "sagemaker_3": {
        "Endpoint.invoke_with_response_stream (base)": _STREAM_AS_DICTIONARY,
        "Endpoint.invoke_with_response_stream (triage)": _STREAM_AS_DICTIONARY,
    },
    "litellm": {
        "sagemaker_chat/ (base)": _ENDPOINT_AS_MODEL,
        "sagemaker_chat/ (base, streamed)": _ENDPOINT_AS_MODEL,
        "sagemaker_chat/ (base, asynchronous, streamed)": _ENDPOINT_AS_MODEL,
        "sagemaker/ (AWS_ENDPOINT_URL alone)": KnownFailure(
            "Connection refused",
            "`AWS_ENDPOINT_URL`",  # it calls AWS
        ),
    },
    "openai": {
        "models.list": _ONLY_CHATS,
        "completions.create": _ONLY_CHATS,
        "responses.create": _ONLY_CHATS,
        "chat.completions.create (log probabilities)": KnownFailure(
            "Error code: 424",
            "log probabilities of chats",
        ),
    },
}
"""By script and call."""


def surprises(lines: Sequence[Mapping[str, Any]], known: Mapping[str, KnownFailure]) -> list[str]:
    """Return what is not as it is known: failures, successes, and calls that were not made."""
    found = [f"{call}: was not made" for call in known if call not in {line["call"] for line in lines}]
    for line in lines:
        call, expected = line["call"], known.get(line["call"])
        if expected is None and not line["ok"]:
            found.append(f"{call}: {line['error']}")
        elif expected is not None and line["ok"]:
            found.append(f"{call}: works, though it is known to fail")
        elif expected is not None and expected.words not in line["error"]:
            found.append(f"{call}: fails in other words: {line['error']}")
    return found


@dataclass(frozen=True)
class Client:
    """A client that others wrote.

    name:
        What its users call it.
    package:
        What it is on PyPI.
    pins:
        The file in `requirements` that pins it.
    script:
        The module beside this file that makes its calls.
    calls:
        How many those are, so that a script that ends early is noticed.
    component:
        How its users name a component, for the guide.
    """

    name: str
    package: str
    pins: str
    script: str
    calls: int
    component: str

    @property
    def environment(self) -> Environment:
        return Environment(self.pins)

    @property
    def version(self) -> str:
        return self.environment.version(self.package)


CLIENTS = [
    Client("AWS CLI", "awscli", "aws-cli", "aws_cli", 26, "`--inference-component-name`"),
    Client("SageMaker SDK 2", "sagemaker", "sagemaker-2", "sagemaker_2", 17, "`component_name=`"),
    Client(
        "SageMaker SDK 3", "sagemaker-core", "sagemaker-3", "sagemaker_3", 20, "`inference_component_name=`"
    ),
    Client("LiteLLM", "litellm", "litellm", "litellm", 19, "`model_id=`, or `openai/` as OpenAI"),
    Client("OpenAI", "openai", "openai", "openai", 11, "`base_url=` and `model=` of `adapters describe`"),
]


def clients_table() -> str:
    """Return a row for each client: how it names a component, and what works but for the known failures."""
    head = ("client", "names the component by", "calls that worked", "does not work")
    return table(head, [_row(one) for one in CLIENTS])


def _row(one: Client) -> list[str]:
    known = KNOWN[one.script]
    reasons = dict.fromkeys(failure.why for failure in known.values())
    worked = f"{one.calls - len(known)} of {one.calls}"
    return [f"{one.name} ({one.package} {one.version})", one.component, worked, "; ".join(reasons)]


PART = MadePart(
    guide=ROOT / "docs/guides/embedded-cloud.md",
    begin="<!-- Begin: written by `make qa SUITE=clients`. -->",
    end="<!-- End. -->",
    text=clients_table,
)

"""The container protocol as one table: a request, and what LMI and vLLM answer.

The tests of the NumPy server send it to both dialects, and `make qa SUITE=vllm` sends it to a real vLLM. The
server has `OPTION_MAX_LORA_RANK=8` or its equivalent, and the adapters REGISTERED before each row.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import httpx
import numpy as np
from safetensors.numpy import load_file, save_file

from tests.local.model_server.tickets import ADAPTERS, PROMPTS

DialectName = Literal["lmi", "vllm"]

REGISTERED = ("triage", "shout")
HEADER = "X-Amzn-SageMaker-Adapter-Identifier"
PROMPT, TICKET, ANSWERS = PROMPTS[0]["prompt"], PROMPTS[0]["ticket"], PROMPTS[0]["answers"]

COMPLETION = {"prompt": PROMPT, "max_tokens": 60, "temperature": 0}
CHAT = {"messages": [{"role": "user", "content": TICKET}], "max_tokens": 60, "temperature": 0}
LMI = {"inputs": PROMPT, "parameters": {"max_new_tokens": 60, "temperature": 0}}

TYPED = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """What a container answers; `text` is whose text it generates, and `says` is a part of the body."""

    status: int
    says: str = ""
    text: str | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One request. In `query` and `json`, `{word}` is a place of `make_places` or the served model's name."""

    name: str
    lmi: Answer
    vllm: Answer
    method: str = "POST"
    path: str = "/invocations"
    query: Mapping[str, str] = field(default_factory=dict)
    json: Mapping[str, Any] | None = None
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self, dialect: DialectName) -> Answer:
        return self.lmi if dialect == "lmi" else self.vllm


def both(*answer: Any, **named: Any) -> dict[str, Any]:
    """The same answer of both containers."""
    return {"lmi": Answer(*answer, **named), "vllm": Answer(*answer, **named)}


def invocation(name: str, body: Mapping[str, Any], adapter: str | None = None, **row: Any) -> Row:
    return Row(name=name, json=body, headers={} if adapter is None else {HEADER: adapter}, **row)


def registration(name: str, place: str, *, adapter: str = "probe", **row: Any) -> Row:
    return Row(name=name, path="/adapters", query={"name": adapter, "src": f"{{{place}}}"}, **row)


def chat_path(name: str, body: Mapping[str, Any], adapter: str | None = None, **row: Any) -> Row:
    return invocation(name, body, adapter, path="/v1/chat/completions", **row)


OF_BASE, OF_TRIAGE, OF_SHOUT = (Answer(200, text=label) for label in ("base", "triage", "shout"))
REFUSED = Answer(400)
CANNOT_LOAD = Answer(500, "Call to add_lora method failed: ")
NO_FILES: dict[str, Any] = {
    "lmi": Answer(424, "cannot read adapter_config.json"),
    "vllm": Answer(404, "No adapter found for"),
}
UNKNOWN: dict[str, Any] = {
    "lmi": Answer(404, "adapter 'nobody' is not registered"),
    "vllm": Answer(404, "The model `nobody` does not exist."),
}

ROWS: list[Row] = [
    Row(name="ping", method="GET", path="/ping", **both(200)),
    Row(name="ping by POST", path="/ping", lmi=Answer(405), vllm=Answer(200)),
    # Registering
    registration("register by query", "triage", **both(200, "Adapter probe registered")),
    Row(
        name="register by JSON body",
        path="/adapters",
        json={"name": "probe", "src": "{triage}", "preload": True, "pin": False},
        lmi=REFUSED,
        vllm=Answer(200, "Adapter probe registered"),
    ),
    Row(name="register without a name", path="/adapters", query={"src": "{triage}"}, **both(400)),
    Row(name="register without a source", path="/adapters", query={"name": "probe"}, **both(400)),
    registration(
        "register a duplicate",
        "shout",
        adapter="triage",
        lmi=Answer(409, "adapter 'triage' is registered already"),
        vllm=Answer(400, "has already been loaded"),
    ),
    registration("register a missing path", "missing", **NO_FILES),
    registration("register an empty directory", "empty", **NO_FILES),
    registration("register a rank too high", "rank-16", lmi=Answer(424, "rank 16"), vllm=CANNOT_LOAD),
    registration("register a wrong shape", "wrong-shape", lmi=Answer(424, "shape"), vllm=CANNOT_LOAD),
    registration("register garbage", "garbage", lmi=Answer(424, "safetensors"), vllm=CANNOT_LOAD),
    registration("register DoRA", "dora", lmi=Answer(424, "use_dora"), vllm=CANNOT_LOAD),
    registration(
        "register the name of the served model", "triage", adapter="{served}", lmi=Answer(200), vllm=REFUSED
    ),
    Row(name="unregister", method="DELETE", path="/adapters/triage", **both(200, "triage unregistered")),
    Row(
        name="unregister an unknown adapter",
        method="DELETE",
        path="/adapters/nobody",
        lmi=Answer(404, "adapter 'nobody' is not registered"),
        vllm=Answer(404, "The lora adapter 'nobody' cannot be found."),
    ),
    # Invocations
    invocation("invoke the base", COMPLETION, lmi=OF_BASE, vllm=OF_BASE),
    invocation("invoke the base by an empty header", COMPLETION, "", lmi=OF_BASE, vllm=OF_BASE),
    invocation("invoke an adapter", COMPLETION, "triage", lmi=OF_TRIAGE, vllm=OF_TRIAGE),
    invocation("invoke an adapter by chat", CHAT, "triage", lmi=OF_TRIAGE, vllm=OF_TRIAGE),
    invocation(
        "invoke an adapter by chat, streamed",
        CHAT | {"stream": True},
        "triage",
        lmi=Answer(200, "}\n\n", "triage"),
        vllm=Answer(200, "data: [DONE]", "triage"),
    ),
    invocation("invoke an unknown adapter", COMPLETION, "nobody", **UNKNOWN),
    invocation(
        "invoke with model in the body", COMPLETION | {"model": "triage"}, lmi=OF_TRIAGE, vllm=OF_BASE
    ),
    invocation(
        "invoke with adapters in the body", COMPLETION | {"adapters": "triage"}, lmi=OF_TRIAGE, vllm=OF_BASE
    ),
    invocation(
        "invoke with an adapter in the query",
        COMPLETION,
        query={"adapter": "triage"},
        lmi=OF_TRIAGE,
        vllm=OF_BASE,
    ),
    invocation(
        "invoke with an unknown model in the body",
        COMPLETION | {"model": "nobody"},
        lmi=UNKNOWN["lmi"],
        vllm=OF_BASE,
    ),
    invocation(
        "invoke an adapter with another model in the body",
        COMPLETION | {"model": "nobody"},
        "shout",
        lmi=OF_SHOUT,
        vllm=OF_SHOUT,
    ),
    invocation("invoke in LMI's form", LMI, "triage", lmi=OF_TRIAGE, vllm=REFUSED),
    Row(
        name="invoke without a Content-Type",
        content=json.dumps(COMPLETION).encode(),
        lmi=OF_BASE,
        vllm=REFUSED,
    ),
    Row(name="invoke with no JSON", content=b"{nope", headers=TYPED, **both(400)),
    Row(name="invoke with a list", content=b"[1]", headers=TYPED, **both(400)),
    invocation("invoke with an empty object", {}, **both(400)),
    # [V djl-serving] LMI passes `prompt` and `messages` on to vLLM's own request classes, so both answer.
    invocation(
        "invoke with logprobs",
        COMPLETION | {"logprobs": 1},
        "triage",
        **both(200, '"token_logprobs":', "triage"),
    ),
    # The OpenAI path
    chat_path("chat with the base by no model", CHAT, lmi=OF_BASE, vllm=OF_BASE),
    chat_path("chat with the base by an empty model", CHAT | {"model": ""}, lmi=OF_BASE, vllm=OF_BASE),
    chat_path("chat with the base by its name", CHAT | {"model": "{served}"}, lmi=OF_BASE, vllm=OF_BASE),
    chat_path("chat with an adapter by model", CHAT | {"model": "triage"}, lmi=OF_TRIAGE, vllm=OF_TRIAGE),
    chat_path("chat with an unknown model", CHAT | {"model": "nobody"}, **UNKNOWN),
    chat_path("chat with an adapter by header", CHAT, "triage", lmi=OF_TRIAGE, vllm=OF_BASE),
    chat_path(
        "chat with an adapter by header and another by model",
        CHAT | {"model": "shout"},
        "triage",
        lmi=OF_TRIAGE,
        vllm=OF_SHOUT,
    ),
    chat_path("chat with an unknown header", CHAT, "nobody", lmi=UNKNOWN["lmi"], vllm=OF_BASE),
    chat_path(
        "chat with an adapter, streamed",
        CHAT | {"model": "triage", "stream": True},
        **both(200, "data: [DONE]", "triage"),
    ),
    chat_path("chat without messages", {"prompt": PROMPT}, **both(400)),
]


def make_places(root: Path) -> dict[str, str]:
    """Write the directories that rows refer to; return their paths by name."""
    triage = ADAPTERS["triage"]
    config = json.loads((triage / "adapter_config.json").read_text())
    tensors = load_file(triage / "adapter_model.safetensors")

    def write(name: str, tensors: Mapping[str, Any], **changes: Any) -> None:
        (root / name).mkdir()
        (root / name / "adapter_config.json").write_text(json.dumps(config | changes))
        save_file(dict(tensors), root / name / "adapter_model.safetensors")

    doubled = {
        key: np.concatenate([tensor, tensor], 0 if "lora_A" in key else 1) for key, tensor in tensors.items()
    }
    write("rank-16", doubled, r=16)
    # Too wide: vLLM takes what is too narrow (tests/vllm/test_protocol.py).
    wider = {
        key: np.pad(tensor, ((0, 0), (0, 1))) if "lora_A" in key else tensor
        for key, tensor in tensors.items()
    }
    write("wrong-shape", wider)
    write("dora", tensors, use_dora=True)
    shutil.copytree(triage, root / "garbage")
    (root / "garbage" / "adapter_model.safetensors").write_bytes(b"no tensors at all")
    (root / "empty").mkdir()
    places = {name: root / name for name in ("rank-16", "wrong-shape", "dora", "garbage", "empty", "missing")}
    return {name: str(directory) for name, directory in (places | ADAPTERS).items()}


def prepare(client: httpx.Client) -> None:
    """Register REGISTERED, whatever earlier rows left, and nothing of theirs."""
    for name in ("probe", "lmi", *REGISTERED):
        client.delete(f"/adapters/{name}")
    for name in REGISTERED:
        client.post("/adapters", params={"name": name, "src": str(ADAPTERS[name])}).raise_for_status()


def send(client: httpx.Client, row: Row, words: Mapping[str, str]) -> httpx.Response:
    """Send a row's request with its words filled in."""

    def fill(value: Any) -> Any:
        for word, meaning in words.items():
            if isinstance(value, str):
                value = value.replace(f"{{{word}}}", meaning)
        return value

    content, headers = row.content, dict(row.headers)
    if row.json is not None:
        content = json.dumps({key: fill(value) for key, value in row.json.items()}).encode()
        headers |= TYPED
    query = {key: fill(value) for key, value in row.query.items()}
    return client.request(row.method, row.path, params=query, content=content, headers=headers)


def check(response: httpx.Response, answer: Answer) -> None:
    """Compare a response with what the table says."""
    assert response.status_code == answer.status, response.text
    assert answer.says in response.text
    if answer.text is not None:
        assert generated(response) == ANSWERS[answer.text]


def generated(response: httpx.Response) -> str:
    """Return the text of an answer in any form."""
    if response.headers["content-type"].startswith(("text/event-stream", "application/jsonlines")):
        deltas = [event["choices"][0]["delta"] for event in streamed(response)]
        return "".join(delta.get("content") or "" for delta in deltas)
    body = response.json()
    if "generated_text" in body:
        return str(body["generated_text"])
    (choice,) = body["choices"]
    return str(choice["message"]["content"] if "message" in choice else choice["text"])


def streamed(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the objects of a stream: server-sent events, or LMI's lines of JSON."""
    lines = [line.removeprefix("data: ") for line in response.text.splitlines()]
    return [json.loads(line) for line in lines if line.startswith("{")]

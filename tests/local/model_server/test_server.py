"""The container protocol, over HTTP against the server as a process."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from local_sagemaker.model_server.__main__ import BODY_BYTES
from tests.local.model_server.conftest import running_server
from tests.local.model_server.tickets import ADAPTERS, BASE, PROMPTS

HEADER = "X-Amzn-SageMaker-Adapter-Identifier"
PROMPT, ANSWERS = PROMPTS[0]["prompt"], PROMPTS[0]["answers"]


def invoke(client: httpx.Client, body: dict[str, Any], *, header: str | None = None) -> httpx.Response:
    return client.post("/invocations", json=body, headers={} if header is None else {HEADER: header})


def text(response: httpx.Response) -> str:
    assert response.status_code == 200, response.text
    found = response.json()["choices"][0]["text"]
    assert isinstance(found, str)
    return found


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """Parse LMI's lines of JSON up to the empty one that ends them."""
    assert response.headers["content-type"].startswith("application/jsonlines")
    *found, end, rest = response.text.split("\n")
    assert (end, rest) == ("", "")
    return [json.loads(line) for line in found]


COMPLETION = {"prompt": PROMPT, "max_tokens": 60}
CHAT = {"messages": [{"role": "user", "content": PROMPTS[0]["ticket"]}]}
LMI = {"inputs": PROMPT, "parameters": {"max_new_tokens": 60}}


def test_web_page_is_refused(tickets_server: httpx.Client) -> None:
    headers = {"Origin": "http://127.0.0.1:8000"}
    for method, path in (("GET", "/ping"), ("POST", "/invocations"), ("POST", "/adapters?name=x&src=y")):
        assert tickets_server.request(method, path, headers=headers).status_code == 403


def test_body_that_is_too_large_is_refused(tickets_server: httpx.Client) -> None:
    refused = tickets_server.post("/invocations", content=bytes(BODY_BYTES + 1))
    assert refused.status_code == 413


def test_completion(tickets_server: httpx.Client) -> None:
    content = invoke(tickets_server, COMPLETION, header="triage").json()
    usage = content["usage"]
    ending = {"finish_reason": "stop", "stop_reason": None}
    assert (content["object"], content["model"]) == ("text_completion", "triage")
    assert content["choices"] == [{"index": 0, "text": ANSWERS["triage"], "logprobs": None, **ending}]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    limit = usage["completion_tokens"] - 1
    limited = invoke(tickets_server, COMPLETION | {"max_tokens": limit}, header="triage")
    assert limited.json()["choices"][0]["finish_reason"] == "length", "the end token is counted too"


def test_chat_whose_content_comes_in_text_parts(tickets_server: httpx.Client) -> None:
    ticket = PROMPTS[0]["ticket"]
    parts = [{"type": "text", "text": ticket[:9]}, {"type": "text", "text": ticket[9:]}]
    chat = {"messages": [{"role": "user", "content": parts}], "model": "tickets-tiny-llama"}
    content = invoke(tickets_server, chat).json()

    assert (content["object"], content["model"]) == ("chat.completion", "tickets-tiny-llama")
    assert content["choices"][0]["message"] == {"role": "assistant", "content": ANSWERS["base"]}
    assert content["choices"][0]["finish_reason"] == "stop"
    assert content["usage"] == invoke(tickets_server, COMPLETION).json()["usage"]


def test_lmi_details_and_full_text(tickets_server: httpx.Client) -> None:
    parameters = LMI["parameters"] | {"details": True, "return_full_text": True, "seed": 3}
    content = invoke(tickets_server, LMI | {"parameters": parameters}, header="triage").json()

    assert content["generated_text"] == PROMPT + ANSWERS["triage"]
    details = content["details"]
    assert (details["finish_reason"], details["seed"]) == ("stop", 3)
    assert details["generated_tokens"] == len(details["tokens"])
    assert "".join(token["text"] for token in details["tokens"]) == ANSWERS["triage"] + "</s>"
    assert all(-1 < token["logprob"] <= 0 for token in details["tokens"])


def test_streamed_chat_names_the_role_first(tickets_server: httpx.Client) -> None:
    opening, *chunks = events(invoke(tickets_server, CHAT | {"stream": True}, header="shout"))

    assert opening["object"] == "chat.completion.chunk"
    assert opening["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(chunk["choices"][0]["delta"]["content"] for chunk in chunks) == ANSWERS["shout"]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_streamed_lmi_is_lines_of_json(tickets_server: httpx.Client) -> None:
    body = LMI | {"stream": True, "parameters": LMI["parameters"] | {"details": True}}
    response = invoke(tickets_server, body, header="summary")

    assert response.headers["content-type"].startswith("application/jsonlines")
    *found, usage, end, rest = response.text.split("\n")
    assert (usage, end, rest) == ("", "", "")
    lines = [json.loads(line) for line in found]
    assert "".join(line["token"]["text"] for line in lines) == ANSWERS["summary"]
    assert [line["generated_text"] for line in lines] == [None] * (len(lines) - 1) + [ANSWERS["summary"]]
    assert lines[-1]["details"]["generated_tokens"] == len(lines)


def test_stop_string_ends_the_answer_streamed_or_not(tickets_server: httpx.Client) -> None:
    expected = ANSWERS["base"].partition(" thank you")[0]
    stop = {"stop": ["never", " thank you"]}

    whole = invoke(tickets_server, COMPLETION | stop).json()["choices"][0]
    streamed = events(invoke(tickets_server, COMPLETION | stop | {"stream": True}))
    lmi = invoke(
        tickets_server, LMI | {"parameters": {"max_new_tokens": 60, "stop_sequences": [" thank you"]}}
    )

    assert (whole["text"], whole["finish_reason"], whole["stop_reason"]) == (expected, "stop", " thank you")
    assert "".join(chunk["choices"][0]["text"] for chunk in streamed) == expected
    assert lmi.json() == {"generated_text": expected}


def test_default_token_limits(tickets_server: httpx.Client) -> None:
    room = 512 - invoke(tickets_server, COMPLETION).json()["usage"]["prompt_tokens"]
    parameters = {"ignore_eos_token": True, "details": True}

    completion = invoke(tickets_server, {"prompt": PROMPT, "ignore_eos": True}).json()
    chat = invoke(tickets_server, CHAT | {"ignore_eos": True}).json()
    lmi = invoke(tickets_server, {"inputs": PROMPT, "parameters": parameters}).json()

    assert completion["usage"]["completion_tokens"] == 16
    assert chat["usage"]["completion_tokens"] == room
    assert lmi["details"]["generated_tokens"] == 30


def test_sampling_parameters_reach_the_model(tickets_server: httpx.Client) -> None:
    def drawn(seed: int, **settings: float) -> str:
        return text(invoke(tickets_server, COMPLETION | {"temperature": 6.0, "seed": seed} | settings))

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)
    assert drawn(1, top_p=0.01) == drawn(1, top_k=1) == drawn(1, temperature=0) == ANSWERS["base"]
    sampled = {"max_new_tokens": 60, "temperature": 6.0, "do_sample": False}
    assert invoke(tickets_server, LMI | {"parameters": sampled}).json() == {"generated_text": ANSWERS["base"]}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[" * 100_000, "the body is no JSON"),
        ({}, "the body should have 'prompt', 'inputs' or 'messages'"),
        ({"prompt": ["a", "b"]}, '\'prompt\' should be a string, got ["a", "b"]'),
        ({"prompt": ""}, "the prompt is empty"),
        ({"prompt": "a", "max_tokens": 0}, "'max_tokens' should be an integer of at least 1, got 0"),
        ({"prompt": "a", "temperature": True}, "'temperature' should be a number of at least 0, got true"),
        ({"prompt": "a", "top_p": 1.5}, "'top_p' should be a number from 0 to 1, got 1.5"),
        ({"prompt": "a", "stop": [1]}, "'stop' should be a string or a list of them, got [1]"),
        ({"prompt": "a", "stream": "yes"}, "'stream' should be true or false, got \"yes\""),
        ({"prompt": "a", "n": 2}, "'n' is not implemented here, got 2"),
        ({"prompt": "a", "stream_options": 1}, "'stream_options' should be an object, got 1"),
        ({"messages": ["hi"]}, "'messages[0]' should be an object with a 'role'"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            '\'messages[0].content\' should be text, got [{"type": "image_url"}]',
        ),
        ({"messages": [{"role": "user", "content": "a"}], "tools": [1]}, "'tools' is not implemented here"),
        ({"inputs": "a", "parameters": [1]}, "'parameters' should be an object, got [1]"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value)[:40],
)
def test_bad_body_is_400_and_says_why(tickets_server: httpx.Client, body: Any, message: str) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    response = tickets_server.post("/invocations", content=content)
    assert response.status_code == 400
    assert response.json()["message"].startswith(message)


def test_context_overflow_is_400_and_gives_the_numbers(tickets_server: httpx.Client) -> None:
    endless = COMPLETION | {"ignore_eos": True}
    used = invoke(tickets_server, COMPLETION).json()["usage"]["prompt_tokens"]
    fits = invoke(tickets_server, endless | {"max_tokens": 512 - used})
    over = invoke(tickets_server, endless | {"max_tokens": 513 - used})
    long = invoke(tickets_server, {"prompt": "a " * 600})

    assert fits.json()["usage"]["completion_tokens"] == 512 - used
    assert over.status_code == 400
    assert over.json()["message"] == (
        f"the context length is 512 tokens, got {used} in the prompt and {513 - used} tokens to generate"
    )
    assert long.status_code == 400
    assert re.fullmatch(r"the context length is 512 tokens, got 6\d\d in the prompt", long.json()["message"])


def register(client: httpx.Client, name: str, source: Path, **query: str) -> httpx.Response:
    return client.post("/adapters", params={"name": name, "src": str(source)} | query)


def test_registration_with_a_bad_query_is_400(tickets_server: httpx.Client) -> None:
    bad = register(tickets_server, "a", ADAPTERS["triage"], pin="perhaps")
    assert (bad.status_code, bad.json()["message"]) == (400, "'pin' should be true or false, got 'perhaps'")


def test_tiers_and_the_context_follow_the_environment(tmp_path: Path) -> None:
    limits = {"OPTION_MAX_LORAS": "1", "OPTION_MAX_CPU_LORAS": "2", "OPTION_MAX_MODEL_LEN": "300"}
    with running_server(BASE, OPTION_ENABLE_LORA="true", **limits) as client:
        for name in ("triage", "summary", "shout"):
            source = shutil.copytree(ADAPTERS[name], tmp_path / name)
            register(client, name, source).raise_for_status()
        shutil.rmtree(tmp_path)
        # Two are in memory, and the disk was the tier of the first.
        for name in ("shout", "summary"):
            assert text(invoke(client, COMPLETION, header=name)) == ANSWERS[name]
        assert invoke(client, COMPLETION, header="triage").status_code == 424
        assert invoke(client, LMI | {"stream": True}, header="triage").status_code == 424

        long = invoke(client, {"prompt": "a " * 300})
        assert long.json()["message"].startswith("the context length is 300 tokens, got 3")

        register(client, "pinned", ADAPTERS["summary"], pin="true").raise_for_status()
        assert text(invoke(client, COMPLETION, header="pinned")) == ANSWERS["summary"]
        assert register(client, "second", ADAPTERS["shout"], pin="true").status_code == 507
        assert invoke(client, COMPLETION, header="summary").status_code == 507


def test_bad_settings_end_the_server_with_the_reason() -> None:
    command = [sys.executable, "-m", "local_sagemaker.model_server", "--model-dir", str(BASE), "--port", "1"]
    variables = {"OPTION_MAX_LORAS": "0"}
    ended = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert ended.stderr == f"cannot serve {BASE}: 'max_loras' should be at least 1, got 0\n"

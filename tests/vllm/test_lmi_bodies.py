"""LMI's bodies in front of an application that answers as vLLM does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.vllm.engine.lmi_bodies import LmiBodies

TOKENS = [(7, "Hello"), (8, " there"), (2, "")]


class FakeVllm:
    """vLLM's `/invocations` as far as LMI's bodies need it; it keeps the last request."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.body: Any = None
        self.headers: dict[str, str] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        assert not message.get("more_body")
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        assert len(message["body"]) == int(self.headers["content-length"])
        self.body = json.loads(message["body"])
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        async for part in self._parts():
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _parts(self) -> AsyncIterator[bytes]:
        if self.status != 200:
            yield b'{"error": {"message": "too long"}}'
        elif self.body.get("stream"):
            events = [b"data: %b\n\n" % json.dumps(event).encode() for event in self._events()]
            whole = b"".join([*events, b"data: [DONE]\n\n"])
            for start in range(0, len(whole), 50):  # events that are cut anywhere
                yield whole[start : start + 50]
        else:
            whole = json.dumps({"choices": [self._choice(TOKENS, "stop")]}).encode()
            yield whole[:20]
            yield whole[20:]

    def _events(self) -> list[dict[str, Any]]:
        ends = [None, None, "stop"]
        chunks = [self._choice([token], end) for token, end in zip(TOKENS, ends, strict=True)]
        return [*({"choices": [chunk]} for chunk in chunks), {"choices": [], "usage": {}}]

    def _choice(self, tokens: list[tuple[int, str]], end: str | None) -> dict[str, Any]:
        choice: dict[str, Any] = {"text": "".join(text for _, text in tokens), "finish_reason": end}
        if "logprobs" in self.body:
            choice |= {
                "token_ids": [token for token, _ in tokens],
                "prompt_token_ids": [1, 5, 6],
                "logprobs": {
                    "tokens": [text for _, text in tokens],
                    "token_logprobs": [-0.5 for _ in tokens],
                },
            }
        return choice


def asked(vllm: FakeVllm, body: Any, *, path: str = "/invocations", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=LmiBodies(vllm))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return await client.post(path, content=content, headers=headers)

    return asyncio.run(ask())


def test_inputs_and_parameters_are_translated() -> None:
    vllm = FakeVllm()
    parameters = {
        "max_new_tokens": 60,
        "stop_sequences": ["\n"],
        "ignore_eos_token": True,
        "do_sample": False,
        "top_p": 0.9,
        "watermark": True,
        "n": 3,
    }
    answer = asked(vllm, {"inputs": "Hi", "parameters": parameters})
    assert (answer.status_code, answer.json()) == (200, {"generated_text": "Hello there"})
    assert vllm.body == {
        "prompt": "Hi",
        "max_tokens": 60,
        "stop": ["\n"],
        "ignore_eos": True,
        "temperature": 0,
        "top_p": 0.9,
        "stream": False,
    }


def test_details_have_every_token_and_the_full_text_begins_with_the_prompt() -> None:
    vllm = FakeVllm()
    parameters = {"details": True, "seed": 4, "return_full_text": True}
    answer = asked(vllm, {"inputs": "Hi. ", "parameters": parameters}).json()
    assert vllm.body["max_tokens"] == 30
    assert answer["generated_text"] == "Hi. Hello there"
    assert answer["details"] == {
        "finish_reason": "stop",
        "seed": 4,
        "generated_tokens": 3,
        "input_length": 3,
        "prefill": [],
        "tokens": [{"id": token, "text": text, "logprob": -0.5} for token, text in TOKENS],
    }


def test_stream_is_a_line_of_json_for_each_token_and_the_last_has_the_whole_text() -> None:
    answer = asked(FakeVllm(), {"inputs": "Hi", "parameters": {"details": True}, "stream": True})
    assert answer.headers["content-type"] == "application/jsonlines"
    lines = [json.loads(line) for line in answer.text.splitlines() if line]
    assert answer.text.endswith("}\n\n\n")
    assert [line["token"] for line in lines] == [
        {"id": token, "text": text, "logprob": -0.5} for token, text in TOKENS
    ]
    assert [line["generated_text"] for line in lines] == [None, None, "Hello there"]
    last = {"finish_reason": "stop", "seed": None, "generated_tokens": 3, "input_length": 3}
    assert [line["details"] for line in lines] == [None, None, last]


def test_stream_of_completions_is_lines_of_json_and_ends_with_an_empty_one() -> None:
    answer = asked(FakeVllm(), {"prompt": "Hi", "stream": True})
    assert answer.headers["content-type"] == "application/jsonlines"
    *found, usage, end, rest = answer.text.split("\n")
    assert (json.loads(usage)["choices"], end, rest) == ([], "", "")
    assert "".join(json.loads(line)["choices"][0]["text"] for line in found) == "Hello there"
    assert "data: " in asked(FakeVllm(), {"messages": [], "stream": True}, path="/v1/chat/completions").text


@pytest.mark.parametrize("stream", [False, True])
def test_error_of_vllm_is_the_answer(stream: bool) -> None:
    answer = asked(FakeVllm(400), {"inputs": "Hi", "stream": stream})
    assert (answer.status_code, answer.json()) == (400, {"error": {"message": "too long"}})


@pytest.mark.parametrize("body", [{"prompt": "Hi"}, {"messages": []}, {"inputs": "Hi", "parameters": 3}])
def test_body_of_another_schema_goes_to_vllm_as_it_is_as_json(body: Any) -> None:
    vllm = FakeVllm()
    answer = asked(vllm, body, **{"Content-Type": "application/octet-stream"})
    assert (vllm.body, vllm.headers["content-type"]) == (body, "application/json")
    assert "generated_text" not in answer.text
    asked(FakeVllm(400), [1])

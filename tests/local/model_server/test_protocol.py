"""The container protocol in both dialects: the whole table, and what takes more than one request."""

import json
import math
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.local.model_server.conftest import running_server
from tests.local.model_server.protocol_table import (
    ANSWERS,
    CHAT,
    COMPLETION,
    HEADER,
    ROWS,
    DialectName,
    Row,
    check,
    make_places,
    prepare,
    send,
)
from tests.local.model_server.tickets import ADAPTERS, BASE


@pytest.fixture(scope="module", params=["lmi", "vllm"])
def dialect(request: pytest.FixtureRequest) -> DialectName:
    name: DialectName = request.param
    return name


@pytest.fixture(scope="module")
def server(dialect: DialectName) -> Iterator[httpx.Client]:
    variables = {"OPTION_ENABLE_LORA": "true", "OPTION_MAX_LORA_RANK": "8", "OPTION_MAX_CPU_LORAS": "16"}
    variables["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "true"
    with running_server(BASE, "--dialect", dialect, **variables) as client:
        yield client


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_places(tmp_path_factory.mktemp("places")) | {"served": "lmi"}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_request_gets_the_answer_of_the_table(
    server: httpx.Client, dialect: DialectName, words: dict[str, str], row: Row
) -> None:
    prepare(server)
    check(send(server, row, words), row.answer(dialect))


@pytest.mark.parametrize(("dialect_name", "status"), [("lmi", 400), ("vllm", 500)])
def test_registration_without_lora_is_refused(dialect_name: str, status: int) -> None:
    with running_server(BASE, "--dialect", dialect_name, VLLM_ALLOW_RUNTIME_LORA_UPDATING="true") as client:
        refused = client.post("/adapters", params={"name": "a", "src": str(ADAPTERS["triage"])})
        assert refused.status_code == status
        assert "LoRA is off" in refused.text


def test_vllm_has_no_paths_for_adapters_without_its_flag() -> None:
    with running_server(BASE, "--dialect", "vllm", SM_VLLM_ENABLE_LORA="true") as client:
        refused = client.post("/adapters", params={"name": "a", "src": str(ADAPTERS["triage"])})
        assert refused.status_code == 404
        # In these words, the cloud recognizes that there is no such path.
        assert refused.json()["message"] == "Not Found"
        asked = client.post("/invocations", json=COMPLETION, headers={HEADER: "a"})
        assert (asked.status_code, asked.json()["error"]["type"]) == (404, "NotFoundError")


def test_errors_have_the_form_of_the_container(server: httpx.Client, dialect: DialectName) -> None:
    error = server.post("/v1/chat/completions", json=CHAT | {"model": "nobody"}).json()
    if dialect == "lmi":
        assert error == {
            "code": 404,
            "type": "UnknownModelError",
            "message": "adapter 'nobody' is not registered",
        }
    else:
        assert error == {
            "error": {
                "message": "The model `nobody` does not exist.",
                "type": "NotFoundError",
                "param": "model",
                "code": 404,
            }
        }


def test_completion_has_the_log_probability_of_each_token(server: httpx.Client) -> None:
    prepare(server)
    body = COMPLETION | {"logprobs": 2}
    (choice,) = server.post("/invocations", json=body, headers={HEADER: "triage"}).json()["choices"]

    scored = choice["logprobs"]
    assert "".join(scored["tokens"]) == ANSWERS["triage"] + "</s>"
    assert scored["text_offset"] == [
        len("".join(scored["tokens"][:position])) for position in range(len(scored["tokens"]))
    ]
    for token, score, top in zip(
        scored["tokens"], scored["token_logprobs"], scored["top_logprobs"], strict=True
    ):
        assert -1 < score <= 0
        assert len(top) == 2
        assert next(iter(top.items())) == (token, score), "greedy: the chosen token is the likeliest"
        assert sum(map(math.exp, top.values())) <= 1 + 1e-6


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (COMPLETION | {"logprobs": 21}, "'logprobs' should be an integer from 0 to 20, got 21"),
        (CHAT | {"logprobs": 1}, "'logprobs' should be true or false, got 1"),
        (CHAT | {"logprobs": True}, "'logprobs' of a chat is not implemented here, got true"),
    ],
    ids=["too many", "no flag", "chat"],
)
def test_wrong_request_for_log_probabilities_is_refused(
    server: httpx.Client, body: dict[str, Any], message: str
) -> None:
    refused = server.post("/invocations", json=body)
    assert refused.status_code == 400
    assert message in json.loads(refused.text).get("message", refused.json().get("error", {}).get("message"))

import json
from typing import Any

import pytest

from adapters_cli.aws.account import Account
from adapters_cli.aws.generated_text import GeneratedText, TextRequest, text_of_answer
from adapters_cli.aws.runtime_endpoint import InvocationError, RuntimeEndpoint, UnaskedError
from tests.cli.fake_runtime import Call, FakeRuntime, Reply

REQUEST = TextRequest(prompt="Hello", max_tokens=7)
USAGE = {"prompt_tokens": 3, "completion_tokens": 2}


@pytest.fixture
def endpoint(runtime: FakeRuntime) -> RuntimeEndpoint:
    return RuntimeEndpoint.connect("llm", Account())


def test_answer_has_its_tokens_and_seconds(endpoint: RuntimeEndpoint, runtime: FakeRuntime) -> None:
    answer = {"choices": [{"text": "Hi"}], "usage": USAGE}
    runtime.reply = lambda call: Reply(json.dumps(answer).encode())
    found = endpoint.generate("llm-acme", REQUEST)
    assert (found.text, found.prompt_tokens, found.completion_tokens) == ("Hi", 3, 2)
    assert 0 < found.seconds < 10


def test_container_that_knows_lmi_s_own_schema_alone_is_found_out_once(
    endpoint: RuntimeEndpoint, runtime: FakeRuntime
) -> None:
    def reply(call: Call) -> Reply:
        if "inputs" not in call.body:
            told = "Received client error (400) from flora with message \"no 'inputs'\"."
            return Reply.error(424, "ModelError", Message=told, OriginalStatusCode=400)
        return Reply(b'{"generated_text": "from inputs"}')

    runtime.reply = reply
    chat = TextRequest(messages=[{"role": "user", "content": "Hello"}], max_tokens=7)
    with pytest.raises(InvocationError, match=r"the container answered 400: .*no 'inputs'") as refused:
        endpoint.generate("llm-acme", chat)
    assert not refused.value.temporary
    runtime.calls.clear()
    texts = [endpoint.generate("llm-acme", REQUEST).text for _ in range(3)]
    assert texts == ["from inputs"] * 3
    assert [next(iter(call.body)) for call in runtime.calls] == ["prompt", "inputs", "inputs", "inputs"]


def test_wrong_prompt_is_not_sent_in_another_form_once_the_form_is_known(
    endpoint: RuntimeEndpoint, runtime: FakeRuntime
) -> None:
    endpoint.generate("llm-acme", REQUEST)
    runtime.calls.clear()
    runtime.reply = lambda call: Reply.error(
        424, "ModelError", OriginalStatusCode=400, OriginalMessage="the prompt is too long"
    )
    with pytest.raises(InvocationError, match="the prompt is too long"):
        endpoint.generate("llm-acme", REQUEST)
    assert len(runtime.calls) == 1


@pytest.mark.parametrize(
    ("reply", "temporary"),
    [
        (Reply.error(400, "ThrottlingException", Message="slow down"), True),
        (Reply.error(400, "ValidationError", Message="Inference Component has no capacity to process"), True),
        (Reply.error(400, "ValidationError", Message="Endpoint llm of account 0 not found."), False),
        (Reply.error(403, "AccessDeniedException", Message="no"), False),
        (Reply.error(500, "InternalFailure", Message="no"), True),
        (Reply.error(424, "ModelError", OriginalStatusCode=503, OriginalMessage="busy"), True),
        (Reply.error(424, "ModelError", OriginalStatusCode=500, OriginalMessage="broken"), False),
        (Reply(b'{"choices": []}'), False),
    ],
)
def test_error_says_whether_it_passes(
    endpoint: RuntimeEndpoint, runtime: FakeRuntime, reply: Reply, temporary: bool
) -> None:
    runtime.reply = lambda call: reply
    with pytest.raises(InvocationError) as error:
        endpoint.generate("llm-acme", REQUEST)
    assert error.value.temporary is temporary


@pytest.mark.usefixtures("aws_environment")
def test_connection_that_is_refused_may_come_back_and_missing_credentials_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    for temporary in (True, False):
        with pytest.raises(UnaskedError) as error:
            RuntimeEndpoint.connect("llm", Account()).generate("llm-acme", REQUEST)
        assert error.value.temporary is temporary
        monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)


def test_prompt_is_a_completion_or_in_lmi_s_own_schema_and_messages_are_a_chat_alone() -> None:
    request = TextRequest(prompt="Hello", max_tokens=7, temperature=0.5, stop=("\n",))
    parameters = {"max_new_tokens": 7, "temperature": 0.5, "details": True, "stop_sequences": ["\n"]}
    assert request.bodies() == [
        {"prompt": "Hello", "max_tokens": 7, "temperature": 0.5, "stop": ["\n"]},
        {"inputs": "Hello", "parameters": parameters},
    ]
    message = {"role": "user", "content": "Hello"}
    request = TextRequest(messages=[message], max_tokens=7)
    assert request.bodies() == [{"messages": [message], "max_tokens": 7, "temperature": 0}]


COUNTED = GeneratedText(text="Hi", seconds=0.5, prompt_tokens=3, completion_tokens=2)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ({"choices": [{"text": "Hi", "index": 0}], "usage": USAGE}, COUNTED),
        ({"choices": [{"message": {"role": "assistant", "content": "Hi"}}], "usage": USAGE}, COUNTED),
        ({"generated_text": "Hi", "details": {"input_length": 3, "generated_tokens": 2}}, COUNTED),
        ([{"generated_text": "Hi"}], GeneratedText(text="Hi", seconds=0.5)),
        ({"choices": [{"text": "Hi"}], "usage": None}, GeneratedText(text="Hi", seconds=0.5)),
        ({"choices": []}, None),
        ({"choices": [{"message": {"content": None}}]}, None),
        ("Hi", None),
    ],
)
def test_text_and_tokens_are_found_in_any_form(answer: Any, found: GeneratedText | None) -> None:
    assert text_of_answer(answer, 0.5) == found

from typing import Any

import pytest

from adapters_cli.aws.generated_text import GeneratedText, TextRequest, text_of_answer


def test_prompt_is_a_completion_or_in_lmi_s_own_schema() -> None:
    request = TextRequest(prompt="Hello", max_tokens=7, temperature=0.5, stop=("\n",))
    assert request.bodies() == [
        {"prompt": "Hello", "max_tokens": 7, "temperature": 0.5, "stop": ["\n"]},
        {
            "inputs": "Hello",
            "parameters": {
                "max_new_tokens": 7,
                "temperature": 0.5,
                "details": True,
                "stop_sequences": ["\n"],
            },
        },
    ]


def test_messages_are_a_chat_alone() -> None:
    message = {"role": "user", "content": "Hello"}
    request = TextRequest(messages=[message], max_tokens=7)
    assert request.bodies() == [{"messages": [message], "max_tokens": 7, "temperature": 0}]


COUNTED = GeneratedText(text="Hi", seconds=0.5, prompt_tokens=3, completion_tokens=2)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (
            {
                "choices": [{"text": "Hi", "index": 0}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2},
            },
            COUNTED,
        ),
        (
            {
                "choices": [{"message": {"role": "assistant", "content": "Hi"}}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 2},
            },
            COUNTED,
        ),
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

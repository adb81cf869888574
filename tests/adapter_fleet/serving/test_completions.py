"""Bodies of prompts, and what counts as the expected text."""

from typing import Any

import pytest

from adapter_fleet.serving.completions import Completion, PromptRequest, completion_of

REQUEST = PromptRequest(prompt="Hi", max_tokens=3)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [({}, REQUEST), ({"stop": "x"}, None), ({"temperature": 1}, None), ({"prompt": None}, None)],
)
def test_prompt_is_read_back_from_its_body_and_from_no_other(
    changes: dict[str, Any], expected: PromptRequest | None
) -> None:
    assert PromptRequest.of_body({**REQUEST.body(), **changes}) == expected


@pytest.mark.parametrize(
    "answer", [{"choices": [{"text": "a"}]}, {"generated_text": "a"}, [{"generated_text": "a"}]]
)
def test_text_is_found_in_each_form(answer: object) -> None:
    assert completion_of(answer) == Completion(text="a")


@pytest.mark.parametrize("answer", [{}, {"choices": []}, {"error": "a"}, [], None, "a", {"choices": [{}]}])
def test_anything_else_has_no_text(answer: object) -> None:
    assert completion_of(answer) is None


@pytest.mark.parametrize(
    "logprobs",
    [None, {}, {"tokens": ["a"], "token_logprobs": [None], "top_logprobs": [None]}, {"content": []}, "a"],
)
def test_log_probabilities_in_another_form_are_left_out(logprobs: object) -> None:
    assert completion_of({"choices": [{"text": "a", "logprobs": logprobs}]}) == Completion(text="a")


class TestExpectedText:
    @pytest.mark.parametrize("text", ["Paris is", " Paris", "\n\nParis, France"])
    def test_beginning_counts_whatever_white_space_is_in_front(self, text: str) -> None:
        assert Completion(text=text).begins_with(" Paris")

    @pytest.mark.parametrize("text", ["", "Par", "paris", "The city Paris", "P aris"])
    def test_another_text_is_another_answer(self, text: str) -> None:
        assert not Completion(text=text).begins_with("Paris")

    @staticmethod
    def chosen(likelihood: float, other: float) -> Completion:
        """An answer whose second token was chosen in the place of ` big`."""
        tokens = [
            (" A", -0.1, {" A": -0.1, " The": -3.0}),
            (" large", likelihood, {" large": likelihood, " big": other}),
            (" city", -0.2, {}),
        ]
        return Completion(text=" A large city", tokens=tokens)

    def test_near_tie_may_go_either_way(self) -> None:
        near = self.chosen(-0.7, -0.8)
        assert near.begins_with("A big city")
        # The expected text may end inside the other token.
        assert near.begins_with("A bi")
        assert not near.begins_with("A small city")
        assert not self.chosen(-0.1, -2.5).begins_with("A big city")

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from adapters_cli.aws.generated_text import TextRequest
from adapters_cli.evaluation.answer_log import LOG_FILE, Question, open_log
from adapters_cli.evaluation.result import Answer
from adapters_cli.output.errors import CommandError

QUESTION = Question(
    place="llm",
    component="llm-acme",
    version="v1",
    item="1",
    request=TextRequest(prompt="Hello", max_tokens=7),
)
ANSWER = Answer(text="Grüße 猫 \ud800", seconds=0.25, prompt_tokens=3, completion_tokens=2)


def test_answer_is_found_again_and_an_error_is_asked_again(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    for answer in (Answer(error="throttled"), ANSWER):
        with open_log(folder) as log:
            assert not log.is_answered(QUESTION)
            log.add(QUESTION, answer)
        with open_log(folder) as log:
            found = log.answer(QUESTION)
        assert found is not None
        assert found.answer == answer
    with open_log(folder) as log:
        assert log.is_answered(QUESTION)


@pytest.mark.parametrize(
    "other",
    [
        replace(QUESTION, place="other"),
        replace(QUESTION, component="llm-beta"),
        replace(QUESTION, version="v2"),
        replace(QUESTION, item="2"),
        replace(QUESTION, request=replace(QUESTION.request, prompt="Hello!")),
        replace(QUESTION, request=replace(QUESTION.request, max_tokens=8)),
        replace(QUESTION, request=replace(QUESTION.request, temperature=0.5)),
        replace(QUESTION, request=replace(QUESTION.request, stop=("\n",))),
        replace(QUESTION, request=replace(QUESTION.request, messages=({"role": "user", "content": "x"},))),
    ],
)
def test_answer_is_not_that_of_another_question(tmp_path: Path, other: Question) -> None:
    with open_log(tmp_path) as log:
        log.add(QUESTION, ANSWER)
        assert log.answer(other) is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_new_folder_is_for_this_user_alone(tmp_path: Path) -> None:
    with open_log(tmp_path / "new"):
        pass
    modes = [path.stat().st_mode & 0o777 for path in (tmp_path / "new", tmp_path / "new" / LOG_FILE)]
    assert modes == [0o700, 0o600]


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_torn_last_line_is_cut_off(tmp_path: Path, cut: int) -> None:
    second = replace(QUESTION, item="2")
    with open_log(tmp_path) as log:
        log.add(QUESTION, ANSWER)
        log.add(second, ANSWER)
    path = tmp_path / LOG_FILE
    path.write_bytes(path.read_bytes()[:-cut])
    with open_log(tmp_path) as log:
        assert (log.is_answered(QUESTION), log.is_answered(second)) == (True, False)
        log.add(second, ANSWER)
    assert [json.loads(line)["item"] for line in path.read_text().splitlines()] == ["1", "2"]


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"key": 1, "text": 2}', "\0\0"])
def test_line_that_is_no_answer_is_passed_over(tmp_path: Path, line: str) -> None:
    with open_log(tmp_path) as log:
        log.add(QUESTION, ANSWER)
    path = tmp_path / LOG_FILE
    path.write_text(f"{line}\n{path.read_text()}")
    with open_log(tmp_path) as log:
        assert log.is_answered(QUESTION)
        assert log.unreadable == (1 if line else 0)


def test_second_command_on_one_log_is_refused_and_an_answer_after_the_end_is_dropped(
    tmp_path: Path,
) -> None:
    refused = pytest.raises(CommandError, match="another command evaluates into")
    with open_log(tmp_path) as log, refused, open_log(tmp_path):
        pass
    log.add(QUESTION, ANSWER)
    assert (tmp_path / LOG_FILE).read_bytes() == b""

"""What is found wrong with a command, without running it."""

import pytest

from tests.docs.command_lines import problem_of
from tests.docs.shell import commands, whole_commands


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("adapters statsu", "there is no command 'statsu'"),
        ("adapters status --wiat", "No such option: --wiat"),
        ("cdk deploy -c environment=staging", "got 'staging'"),
        ("make tset", "the Makefile has no target 'tset'"),
        ("cat environments/lcal.toml", "the repository has no 'environments/lcal.toml'"),
        ("adpaters status", "no program"),
        ("aws sagemaker list-endpoints --nam x", "aws sagemaker list-endpoints has no option '--nam'"),
    ],
)
def test_mistake_is_found(text: str, problem: str) -> None:
    (command,) = commands(text)
    assert problem in (problem_of(command) or "")


def test_loop_function_and_here_document_are_each_one_command() -> None:
    parts = [
        "for a in 1 2; do\n  echo $a\ndone\n",
        "f() {\n  true\n}\n",
        "cat > a.txt <<'E'\nadapters x\nE\n",
        "true\n",
    ]
    assert list(whole_commands("".join(parts))) == parts
    assert ["adapters", "x"] not in list(commands("".join(parts)))

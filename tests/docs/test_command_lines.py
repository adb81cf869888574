"""What is found wrong with a command, without running it."""

import pytest

from tests.docs.blocks import ROOT, Block
from tests.docs.command_lines import problem_of
from tests.docs.shell import commands, script, whole_commands


def problems(text: str) -> list[str]:
    return [problem for command in commands(text) if (problem := problem_of(command))]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("adapters statsu", "there is no command 'statsu'"),
        ("adapters status --wiat", "No such option: --wiat"),
        ("adapters apply --retry | adapters statsu", "there is no command 'statsu'"),
        ("cdk deplo", "cdk has no command 'deplo'"),
        ("cdk deploy --fast", "cdk deploy has no option '--fast'"),
        ("cdk deploy -c env=prod", "'-c' should set 'environment'"),
        ("cdk deploy -c environment=staging", "got 'staging'"),
        ("make tset", "the Makefile has no target 'tset'"),
        ("make local PORT=1", "the Makefile has no variable 'PORT'"),
        ("local-sagemaker --set write_rat=1", "write_rat"),
        ("local-sagemaker --prot 1", "does not accept"),
        ("python -m examples.dmo", "there is no module 'examples.dmo'"),
        ("pip install 'cdk-multi-adapter-inference[lcoal]'", "no extra 'lcoal'"),
        ("cat environments/lcal.toml", "the repository has no 'environments/lcal.toml'"),
        ("adpaters status", "no program"),
        ("aws sagemakr list-endpoints", "aws has no service 'sagemakr'"),
        ("aws sagemaker list-endpoint", "aws sagemaker has no operation 'list-endpoint'"),
        ("aws sagemaker list-endpoints --nam x", "aws sagemaker list-endpoints has no option '--nam'"),
    ],
)
def test_mistake_is_found(text: str, problem: str) -> None:
    (found,) = problems(text)
    assert problem in found


def test_right_commands_have_no_problem() -> None:
    assert not problems(
        "export ADAPTERS_STACK=Tenants\n"
        "adapters status --wait && cdk deploy -c environment=local --require-approval never\n"
        "adapters invoke acme $'one\\ntwo' \\\n    --json > answers.json  # a comment\n"
        'for name in acme globex; do adapters describe "$name"; done\n'
        "local-sagemaker --port 0 > cloud.env 2>&1 &\n"
        "cloud/bin/pip install 'cdk-multi-adapter-inference[local]'\n"
        "aws sagemaker list-endpoints --name-contains x --query Endpoints --output text\n"
        "AWS_REGION=eu-west-1 adapters list 2> errors.txt\n"
    )


def test_session_has_the_commands_without_their_output() -> None:
    session = "$ adapters status \\\n    --wait\nacme  in service\n$ adapters list\n"
    block = Block(path=ROOT / "README.md", line=1, language="console", text=session, mark=None)
    assert list(whole_commands(script(block))) == ["adapters status \\\n    --wait\n", "adapters list\n"]


def test_loop_function_and_here_document_are_each_one_command() -> None:
    parts = [
        "for a in 1 2; do\n  echo $a\ndone\n",
        "f() {\n  true\n}\n",
        "cat > a.txt <<'E'\nadapters x\nE\n",
        "true\n",
    ]
    assert list(whole_commands("".join(parts))) == parts
    assert ["adapters", "x"] not in list(commands("".join(parts)))

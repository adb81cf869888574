"""Deployments of an app: which commands run, with which variables, and what a failure says."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.cdk_app import CdkApp, CdkError, Stack

ENVIRONMENT = {"AWS_DEFAULT_REGION": "us-east-1", "AWS_ENDPOINT_URL": "http://127.0.0.1:4566"}
VARIABLES = ("AWS_CONFIG_FILE", "AWS_ENDPOINT_URL", "CDK_HOME", "HOME", "TENANT")
COMMAND_LINE = f"""#!{sys.executable}
import json, os, sys, time
from pathlib import Path

with Path("calls.jsonl").open("a") as calls:
    variables = {{name: os.environ.get(name) for name in {VARIABLES}}}
    calls.write(json.dumps({{"arguments": sys.argv[1:], "variables": variables}}) + "\\n")
if sys.argv[1] == Path("failing").read_text():
    print(Path("output").read_text())
    sys.exit(1)
if sys.argv[1] == Path("hanging").read_text():
    print("waiting", flush=True)
    time.sleep(600)
if sys.argv[1] == "synth":
    Path(sys.argv[sys.argv.index("--output") + 1]).parent.mkdir(parents=True, exist_ok=True)
    Path("assembly").rename(sys.argv[sys.argv.index("--output") + 1])
if sys.argv[1] == "deploy":
    outputs = {{"Inference": {{"EndpointName": "llm"}}}}
    Path(sys.argv[sys.argv.index("--outputs-file") + 1]).write_text(json.dumps(outputs))
"""

CAUSE = "my.module.LocatedError: 'Inference': no:\n  - acme: truncated\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An app's folder whose `cdk` notes its calls and synthesizes a stack, and another one in a stage."""
    app = tmp_path / "app"
    command = app / "node_modules" / ".bin" / "cdk"
    command.parent.mkdir(parents=True)
    command.write_text(COMMAND_LINE)
    command.chmod(0o755)
    (app / "failing").write_text("nothing")
    (app / "hanging").write_text("nothing")
    stage = {"type": "cdk:cloud-assembly", "properties": {"directoryName": "stage"}}
    stack = {"type": "aws:cloudformation:stack", "environment": "aws://unknown-account/unknown-region"}
    elsewhere = {
        "type": "aws:cloudformation:stack",
        "environment": "aws://111122223333/eu-west-1",
        "properties": {"stackName": "Prod-Inference"},
    }
    (app / "assembly" / "stage").mkdir(parents=True)
    artifacts = {"Inference": stack, "Stage": stage, "Tree": {"type": "cdk:tree"}}
    (app / "assembly" / "manifest.json").write_text(json.dumps({"artifacts": artifacts}))
    nested = {"artifacts": {"StageInference1": elsewhere}}
    (app / "assembly" / "stage" / "manifest.json").write_text(json.dumps(nested))
    return app


def calls(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "calls.jsonl").read_text().splitlines()]


def test_app_is_synthesized_bootstrapped_and_deployed(folder: Path, tmp_path: Path) -> None:
    reported: list[str] = []
    app = CdkApp(folder=folder, app="python other.py", context={"models": "/models"}, stacks=["Inference"])
    app.deploy(ENVIRONMENT, tmp_path / "work", report=reported.append)
    synth, bootstrap, deploy = (call["arguments"] for call in calls(folder))
    assert reported == [f"cdk {each[0]}" for each in (synth, bootstrap, deploy)]
    assert (synth[0], bootstrap[0], deploy[0]) == ("synth", "bootstrap", "deploy")
    assert "--app python other.py --context models=/models" in " ".join(synth)
    assert "Inference" in deploy
    assert "--all" not in deploy


def test_commands_have_the_variables_of_the_cloud_and_nothing_of_the_users_aws(
    folder: Path, tmp_path: Path
) -> None:
    environment = {**ENVIRONMENT, "HOME": "/home/me"}
    CdkApp(folder=folder, variables={"TENANT": "acme"}).deploy(environment, tmp_path / "work")
    expected = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_ENDPOINT_URL": ENVIRONMENT["AWS_ENDPOINT_URL"],
        "CDK_HOME": str(tmp_path / "work" / "cdk-home"),
        "HOME": "/home/me",
        "TENANT": "acme",
    }
    assert [call["variables"] for call in calls(folder)] == [expected] * 3


def test_stacks_of_stages_are_among_the_deployed(folder: Path, tmp_path: Path) -> None:
    assert CdkApp(folder=folder).deploy(ENVIRONMENT, tmp_path / "work") == [
        Stack(name="Inference", region="us-east-1", outputs={"EndpointName": "llm"}),
        Stack(name="Prod-Inference", region="eu-west-1", outputs={}),
    ]


@pytest.mark.parametrize(
    ("output", "shown"),
    [
        ("the role may not do that", "the role may not do that"),
        # The cause in a traceback comes first.
        (f"Traceback:\n  a line\n{CAUSE}exited with 1", f"{CAUSE}\nTraceback:"),
    ],
)
def test_command_that_fails_is_named_with_its_output(
    folder: Path, tmp_path: Path, output: str, shown: str
) -> None:
    (folder / "failing").write_text("bootstrap")
    (folder / "output").write_text(output)
    with pytest.raises(CdkError, match=rf"'cdk bootstrap .*' exited with 1:\n{re.escape(shown)}"):
        CdkApp(folder=folder).deploy(ENVIRONMENT, tmp_path / "work")


def test_command_that_does_not_end_is_stopped(folder: Path, tmp_path: Path) -> None:
    (folder / "hanging").write_text("bootstrap")
    with pytest.raises(CdkError, match=r"'cdk bootstrap .*' should end within 2 s, got no end:"):
        CdkApp(folder=folder, timeout=2).deploy(ENVIRONMENT, tmp_path / "work")


def test_missing_command_line_is_named_with_how_to_install_it(tmp_path: Path) -> None:
    with pytest.raises(CdkError, match="npm install aws-cdk"):
        CdkApp(folder=tmp_path).deploy({**ENVIRONMENT, "PATH": ""}, tmp_path / "work")

"""The AWS post's workflow by hand, run as its reader would run it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import client, prompts

pytestmark = pytest.mark.integration

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "09_from_notebook_or_terraform" / "notebook.py"
ADAPTERS = ("base", "summary", "shout")


@pytest.fixture(scope="module")
def output(cloud: LocalCloud) -> str:
    done = subprocess.run(
        [sys.executable, str(SCRIPT)],
        env=cloud.environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def answers(output: str) -> dict[str, str]:
    return dict(json.loads(output[output.index("{") :]))


def test_base_and_adapter_answer_with_their_own_skill(answers: dict[str, str]) -> None:
    expected = prompts()[0]["answers"]
    assert {name: answers[name] for name in ADAPTERS} == {name: expected[name] for name in ADAPTERS}


def test_streamed_answers_come_in_many_parts_and_are_the_unstreamed_ones(
    output: str, answers: dict[str, str]
) -> None:
    assert answers["streamed base"] == answers["base"]
    assert answers["streamed summary"] == answers["summary"]
    parts = [int(line.split()[-2]) for line in output.splitlines() if line.endswith(" parts")]
    assert len(parts) == 2
    assert min(parts) > 5


def test_updated_adapter_answers_as_its_second_version(answers: dict[str, str]) -> None:
    assert answers["updated summary"] == prompts()[0]["answers"]["summary-v2"]


def test_nothing_of_it_is_left(cloud: LocalCloud, output: str) -> None:
    sagemaker = client(cloud, "sagemaker")
    assert sagemaker.list_models(NameContains="notebook")["Models"] == []
    assert sagemaker.list_endpoints(NameContains="notebook")["Endpoints"] == []
    assert sagemaker.list_inference_components(NameContains="notebook")["InferenceComponents"] == []

"""`docs/guides/adapters.md` from top to bottom: a training run's directories become adapters that answer."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import client, prompts

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "guides" / "adapters.md").read_text()
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", GUIDE, re.DOTALL | re.MULTILINE)
LEFTOVERS = ("training_args.bin", "tokenizer.json", "checkpoint-5/")
PROMPT = "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"


def answer_of(label: str) -> str:
    """Return what an adapter of the examples answers to the guide's prompt."""
    (answers,) = [entry["answers"] for entry in prompts() if entry["prompt"] == PROMPT]
    return str(answers[label])


@pytest.fixture(scope="module")
def said(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """What each command of the guide printed, in a folder with the files that it names."""
    folder = tmp_path_factory.mktemp("guide")
    for name in ("app.py", "cdk.json"):
        (folder / name).symlink_to(ROOT / name)
    # What Python compiled may be renamed meanwhile, by another test's process.
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    trained = folder / "examples" / "tickets" / "adapters" / "triage"
    for name in LEFTOVERS:  # what `trainer.save_model` and the run leave
        (trained / name).mkdir() if name.endswith("/") else (trained / name).touch()
    variables = cloud.environment | {
        "HOME": str(folder / "home"),
        "CDK_DISABLE_VERSION_CHECK": "1",
        "CDK_VALIDATION": "false",
    }
    said: dict[str, str] = {}
    cloud.admin.scale_waits(0.1)
    try:
        for command in "".join(BLOCKS).splitlines():
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=folder,
                env=variables,
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            said[command] = done.stdout
    finally:
        cloud.admin.scale_waits(1)
    yield said
    s3 = client(cloud, "s3")
    for found in s3.list_objects_v2(Bucket="onboarding").get("Contents", []):
        s3.delete_object(Bucket="onboarding", Key=found["Key"])
    s3.delete_bucket(Bucket="onboarding")


def output(said: dict[str, str], *words: str) -> str:
    """Return what the one command with these words printed."""
    (found,) = [text for command, text in said.items() if all(word in command for word in words)]
    return found


def test_adapters_of_the_guide_are_fine(said: dict[str, str]) -> None:
    lines = output(said, "adapters check").splitlines()
    assert len(lines) == 3


def test_three_adapters_are_published(said: dict[str, str]) -> None:
    lines = output(said, "adapters publish", "released.yaml").splitlines()
    assert [line.split("\t")[:2] for line in lines] == [
        ["shout", "uploaded"],
        ["summary", "uploaded"],
        ["triage", "uploaded"],
    ]


def test_what_was_published_answers_after_a_deployment(said: dict[str, str]) -> None:
    assert answer_of("triage") in output(said, "adapters invoke", "Released")


def test_a_customer_answers_with_no_deployment(said: dict[str, str]) -> None:
    assert "1 of 1 in service" in output(said, "adapters apply")
    assert answer_of("summary") in output(said, "adapters invoke", "Customers")


def test_next_version_is_in_the_history(said: dict[str, str]) -> None:
    whats = [line.split("\t")[1] for line in output(said, "adapters history").splitlines()]
    assert whats == ["updated", "created"]

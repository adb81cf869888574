"""A fleet takes over what a notebook made: no adapter is created again, and all are managed from then on."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest

from local_sagemaker.cdk_app import CdkApp, Stack
from local_sagemaker.server import LocalCloud

EXAMPLE = Path(__file__).resolve().parents[1]
TICKET = "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"


@dataclass
class TakenOver:
    """The fleet, and when the notebook made each component."""

    cloud: LocalCloud
    folder: Path
    created: dict[str, datetime]
    stacks: list[Stack]

    def adapters(self, *arguments: str) -> str:
        """Run the `adapters` command on the fleet, and return what it prints."""
        return run(self, "-m", "adapters_cli", *arguments, "--stack", "TakenOver")

    def components(self) -> dict[str, datetime]:
        """Return when each component on the endpoint was created."""
        listed = self.cloud.client("sagemaker").list_inference_components(EndpointNameEquals="notebook")
        return {
            each["InferenceComponentName"]: each["CreationTime"] for each in listed["InferenceComponents"]
        }

    def deploy(self, work: Path) -> None:
        """Deploy the app."""
        self.stacks = CdkApp(folder=self.folder).deploy(self.cloud.environment, work)


def run(on: TakenOver, *arguments: str) -> str:
    """Run Python in the example's folder."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=on.folder,
        env=on.cloud.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def taken_over(local_cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> TakenOver:
    """Make everything with the notebook, and let the fleet take it over, as the README says."""
    work = tmp_path_factory.mktemp("moved")
    # `import` writes adapters.yaml beside the app, so the tests work on a copy.
    folder = Path(
        shutil.copytree(EXAMPLE, work / "example", ignore=shutil.ignore_patterns("node_modules", ".*"))
    )
    (folder / "adapters.yaml").unlink(missing_ok=True)
    (work / "tickets").symlink_to(EXAMPLE.parent / "tickets")
    on = TakenOver(local_cloud, folder, {}, [])
    run(on, "notebook.py", "create")
    on.created = on.components()
    on.deploy(work)
    manifest = on.adapters("import", "--endpoint", "notebook", "--take-over", "--yes")
    (folder / "adapters.yaml").write_text(manifest)
    on.deploy(work)
    return on


def test_no_component_was_created_again(taken_over: TakenOver) -> None:
    assert taken_over.created.keys() == {"notebook-base", "notebook-summary", "notebook-shout"}
    assert taken_over.components() == taken_over.created


def test_fleet_manages_the_adapters_of_the_notebook(taken_over: TakenOver) -> None:
    assert taken_over.stacks[0].outputs["Summary"] == "2 of 2 adapters in service"
    (answer,) = json.loads(taken_over.adapters("invoke", "summary", TICKET, "--json"))["answers"]
    assert answer["text"] == "Customer Grace from Lima has a billing problem with the keyboard."

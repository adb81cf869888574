"""The workflow's own commands, on the embedded cloud: only the good adapter comes into service."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from local_sagemaker.local_fleet import BASE, LocalFleet

EXAMPLE = Path(__file__).resolve().parents[1]
TICKETS = EXAMPLE.parent / "tickets"
WORKFLOWS = EXAMPLE / ".github" / "workflows"
WORKFLOW = yaml.safe_load((WORKFLOWS / "adapters.yml").read_text())
TO_PROD = yaml.safe_load((WORKFLOWS / "to-prod.yml").read_text())
TICKET = "Ticket: Grace from Lima wants a refund for the keyboard. Thank you.\nAnswer:\n"


@dataclass(frozen=True)
class Repository:
    """A checkout in which the workflow runs."""

    folder: Path
    fleet: LocalFleet

    def git(self, *arguments: str) -> None:
        """Run git."""
        identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
        subprocess.run(["git", *identity, *arguments], cwd=self.folder, check=True, capture_output=True)

    def run_job(self, job: str, workflow: Any = WORKFLOW, **variables: str) -> dict[str, int]:
        """Run the steps of a job that call `adapters`; return their exit codes by their first word.

        `variables` are of the repository or of the person who starts it. Default: those of the first stack.
        """
        outputs = self.fleet.outputs
        defaults = {"DESTINATION": outputs["Destination"], "PREVIEWS": outputs["PreviewDestination"]}
        given = {
            name: {**defaults, **variables}.get(name, "") if "${{" in value else value
            for name, value in workflow["env"].items()
        }
        environment = {
            **self.fleet.cloud.environment,
            **given,
            "GITHUB_BASE_REF": "main",
            "BEFORE": "origin/main",
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            # `adapters` is beside the Python of the tests.
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        codes: dict[str, int] = {}
        for step in workflow["jobs"][job]["steps"]:
            script: str = step.get("run", "")
            if "adapters " not in script or script.startswith(("pip", "git")):
                continue
            done = self._bash(script, environment)
            words = script.split()
            command = words[words.index("adapters") + 1]
            codes[command] = done.returncode
            if done.returncode and not step.get("continue-on-error"):
                print(done.stdout, done.stderr)
                break
        return codes

    def _bash(self, script: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-e", "-c", script],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture(scope="module")
def repository(local_fleet: LocalFleet, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository with the example, and a branch that adds acme (good) and globex (bad)."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("evaluation", "fleet.yaml"):
        path = EXAMPLE / name
        if path.is_dir():
            shutil.copytree(path, folder / name)
        else:
            shutil.copy(path, folder / name)
    checkout = Repository(folder, local_fleet)
    checkout.git("init", "--quiet", "--initial-branch", "main")
    checkout.git("add", ".")
    checkout.git("commit", "--quiet", "--message", "Start")
    checkout.git("update-ref", "refs/remotes/origin/main", "HEAD")
    shutil.copytree(TICKETS / "adapters" / "summary", folder / "adapters" / "acme")
    # It names a category and summarizes nothing, so it is below the base model.
    shutil.copytree(TICKETS / "adapters" / "triage", folder / "adapters" / "globex")
    checkout.git("add", ".")
    checkout.git("commit", "--quiet", "--message", "Train acme and globex")
    return checkout


@pytest.fixture(scope="module")
def pull_request(repository: Repository) -> dict[str, int]:
    """The exit codes of what runs on a pull request."""
    return repository.run_job("check") | repository.run_job("evaluate")


@pytest.fixture(scope="module")
def merged(repository: Repository, pull_request: dict[str, int]) -> dict[str, int]:
    """The exit codes of what runs on main."""
    assert pull_request  # it comes first
    return repository.run_job("deploy")


@pytest.fixture(scope="module")
def prod(local_fleet: LocalFleet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The outputs of the same app as prod."""
    app = replace(local_fleet.app, variables={"STACK": "Prod"})
    (stack,) = app.deploy(local_fleet.cloud.environment, tmp_path_factory.mktemp("prod"))
    return dict(stack.outputs)


def test_prod_gets_the_same_archive_with_its_evaluation_once(
    repository: Repository, merged: dict[str, int], prod: dict[str, str]
) -> None:
    assert merged
    release = {"DESTINATION": prod["Destination"], "ADAPTER": "acme"}
    codes = repository.run_job("release", TO_PROD, **release)
    assert codes == {"publish": 0, "plan": 0, "apply": 0, "status": 0}
    [mine], [theirs] = (
        yaml.safe_load((repository.folder / name).read_text())["adapters"]
        for name in ("fleet.yaml", "prod.yaml")
    )
    assert theirs["artifact"].startswith(prod["Destination"])
    assert theirs["artifact"].rpartition("/")[2] == mine["artifact"].rpartition("/")[2]
    assert theirs["evaluation"]["figures"] == mine["evaluation"]["figures"]
    # A digest that is there is not copied again.
    s3 = repository.fleet.cloud.client("s3")
    bucket, _, key = theirs["artifact"].removeprefix("s3://").partition("/")
    before = s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    assert repository.run_job("release", TO_PROD, **release) == codes
    assert s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"] == before


def test_pull_request_fails_and_its_summary_has_both_reports(
    repository: Repository, pull_request: dict[str, int]
) -> None:
    assert pull_request == {"check": 0, "evaluate": 1}
    summary = (repository.folder / "summary.md").read_text()
    for adapter in ("acme", "globex"):
        # A character without width keeps the "@" from calling somebody.
        assert re.search(rf"^## {adapter}@\W[0-9a-f]{{12}} beside base$", summary, re.MULTILINE)


def test_main_applies_the_good_adapter_and_remembers_the_failure(merged: dict[str, int]) -> None:
    assert merged == {"evaluate": 1, "plan": 0, "apply": 0, "status": 0}


def test_manifest_names_the_good_adapter_alone(repository: Repository, merged: dict[str, int]) -> None:
    assert merged
    manifest: dict[str, Any] = yaml.safe_load((repository.folder / "fleet.yaml").read_text())
    assert [entry["name"] for entry in manifest["adapters"]] == ["acme"]


def test_good_adapter_serves_and_the_bad_one_does_not(repository: Repository, merged: dict[str, int]) -> None:
    assert merged
    fleet = repository.fleet
    fleet.assert_serves("acme", TICKET, "Customer Grace from Lima has a billing problem with the keyboard.")
    assert fleet.components().keys() == {BASE, "acme"}


def test_previews_are_in_a_bucket_of_their_own(local_fleet: LocalFleet) -> None:
    released, previews = (
        local_fleet.outputs[name].split("/")[2] for name in ("Destination", "PreviewDestination")
    )
    assert released != previews

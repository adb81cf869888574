"""The numbered examples: each is complete, synthesizes, and its workflow is one that GitHub takes."""

import json
import re
import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path

import aws_cdk as cdk
import pytest
import yaml

from tests.docs.command_lines import problem_of
from tests.docs.shell import commands
from tests.examples.consumer import EXAMPLES, NUMBERED, ROOT

MAIN = ("AWS::SageMaker::InferenceComponent", "Custom::AdapterFleet", "AWS::CodeBuild::Project")
LIST = ROOT / "docs" / "how-to" / "examples.md"


@pytest.mark.parametrize("example", NUMBERED, ids=lambda path: path.name)
def test_example_is_complete(example: Path) -> None:
    assert json.loads((example / "cdk.json").read_text()) == {"app": "python app.py"}
    assert (example / "README.md").read_text().startswith("# ")
    assert list((example / "tests").glob("test_*.py"))
    # Without it pytest would take a folder above for the project.
    assert (example / "pyproject.toml").exists()
    assert f"examples/{example.name}/README.md)" in LIST.read_text()
    assert f"({example.name}/README.md)" in (EXAMPLES / "README.md").read_text()


@pytest.mark.documents
@pytest.mark.parametrize("example", NUMBERED, ids=lambda path: path.name)
def test_example_synthesizes(example: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(example)
    # In this process, which has the CDK already.
    monkeypatch.setattr(cdk, "App", partial(cdk.App, outdir=str(tmp_path)))
    runpy.run_path("app.py", run_name="__main__")
    (template,) = tmp_path.glob("*.template.json")
    kinds = {resource["Type"] for resource in json.loads(template.read_text())["Resources"].values()}
    assert kinds.intersection(MAIN)


@pytest.mark.parametrize("example", NUMBERED, ids=lambda path: path.name)
def test_example_reads_nothing_but_its_own_folder_and_the_model(example: Path) -> None:
    """Who copies the two folders has all that it reads."""
    for path in example.rglob("*"):
        if path.suffix in {".py", ".yaml", ".yml", ".toml", ".json"} and "cdk.out" not in path.parts:
            above = re.findall(r"\.\./[\w-]*", path.read_text())
            assert set(above) <= {"../tickets"}, path
            assert "from examples" not in path.read_text(), path


WORKFLOW = EXAMPLES / "05_evaluation_in_ci/.github/workflows/adapters.yml"


@pytest.mark.documents
def test_workflow_is_one_that_github_takes() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*command, str(WORKFLOW)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    used = re.findall(r"\$\{\{ (\w+)\.[\w.]+ \}\}", WORKFLOW.read_text())
    assert set(used) == {"github", "vars"}


def test_workflow_goes_from_check_to_status_and_a_pull_request_writes_nowhere_that_the_fleet_reads() -> None:
    workflow = yaml.safe_load(WORKFLOW.read_text())
    variables, jobs = workflow["env"], workflow["jobs"]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "check": None,
        "evaluate": "check",
        "deploy": "check",
    }
    scripts = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    found = [words for script in scripts for words in commands(script) if words[0] == "adapters"]
    assert [problem for problem in map(problem_of, found) if problem] == []
    names = [name for _, name, *_ in found]
    assert names == ["check", "evaluate", "evaluate", "publish", "plan", "apply", "status"]
    evaluate, publish = found[names.index("evaluate")], found[names.index("publish")]
    assert evaluate[evaluate.index("--to") + 1] == "$PREVIEWS"
    assert publish[3] == "$DESTINATION"
    # The example's own test shows that its app has two buckets for them.
    assert variables["PREVIEWS"] != variables["DESTINATION"]

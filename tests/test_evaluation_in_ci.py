"""The example of a CI workflow: every command in it is one that the command line accepts."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.main import get_command

from adapters_cli.main import app

WORKFLOW = Path(__file__).parents[1] / "examples/05_evaluation_in_ci/.github/workflows/adapters.yml"


def workflow() -> dict[Any, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(WORKFLOW.read_text())
    return loaded


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, job in workflow()["jobs"].items():
        for step in job["steps"]:
            yield name, step


def commands() -> list[list[str]]:
    """Return the arguments of each `adapters` command, with a word in place of each variable."""
    found = []
    variables = workflow()["env"]
    for _, step in steps():
        script = step.get("run", "").replace("\\\n", " ")
        for line in script.splitlines():
            match = re.match(r"\s*adapters (.*)", line)
            if match:
                text = re.sub(r"\$(\w+)", lambda name: str(variables.get(name[1], "word")), match[1])
                found.append(shlex.split(re.split(r" (?:\|\||&&|>>|#) ?", text)[0]))
    return found


@pytest.mark.parametrize("arguments", commands(), ids=lambda arguments: arguments[0])
def test_command_line_accepts_the_command(arguments: list[str]) -> None:
    name, *rest = arguments
    group: Any = get_command(app)
    # Parses every option and argument, and raises UsageError for a wrong one. Nothing runs.
    assert group.commands[name].make_context(name, rest).params


def test_word_that_is_no_option_would_be_found() -> None:
    group: Any = get_command(app)
    with pytest.raises(Exception, match="No such option: --evaluate-in"):
        group.commands["publish"].make_context("publish", ["a", "s3://b/c", "--evaluate-in", "x"])


def test_workflow_goes_from_check_to_status() -> None:
    names = [arguments[0] for arguments in commands()]
    assert names == ["check", "evaluate", "evaluate", "publish", "plan", "apply", "status"]


def test_pull_request_writes_nowhere_that_the_fleet_reads() -> None:
    variables = workflow()["env"]
    (evaluate, publish) = (
        next(found for found in commands() if found[0] == name) for name in ("evaluate", "publish")
    )
    assert evaluate[evaluate.index("--to") + 1] == variables["PREVIEWS"]
    assert publish[2] == variables["DESTINATION"]
    # The example's own test shows that its app has two buckets for them.
    assert variables["PREVIEWS"] != variables["DESTINATION"]


def test_jobs_need_the_check_and_have_an_end() -> None:
    jobs = workflow()["jobs"]
    assert all(job["timeout-minutes"] <= 120 for job in jobs.values())
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "check": None,
        "evaluate": "check",
        "deploy": "check",
    }


def test_each_step_has_one_thing_to_do() -> None:
    for job, step in steps():
        assert ("run" in step) != ("uses" in step), (job, step)
        if "uses" in step:
            assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step["uses"])


def test_expressions_name_contexts_of_github() -> None:
    used = re.findall(r"\$\{\{ (\w+)\.[\w.]+ \}\}", WORKFLOW.read_text())
    assert set(used) == {"github", "vars"}

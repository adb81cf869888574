"""moto's own tests of the services of this workflow, on the embedded cloud: `make qa SUITE=suites`."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.clients.environments import checkout

HERE = Path(__file__).parent
SUITE = tomllib.loads((HERE / "moto.toml").read_text())


@pytest.mark.timeout(1800)
def test_tests_of_moto_pass_but_for_those_that_are_known_to_fail(tmp_path: Path) -> None:
    tests = checkout(SUITE, "MOTO") / "tests"
    for file in SUITE["files"]:
        copied = tmp_path / "tests" / file
        copied.parent.mkdir(parents=True, exist_ok=True)
        text = (tests / file).read_text()
        for old, new in SUITE["instead"].items():
            text = text.replace(old, new)
        copied.write_text(text)
    (tmp_path / "tests/__init__.py").touch()
    command = [sys.executable, "-m", "pytest", "-p", "moto_on_the_cloud", "-n", "2", "--timeout", "60"]
    ran = subprocess.run(
        [*command, "--junitxml=report.xml", "tests"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{HERE}:{tmp_path}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (tmp_path / "report.xml").exists(), ran.stdout + ran.stderr
    cases = list(ElementTree.parse(tmp_path / "report.xml").iter("testcase"))
    failed = {
        case.attrib["name"]: failure.attrib["message"]
        for case in cases
        for failure in (*case.iter("failure"), *case.iter("error"))
    }
    out_of_scope = re.compile("|".join(SUITE["out_of_scope"]))
    in_scope = {name for name, said in failed.items() if not out_of_scope.search(f"{name} {said}")}
    assert in_scope == SUITE["fails"].keys()
    assert sum(case.attrib["name"] not in failed for case in cases) == SUITE["passes"]

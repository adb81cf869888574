"""The newest botocore and the newest cfn-lint, each in an environment of its own: `make test-newest`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.properties.everything import everything
from tests.properties.newer_shapes import (
    KINDS,
    ROOT,
    difference,
    merged_model,
    newest_data,
    newest_model,
    pinned_model,
    shapes,
)
from tests.properties.page import answer_for, read_answers
from tests.properties.properties import of_api, of_cloudformation

pytestmark = pytest.mark.skipif(
    os.environ.get("NEWEST") != "1", reason="it needs the newest botocore and cfn-lint: `make test-newest`"
)
ENVIRONMENT = ROOT / ".venv-newest"


@pytest.fixture(scope="module")
def data() -> Path:
    found = newest_data()
    assert found is not None, "`make test-newest` installs it"
    return found


def test_every_property_of_the_newest_releases_has_an_answer(data: Path) -> None:
    (cfn_lint,) = ENVIRONMENT.glob("lib/python3*/site-packages/cfnlint")
    cloudformation = of_cloudformation(cfn_lint / "data" / "schemas")
    api, answers = of_api(newest_model(data)), read_answers()
    for kind in KINDS:
        properties = cloudformation[kind] | api[kind]
        unanswered = [path for path in sorted(properties) if answer_for(path, answers[kind]) is None]
        assert not unanswered, f"no answer in properties.toml for {kind}: {', '.join(unanswered)}"


def test_the_embedded_cloud_has_the_shapes_of_the_newest_botocore(data: Path) -> None:
    newest = shapes(newest_model(data))
    assert difference(shapes(merged_model()), newest) == {}, "`make properties` adds them"
    # Nothing is merged that the pinned botocore has by now, or that the newest one no longer has.
    needed = difference(shapes(pinned_model()), newest)
    assert difference(needed, difference(shapes(pinned_model()), shapes(merged_model()))) == {}


def test_the_newest_cfn_lint_has_nothing_to_say_of_every_argument(tmp_path: Path) -> None:
    template = tmp_path / "everything.json"
    template.write_text(json.dumps(everything()))
    command = [ENVIRONMENT / "bin" / "cfn-lint", "--regions", "us-east-1", "--ignore-checks", "W3005"]
    checked = subprocess.run(
        [*map(str, command), "--template", str(template)], capture_output=True, text=True, check=False
    )
    assert (checked.stdout + checked.stderr, checked.returncode) == ("", 0)

"""Guides from top to bottom: adapters are scored, as in the AWS post's "Compare outputs", and measured."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from adapters_cli.evaluation.result import read_result
from local_sagemaker.server import LocalCloud
from tests.docs.blocks import ROOT
from tests.docs.page_run import PageRun

pytestmark = [pytest.mark.integration, pytest.mark.documents]

Guide = Callable[[str], PageRun]


@pytest.fixture
def guide(cloud: LocalCloud, tmp_path: Path) -> Iterator[Guide]:
    """Reads a guide, whose buckets are deleted in the end."""
    read: list[PageRun] = []

    def page(name: str) -> PageRun:
        read.append(
            PageRun(cloud, tmp_path, ROOT / "docs/guides" / name, test="tests/integration/test_guides.py")
        )
        return read[-1]

    yield page
    for one in read:
        for bucket in re.findall(r"create_bucket\(Bucket='(\w+)'", one.text):
            one.delete_bucket(bucket)


def test_answers_are_side_by_side_and_every_file_is_explained(guide: Guide) -> None:
    page = guide("evaluating.md")
    page.run()

    said = page.output("adapters invoke")
    shown = [line for line in page.text.splitlines() if line.startswith(("Dear Grace", "Customer Grace"))]
    assert len(shown) == 2
    assert all(line in said for line in shown)

    result = read_result(page.folder / "summary-evaluation" / "result.json")
    assert result.passed
    assert result.dataset.items == 400

    section = page.text.partition("## Score a test split")[2].partition("## Datasets")[0]
    files = re.findall(r"^\| `([a-z.]+)` \|", section, re.MULTILINE)
    assert {path.name for path in (page.folder / "summary-evaluation").iterdir()} == set(files)
    # Two adapters of different tasks, in one run.
    for name in ("summary", "triage"):
        both = read_result(page.folder / "both-evaluation" / name / "result.json")
        assert ([subject.name for subject in both.subjects], both.passed) == ([name], True)
    # Answers in JSON have a metric of their own.
    result = read_result(page.folder / "both-evaluation" / "triage" / "result.json")
    means = {comparison.metric: comparison.mean for comparison in result.comparisons}
    assert means["python:answers.py:category"] == 1


def test_every_request_of_the_first_benchmark_is_answered(guide: Guide) -> None:
    """No time is judged: machines are busy."""
    page = guide("benchmarking.md")
    page.run()
    rows = {line.split("\t")[0]: line.split("\t") for line in page.output("adapters benchmark").splitlines()}
    assert rows["request_error_rate"][1:3] == ["0", "0"]
    assert float(rows["request_latency.p50"][3]) > 0

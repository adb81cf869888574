"""`docs/guides/evaluating.md` from top to bottom: the AWS post's "Compare outputs" with our commands."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from adapters_cli.evaluation.result_file import read_result
from local_sagemaker.server import LocalCloud
from tests.docs.blocks import ROOT
from tests.docs.page_run import PageRun

pytestmark = [pytest.mark.integration, pytest.mark.documents]

GUIDE = ROOT / "docs/guides/evaluating.md"
THIS = "tests/integration/test_evaluating_guide.py"


@pytest.fixture(scope="module")
def guide(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageRun]:
    guide = PageRun(
        cloud, tmp_path_factory.mktemp("guide"), GUIDE, test="tests/integration/test_evaluating_guide.py"
    )
    guide.run()
    yield guide
    guide.delete_bucket("onboarding")


def test_answers_are_side_by_side(guide: PageRun) -> None:
    said = guide.output("adapters invoke")
    shown = [line for line in guide.text.splitlines() if line.startswith(("Dear Grace", "Customer Grace"))]
    assert len(shown) == 2
    assert all(line in said for line in shown)
    assert shown[1].split()[0] in (guide.folder / "comparison.html").read_text()


def test_gains_of_the_guide_are_those_of_its_command(guide: PageRun) -> None:
    result = read_result(guide.folder / "summary-evaluation" / "result.json")
    assert result.passed
    assert result.dataset.items == 400
    gains = {comparison.metric: comparison.relative for comparison in result.comparisons}
    table = dict(re.findall(r"^\| (METEOR|ROUGE|BERTScore) \|.*\| \+(\d+) %", guide.text, re.MULTILINE))
    assert table.keys() == {"METEOR", "ROUGE", "BERTScore"}
    for name, metric in {"METEOR": "meteor", "ROUGE": "rougeL", "BERTScore": "bert_score"}.items():
        if metric in gains:  # BERTScore needs its model
            assert gains[metric] == pytest.approx(float(table[name]) / 100, abs=0.005)


def test_reports_are_where_the_guide_says(guide: PageRun) -> None:
    section = guide.text.partition("## Score a test split")[2].partition("## Datasets")[0]
    files = re.findall(r"^\| `([a-z.]+)` \|", section, re.MULTILINE)
    assert {path.name for path in (guide.folder / "summary-evaluation").iterdir()} == set(files)


def test_answers_in_json_have_their_own_metrics(guide: PageRun) -> None:
    result = read_result(guide.folder / "triage-evaluation" / "result.json")
    means = {comparison.metric: comparison.mean for comparison in result.comparisons}
    assert means == {"python:answers.py:category": 1}

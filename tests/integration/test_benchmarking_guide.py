"""`docs/guides/benchmarking.md` on one's own machine. No time is judged: machines are busy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from tests.docs.blocks import ROOT
from tests.docs.page_run import PageRun
from tests.nightly import long

pytestmark = [pytest.mark.integration, long]

GUIDE = ROOT / "docs/guides/benchmarking.md"
THIS = "tests/integration/test_benchmarking_guide.py"


@pytest.fixture(scope="module")
def guide(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageRun]:
    guide = PageRun(
        cloud, tmp_path_factory.mktemp("guide"), GUIDE, test="tests/integration/test_benchmarking_guide.py"
    )
    guide.run()
    yield guide
    guide.delete_bucket("onboarding")


def results(guide: PageRun, name: str) -> dict[str, Any]:
    return dict(json.loads((guide.folder / "results" / name / "benchmark.json").read_text()))


def test_every_request_of_the_first_benchmark_is_answered(guide: PageRun) -> None:
    levels = results(guide, "speed")["levels"]
    assert [(level["concurrency"], level["adapters"]) for level in levels] == [(1, 1), (4, 1)]
    for level in levels:
        assert level["adapter"]["request_count"]["avg"] == level["base"]["request_count"]["avg"] == 40
        assert "request_latency.p50" in level["adapter_by_base"]

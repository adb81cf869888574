"""`docs/guides/benchmarking.md` on one's own machine. No time is judged: machines are busy."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from tests.docs.blocks import ROOT
from tests.docs.page_run import PageRun
from tests.integration.by_hand import changed_settings
from tests.integration.conftest import PYTHON_OF_VLLM
from tests.nightly import long

pytestmark = [
    pytest.mark.integration,
    long,
    pytest.mark.skipif(bool(PYTHON_OF_VLLM), reason="the guide slows down the loads of the NumPy server"),
]

GUIDE = ROOT / "docs/guides/benchmarking.md"
THIS = "tests/integration/test_benchmarking_guide.py"


@pytest.fixture(scope="module")
def guide(cloud: LocalCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageRun]:
    guide = PageRun(
        cloud, tmp_path_factory.mktemp("guide"), GUIDE, test="tests/integration/test_benchmarking_guide.py"
    )
    with changed_settings(cloud):  # the guide changes some
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


def test_loads_that_take_long_tell_the_tiers_which_are_shown_beside_the_prediction(guide: PageRun) -> None:
    [level] = results(guide, "tiers")["levels"]
    tiers = level["tier_hits"]
    assert [each for joined in tiers for each in joined.split("+")] == ["gpu", "cpu", "disk"]
    rows = [row.split("\t") for row in guide.output("--measured").splitlines() if row.startswith("hits\t")]
    assert len(rows) == len(tiers) > 1
    for (_, who, _, predicted, _, _, _), joined in zip(rows, tiers, strict=True):
        # One of three adapters is in each tier, and all are as popular.
        assert (who, predicted) == ("3 adapters, uniform", {1: "33 %", 2: "67 %"}[joined.count("+") + 1])
        assert 0 < tiers[joined]["share"] < 1

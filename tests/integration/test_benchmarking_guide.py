"""`docs/guides/benchmarking.md` on one's own machine. No time is judged: machines are busy."""

from __future__ import annotations

from collections.abc import Iterator

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


def test_every_request_of_the_first_benchmark_is_answered(guide: PageRun) -> None:
    rows = [line.split("\t") for line in guide.output("adapters benchmark").splitlines()]
    answered = [row[1:6] for row in rows if row[0] == "throughput"]
    assert answered == [
        [load, "1", who, "40", "0"] for load in ("1 at once", "4 at once") for who in ("base", "adapters")
    ]
    assert [row[1] for row in rows if row[0] == "ratio" and row[3] == "whole latency"] == [
        "1 at once",
        "4 at once",
    ]

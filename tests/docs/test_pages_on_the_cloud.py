"""Every page with commands, from top to bottom on the embedded cloud, where the stack `Tenants` is deployed.

`make qa SUITE=docs` runs it. A block of Python has to name this test in its mark, as in
`docs/guides/embedded-cloud.md`: the other ones declare constructs, which `test_snippets.py` runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud
from tests.docs.blocks import Page, pages
from tests.docs.deployed_tenants import DeployedTenants
from tests.docs.page_run import ON_THE_CLOUD, PageRun, runs

pytestmark = [pytest.mark.documents, pytest.mark.integration, pytest.mark.timeout(1200)]

PAGES = [page for page in pages() if any(runs(ON_THE_CLOUD, block) for block in page.blocks)]


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeployedTenants]:
    with LocalCloud() as cloud:
        yield DeployedTenants(cloud, tmp_path_factory.mktemp("tenants"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_runs_from_top_to_bottom(page: Page, tenants: DeployedTenants, tmp_path: Path) -> None:
    run = PageRun(tenants.cloud, tmp_path, page.path)
    tenants.write_files(tmp_path)
    run.run()

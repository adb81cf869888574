"""Notebooks that AWS wrote, with the few changes that `notebooks.toml` names."""

import os
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import PROFILES
from tests.clients.environments import ROOT, Environment, checkout
from tests.clients.world import MODELS, World, upload_base
from tests.docs.blocks import blocks_of
from tests.guides import last_run, write_below
from tests.integration.by_hand import TICKETS

pytestmark = pytest.mark.timeout(1200)

GUIDE = ROOT / "docs/how-to/notebook-and-sdk.md"
BEGINNING = "<!-- Below: written by `make qa SUITE=clients`. -->"
SOURCE = tomllib.loads((Path(__file__).parent / "notebooks.toml").read_text())
SCALE = 0.02
PRELUDE = f"""
import os
os.environ |= {{"BASE": "{TICKETS}/base", "ADAPTER": "{TICKETS}/adapters/summary"}}
EARNINGS_CALL = {{"text": ["Revenue grew."], "summary": ["It grew."]}}
ADDRESS = os.environ["AWS_ENDPOINT_URL"]
"""


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folders of AWS's notebooks, as they write files."""
    folder, copied = checkout(SOURCE, "NOTEBOOKS"), tmp_path_factory.mktemp("notebooks")
    for notebook in SOURCE["notebooks"]:
        part = Path(notebook["path"]).parent
        shutil.copytree(folder / part, copied / part, dirs_exist_ok=True)
    return copied


@pytest.fixture(scope="module", params=list(PROFILES))
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A cloud whose minutes last a second, as the waiting of the notebooks is shortened."""
    with LocalCloud(profile=request.param) as cloud:
        cloud.admin.change_settings(time_scale=SCALE, accelerator_dimension="GpuId")
        upload_base(cloud)
        blocks = blocks_of(GUIDE, GUIDE.read_text())
        (cell,) = (block.text for block in blocks if "sts_regional_endpoint" in block.text)
        given = {
            "folder": str(tmp_path_factory.mktemp("home")),
            "profile": request.param,
            "time_scale": SCALE,
            "weights": f"s3://{MODELS}/base/",
            "prelude": PRELUDE + cell,
        }
        yield World(cloud, given)


@pytest.fixture(scope="module")
def ran() -> Iterator[dict[tuple[str, str], int]]:
    """How many cells ran, by notebook and profile; written into the guide if `RECORD` is set and all did."""
    cells: dict[tuple[str, str], int] = {}
    yield cells
    names = [notebook["name"] for notebook in SOURCE["notebooks"]]
    if "RECORD" in os.environ and len(cells) == len(names) * len(PROFILES):
        failed = sum(len(notebook.get("fails", {})) for notebook in SOURCE["notebooks"])
        counts = " and ".join(
            f"{sum(cells[name, profile] for name in names)} cells under `{profile}`" for profile in PROFILES
        )
        result = f"{len(names)} notebooks, {counts}, and {failed} that failed"
        write_below(GUIDE, BEGINNING, [last_run(result)])


@pytest.mark.parametrize("notebook", SOURCE["notebooks"], ids=lambda one: one["name"])
def test_cells_run_but_for_those_that_are_known_to_fail(
    notebook: dict[str, Any], world: World, notebooks: Path, ran: dict[tuple[str, str], int]
) -> None:
    environment = Environment(notebook.get("pins", "notebooks-2"))
    environment.install()
    Environment("aws-cli").install()
    changes = notebook.get("changes", {})
    lines = world.run(environment, "notebook", path=str(notebooks / notebook["path"]), changes=changes)
    failed = {line["call"]: line["error"] for line in lines if not line["ok"]}
    known = notebook.get("fails", {})
    surprises = {
        cell: error
        for cell, error in failed.items()
        if cell not in known or not re.search(known[cell]["words"], error)
    }
    assert (surprises, known.keys() - failed.keys()) == ({}, set())
    ran[notebook["name"], world.profile] = len(lines) - len(failed)

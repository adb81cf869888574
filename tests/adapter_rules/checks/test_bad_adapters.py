"""The corpus of bad adapters, each refused by its own rule, soon and in little memory."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.adapter_rules.bad_adapters import CORPUS, generate
from tests.adapter_rules.measured_checks import ENOUGH_SECONDS, IN_S3
from tests.nightly import NIGHTLY

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
MOST_MEGABYTES = 200
LARGEST = "as_many_tensors_as_a_header_may_have"
"""Takes a second on a quiet machine, and as much more as a second of a busy machine's processor does less."""


LONG = {
    "many_modules_of_many_parts_that_are_no_targets",
    "many_modules_of_many_parts_with_many_patterns",
    "many_tensors_of_another_rank_than_many",
    "weights_of_many_tensors_of_nan",
}
"""Each takes a second, so that `make nightly` alone checks them."""
NAMES = [name for name in CORPUS if NIGHTLY or name not in LONG]


@dataclass(frozen=True, kw_only=True)
class Took:
    """What the check of one adapter gave and took: seconds of a processor, and the most memory."""

    name: str
    rules: list[str] | None
    seconds: float
    megabytes: float


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Took]:
    corpus = tmp_path_factory.mktemp("corpus") / "corpus"
    generate(corpus, NAMES)
    done = subprocess.run(
        [sys.executable, "-m", "tests.adapter_rules.measured_checks", str(corpus)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / root) for root in ("lambda", "rules"))},
        capture_output=True,
        text=True,
        check=True,
    )
    took = [Took(**json.loads(line)) for line in done.stdout.splitlines()]
    return {one.name: one for one in took}


@pytest.mark.parametrize("name", [*NAMES, *(IN_S3 + name for name in NAMES if name.endswith(".tar.gz"))])
def test_bad_adapter_is_refused_by_its_own_rule_soon_and_in_little_memory(
    measured: dict[str, Took], name: str
) -> None:
    took = measured[name]
    assert took.rules is not None, "the check died"
    assert CORPUS[name.removeprefix(IN_S3)][0] in took.rules
    assert took.seconds < ENOUGH_SECONDS * max(1.0, measured[LARGEST].seconds)
    assert took.megabytes < MOST_MEGABYTES


@pytest.mark.parametrize("name", ["sound", "sound.tar.gz"])
def test_sound_adapter_beside_them_is_fine(measured: dict[str, Took], name: str) -> None:
    assert measured[name].rules == []

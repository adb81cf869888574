from pathlib import Path

import pytest

from adapter_fleet.artifacts.checks.adapter_check import examine
from adapter_fleet.artifacts.leftovers import is_leftover
from tests.adapter_fleet.synthetic import SyntheticAdapter


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("training_args.bin", "file"),
        ("rng_state_3.pth", "file"),
        ("tokenizer_config.json", "file"),
        ("zero_to_fp32.py", "file"),
        ("events.out.tfevents.1700000000.host.123.0", "file"),
        ("checkpoint-500", "folder"),
        (".cache", "folder"),
    ],
)
def test_what_a_training_run_leaves_is_left_behind(name: str, kind: str) -> None:
    assert is_leftover(name, kind)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.py", "file"),
        ("adapter_model.bin", "file"),
        ("mytraining_args.bin", "file"),
        ("tokenizer.json", "link"),
        ("tokenizer.json", "folder"),
        ("checkpoint-500", "file"),
    ],
)
def test_nothing_else_is(name: str, kind: str) -> None:
    assert not is_leftover(name, kind)


def test_run_on_a_hundred_processors_leaves_not_too_much(tmp_path: Path) -> None:
    directory = SyntheticAdapter().save(tmp_path)
    for number in range(100):
        (directory / f"rng_state_{number}.pth").touch()
    assert examine(directory).findings == []

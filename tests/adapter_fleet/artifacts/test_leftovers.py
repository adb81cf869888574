from pathlib import Path

import pytest

from adapter_fleet.artifacts.checks.adapter_check import examine
from adapter_fleet.artifacts.leftovers import is_leftover
from tests.adapter_fleet.synthetic import SyntheticAdapter


@pytest.mark.parametrize(
    "name",
    [
        "training_args.bin",
        "scheduler.pt",
        "rng_state_3.pth",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "merges.txt",
        "chat_template.jinja",
        "all_results.json",
        "zero_to_fp32.py",
        "generation_config.json",
        "events.out.tfevents.1700000000.host.123.0",
        ".gitattributes",
    ],
)
def test_files_of_a_training_run_are_left_behind(name: str) -> None:
    assert is_leftover(name, "file")


@pytest.mark.parametrize("name", ["checkpoint-500", ".cache"])
def test_folders_of_a_training_run_are_left_behind(name: str) -> None:
    assert is_leftover(name, "folder")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("model.py", "file"),
        ("requirements.txt", "file"),
        ("adapter_model.bin", "file"),
        ("adapter_config.json", "file"),
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

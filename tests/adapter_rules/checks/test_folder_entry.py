from pathlib import Path

import pytest

from adapter_rules.archives.packing import identity_of
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.adapter_rules.findings_of import findings_of, the_only

WEIGHTS = "adapter_model.safetensors"


def snapshot_of(directory: Path, hub: Path) -> Path:
    """Return the folder of a snapshot as `huggingface_hub` keeps it: a link into `blobs` for each file."""
    blobs, snapshot = hub / "models--acme--support" / "blobs", hub / "models--acme--support/snapshots/4f1c"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(directory.iterdir())):
        (blobs / f"{number}").write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    return snapshot


def test_snapshot_of_the_hub_s_cache_is_the_adapter_that_it_links_to(
    adapter: SyntheticAdapter, tmp_path: Path
) -> None:
    directory = adapter.save()
    (directory / "tokenizer.json").write_text("{}")
    snapshot = snapshot_of(directory, tmp_path / "hub")
    assert findings_of(snapshot) == []
    assert identity_of(snapshot) == identity_of(directory)


def test_folder_that_is_called_snapshots_opens_no_other_one(
    adapter: SyntheticAdapter, tmp_path: Path
) -> None:
    hub = snapshot_of(adapter.save(), tmp_path / "hub").parents[2]
    (hub / "models--acme--support").rename(hub / "other")
    assert {finding.rule for finding in findings_of(hub / "other" / "snapshots" / "4f1c")} == {"file-link"}


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("../elsewhere", "it should be a regular file, got a link"),
        ("nowhere", "it is a link to nothing: download the file that it led to"),
        (WEIGHTS, "it is a link to nothing: download the file that it led to"),  # to itself
        (".", "it should be a regular file, got a link"),
        ("/dev/zero", "it should be a regular file, got a link"),
    ],
)
def test_link_out_of_the_folder_or_to_no_file_is_refused(
    adapter: SyntheticAdapter, tmp_path: Path, target: str, message: str
) -> None:
    directory = adapter.save()
    (directory / WEIGHTS).rename(directory.parent / "elsewhere")
    (directory / WEIGHTS).symlink_to(target)
    assert the_only(findings_of(directory)).message == message

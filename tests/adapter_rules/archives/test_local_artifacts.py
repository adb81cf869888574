"""Adapters on this machine are checked and identified once, without what a training run left beside them."""

from pathlib import Path

import pytest

from adapter_rules.archives.local_artifacts import DeclaredArtifact, check_local_artifacts
from adapter_rules.archives.packing import identity_of, pack
from adapter_rules.checks.folder_entry import is_leftover
from tests.adapter_fleet.synthetic import SyntheticAdapter

DIGEST = "7" * 64


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "local"
    SyntheticAdapter(rank=8).save(path)
    return path


def declared(path: Path, *adapters: str, digest: str | None = None) -> list[DeclaredArtifact]:
    return [
        DeclaredArtifact(adapter=adapter, path=path, where=f"adapters.yaml:{line}", digest=digest)
        for line, adapter in enumerate(adapters, 1)
    ]


def test_a_directory_and_its_archive_have_the_same_identity(directory: Path, tmp_path: Path) -> None:
    archive = tmp_path / "local.tar.gz"
    pack(directory, archive)
    checked = check_local_artifacts([*declared(directory, "one"), *declared(archive, "two")])
    assert checked.findings == []
    assert checked.identities == dict.fromkeys(("one", "two"), identity_of(directory))


def test_an_artifact_of_several_adapters_is_reported_once(directory: Path, tmp_path: Path) -> None:
    (directory / "adapter_config.json").write_text("{}")
    elsewhere = declared(tmp_path / "x" / ".." / "local", "three")
    checked = check_local_artifacts([*declared(directory, "one", "two"), *elsewhere])
    assert checked.identities == {}
    assert {finding.where for finding in checked.findings} == {"adapters.yaml:1"}
    assert all(finding.message.startswith("adapter 'one' and 2 more: ") for finding in checked.findings)


def test_a_path_where_nothing_is_is_an_error(tmp_path: Path) -> None:
    checked = check_local_artifacts(declared(tmp_path / "none", "one"))
    assert [str(finding) for finding in checked.findings] == [
        "adapters.yaml:1: adapter 'one': artifact: should be a directory or an archive of this machine, got"
        f" '{tmp_path / 'none'}', where there is nothing [artifact-place]"
    ]


def test_another_digest_is_an_error_of_each_adapter_that_gives_it(directory: Path) -> None:
    checked = check_local_artifacts(declared(directory, "one", "two", digest=DIGEST))
    assert [str(finding) for finding in checked.findings] == [
        f"adapters.yaml:{line}: adapter '{adapter}': digest: should be that of {directory},"
        f" sha256:{identity_of(directory)}, got sha256:{DIGEST} [digest-agrees]"
        for line, adapter in ((1, "one"), (2, "two"))
    ]


def test_a_file_that_changes_while_it_is_read_is_an_error(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def changed(_: Path) -> str:
        raise OSError("adapter_model.safetensors changed while it was read")

    monkeypatch.setattr("adapter_rules.archives.packing.identity_of", changed)
    checked = check_local_artifacts(declared(directory, "one"))
    assert [finding.rule for finding in checked.findings] == ["path-readable"]
    assert checked.identities == {}


LEFT_BEHIND = [
    "training_args.bin",
    "rng_state_3.pth",
    "tokenizer_config.json",
    "zero_to_fp32.py",
    "events.out.tfevents.1700000000.host.123.0",
]
KEPT = [
    ("model.py", "file"),
    ("adapter_model.bin", "file"),
    ("mytraining_args.bin", "file"),
    ("tokenizer.json", "link"),
    ("tokenizer.json", "folder"),
    ("checkpoint-500", "file"),
]


def test_what_a_training_run_leaves_is_left_behind_and_nothing_else() -> None:
    assert [name for name in LEFT_BEHIND if not is_leftover(name, "file")] == []
    assert is_leftover("checkpoint-500", "folder")
    assert is_leftover(".cache", "folder")
    assert [entry for entry in KEPT if is_leftover(*entry)] == []

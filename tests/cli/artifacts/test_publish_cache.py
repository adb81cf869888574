from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import pytest

from adapters_cli.artifacts.publish_cache import PublishCache, Stamp, stamp_of
from tests.adapter_fleet.synthetic import SyntheticAdapter


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return SyntheticAdapter().save(tmp_path / "adapter")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "published.json"


def settled(stamp: Stamp) -> Stamp:
    """The stamp as it would be of files that were written a minute ago."""
    minute = 60 * 10**9
    return [[*file[:3], file[3] - minute, file[4] - minute] for file in stamp]


def test_identity_and_archive_are_known_in_the_next_run(adapter: Path, file: Path) -> None:
    stamp = settled(stamp_of(adapter))
    memory = PublishCache(file)
    memory.add_identity(adapter, stamp, "abc")
    memory.add_archive("s3://b/k", '"one"', "sha256:5")
    memory.save()
    found = PublishCache(file)
    assert (found.identity(adapter, stamp), found.checksum("s3://b/k")) == ("abc", "sha256:5")
    assert [found.knows_archive("s3://b/k", tag) for tag in ('"one"', '"two"')] == [True, False]
    assert os.listdir(file.parent) == [file.name]  # noqa: PTH208


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_file_that_changes_is_another_even_with_its_old_size_and_time(adapter: Path, name: str) -> None:
    before, path = stamp_of(adapter), adapter / name
    old = path.stat()
    time.sleep(0.02)  # the times of a file move in steps
    path.write_bytes(bytes(old.st_size))
    os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
    changed = stamp_of(adapter)
    shutil.copy2(path, path.with_suffix(".copy"))
    path.with_suffix(".copy").replace(path)
    # Nor is a copy with the times of the original the same.
    assert [changed == before, stamp_of(adapter) == changed] == [False, False]


def test_what_changed_just_now_is_not_remembered_nor_what_cannot_be_written(
    adapter: Path, file: Path
) -> None:
    memory = PublishCache(file)
    memory.add_identity(adapter, stamp_of(adapter), "abc")
    memory.save()
    assert memory.identity(adapter, stamp_of(adapter)) is None
    assert not file.exists()
    file.parent.write_text("no folder")
    memory.add_identity(adapter, settled(stamp_of(adapter)), "abc")
    memory.save()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"identities": 1}', '{"identities": {"/adapter": 1}}'])
def test_file_that_is_none_counts_as_empty(adapter: Path, file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text.replace("/adapter", str(adapter)))
    assert PublishCache(file).identity(adapter, stamp_of(adapter)) is None

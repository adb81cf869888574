from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from local_sagemaker.errors import HostingError
from local_sagemaker.runtime.artifacts import Artifacts
from local_sagemaker.runtime.extracted_archives import ExtractedArchives


class Source(Artifacts):
    """A bucket in which the content of every key is what is before its slash."""

    def __init__(self) -> None:
        self.fetched: list[str] = []
        self.forbidden: set[str] = set()
        self.faulty: set[str] = set()

    def identity(self, url: str, role: str) -> str:
        if role in self.forbidden:
            raise HostingError(f"{role} may not read {url}")
        return url.partition("/")[0]

    def fetch_archive(self, url: str, role: str, target: Path) -> None:
        self.fetched.append(url)
        (target / "content").write_text(url.partition("/")[0])
        if url in self.faulty:
            raise HostingError(f"{url} is damaged")


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def archives(tmp_path: Path, source: Source) -> ExtractedArchives:
    return ExtractedArchives(tmp_path / "archives", source)


def test_archives_with_the_same_content_are_extracted_once(
    archives: ExtractedArchives, source: Source
) -> None:
    first, second, other = (archives.use(url, "role") for url in ("a/1", "a/2", "b/1"))
    assert first == second != other
    assert (first / "content").read_text() == "a"
    assert source.fetched == ["a/1", "b/1"]


def test_archive_goes_with_its_last_user(archives: ExtractedArchives) -> None:
    directory = archives.use("a/1", "role")
    archives.use("a/2", "role")
    assert archives.release(directory)
    assert directory.exists()
    assert archives.release(directory)
    assert not directory.exists()
    assert (archives.use("a/1", "role") / "content").exists()
    assert not archives.release(directory.parent)  # it is of another kind


def test_role_that_may_not_read_an_archive_does_not_get_what_another_has_read(
    archives: ExtractedArchives, source: Source
) -> None:
    archives.use("a/1", "role")
    source.forbidden.add("stranger")
    with pytest.raises(HostingError, match="stranger may not read"):
        archives.use("a/1", "stranger")


def test_archive_that_cannot_be_extracted_leaves_nothing_and_is_tried_again(
    archives: ExtractedArchives, source: Source, tmp_path: Path
) -> None:
    source.faulty.add("a/1")
    with pytest.raises(HostingError, match="damaged"):
        archives.use("a/1", "role")
    assert list((tmp_path / "archives").iterdir()) == []
    assert (archives.use("a/2", "role") / "content").exists()


def test_many_at_once_share_one_extraction(archives: ExtractedArchives, source: Source) -> None:
    together = threading.Barrier(8)

    def use(number: int) -> Path:
        together.wait()
        return archives.use(f"a/{number}", "role")

    with ThreadPoolExecutor(8) as threads:
        directories = set(threads.map(use, range(8)))
    assert len(directories) == len(source.fetched) == 1

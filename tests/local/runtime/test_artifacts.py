"""Archives and models from S3."""

import gzip
import io
import random
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.errors import HostingError
from local_sagemaker.runtime.artifacts import Artifacts, ExtractedArchives, extract
from tests.fakes import FakeS3


def archive(folder: Path, *members: tuple[str, bytes | tarfile.TarInfo]) -> Path:
    path = folder / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members:
            if isinstance(content, tarfile.TarInfo):
                content.name = name
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def special(kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


def test_files_and_folders_come_out(tmp_path: Path) -> None:
    path = archive(
        tmp_path, ("./config.json", b"{}"), ("sub", special(tarfile.DIRTYPE)), ("sub/weights", b"123")
    )
    extract(path, tmp_path / "out")
    assert (tmp_path / "out/config.json").read_bytes() == b"{}"
    assert (tmp_path / "out/sub/weights").read_bytes() == b"123"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("../evil", b"x", "leads out of the directory"),
        ("/evil", b"x", "leads out of the directory"),
        ("link", special(tarfile.SYMTYPE, "/etc/passwd"), "neither a file nor a directory"),
        ("link", special(tarfile.LNKTYPE, "config.json"), "neither a file nor a directory"),
        ("pipe", special(tarfile.FIFOTYPE), "neither a file nor a directory"),
    ],
)
def test_archive_that_could_do_harm_is_refused(
    tmp_path: Path, name: str, content: bytes | tarfile.TarInfo, message: str
) -> None:
    path = archive(tmp_path, ("config.json", b"{}"), (name, content))
    with pytest.raises(ValueError, match=message):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "evil").exists()


def holding(*keys: str, content: bytes = b"") -> tuple[Artifacts, FakeS3]:
    """A bucket whose objects have all the same content."""
    s3: Any = FakeS3("b")
    for key in keys:
        s3.put("b", key, content)
    return Artifacts(lambda role: s3), s3


def text_archive(folder: Path) -> bytes:
    """An archive whose compressed data has Huffman tables and matches to damage."""
    chosen = random.Random(1)
    text = bytes(chosen.choice(b"abcdefghij0123") for _ in range(60_000))
    return archive(folder, ("adapter_config.json", text)).read_bytes()


def test_archive_that_is_damaged_anywhere_or_cut_is_refused_with_its_uri(tmp_path: Path) -> None:
    good = text_archive(tmp_path)

    def fetch(content: bytes, name: str) -> None:
        (tmp_path / name).mkdir()
        artifacts, _ = holding("a.tar.gz", content=content)
        artifacts.fetch_archive("s3://b/a.tar.gz", "role", tmp_path / name)

    fetch(good, "good")
    bad = [good[:length] for length in (0, 5, len(good) // 2, len(good) - 8, len(good) - 1)]
    bad += [b"not gzip", gzip.compress(b"not tar" * 1000)]
    # From after the header, of which time, system and name mean nothing to what is in the archive.
    start = good.index(b"a.tar\0") + len(b"a.tar\0")
    for position in [*range(start, len(good) - 8, 499), *range(len(good) - 8, len(good))]:
        damaged = bytearray(good)
        damaged[position] ^= 0x10
        bad.append(bytes(damaged))
    for number, content in enumerate(bad):
        with pytest.raises(HostingError, match=r"Could not extract s3://b/a\.tar\.gz: "):
            fetch(content, str(number))


def prefix_source(uri: str) -> dict[str, Any]:
    source = {"S3Uri": uri, "S3DataType": "S3Prefix", "CompressionType": "None"}
    return {"ModelDataSource": {"S3DataSource": source}}


@pytest.mark.parametrize(
    "container",
    [
        prefix_source("s3://b/base/"),
        {"Environment": {"HF_MODEL_ID": "s3://b/base"}},
        {"Environment": {"HF_MODEL_ID": "s3://b/base/"}},
    ],
    ids=["source", "model id", "model id with a slash"],
)
def test_prefix_takes_in_what_is_below_it(tmp_path: Path, container: dict[str, Any]) -> None:
    artifacts, _ = holding("base/", "base/config.json", "base/sub/weights", "base-v2/config.json")
    artifacts.fetch_model(container, "role", tmp_path)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert files == [Path("config.json"), Path("sub/weights")]


@pytest.mark.parametrize("mark", ["#", "?", "%20"])
def test_key_may_have_what_means_something_in_web_addresses(tmp_path: Path, mark: str) -> None:
    artifacts, _ = holding(f"a{mark}1.tar.gz", f"base{mark}1/config.json", content=text_archive(tmp_path))
    artifacts.fetch_archive(f"s3://b/a{mark}1.tar.gz", "role", tmp_path / "adapter")
    artifacts.fetch_model(prefix_source(f"s3://b/base{mark}1/"), "role", tmp_path / "model")
    assert (tmp_path / "model/config.json").exists()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["base/../../evil"], "Could not store 'base/../../evil' of s3://b/base/: .* leads out of"),
        (["base/a", "base/a/b"], "Could not store 'base/a/b' of s3://b/base/: "),
    ],
)
def test_key_that_is_no_path_in_the_model_is_named(tmp_path: Path, keys: list[str], message: str) -> None:
    with pytest.raises(HostingError, match=message):
        holding(*keys)[0].fetch_model(prefix_source("s3://b/base/"), "role", tmp_path / "model")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"Environment": {"HF_MODEL_ID": "org/model"}}, "'org/model' is a model of the Hugging Face hub"),
        ({"Environment": {}}, "The container has no model"),
        ({"ModelDataUrl": "https://host/model.tar.gz"}, "'https://host/model.tar.gz' is not an S3 URI"),
        # It would take in base-v2 as well.
        (prefix_source("s3://b/base"), "The S3 prefix s3://b/base should end with a slash"),
    ],
)
def test_model_that_cannot_be_fetched_says_why(
    tmp_path: Path, container: dict[str, object], message: str
) -> None:
    artifacts, s3 = holding("base/config.json")
    with pytest.raises(HostingError, match=message):
        artifacts.fetch_model(container, "role", tmp_path)
    assert s3.calls == []


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

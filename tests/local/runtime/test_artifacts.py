from __future__ import annotations

import gzip
import io
import random
import tarfile
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.errors import HostingError
from local_sagemaker.runtime.artifacts import Artifacts, extract


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


class OneObject:
    """An S3 client of a bucket in which every key is the same file."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def get_object(self, **_: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.content)}


def fetch(content: bytes, target: Path) -> None:
    target.mkdir()
    Artifacts(lambda role: OneObject(content)).fetch_archive("s3://b/a.tar.gz", "role", target)  # type: ignore[arg-type,return-value]


def text_archive(folder: Path) -> bytes:
    """An archive whose compressed data has Huffman tables and matches to damage."""
    chosen = random.Random(1)
    text = bytes(chosen.choice(b"abcdefghij0123") for _ in range(60_000))
    return archive(folder, ("adapter_config.json", text)).read_bytes()


def test_archive_that_is_damaged_anywhere_is_refused_with_its_uri(tmp_path: Path) -> None:
    good = text_archive(tmp_path)
    fetch(good, tmp_path / "good")
    # From after the header, of which time, system and name mean nothing to what is in the archive.
    start = good.index(b"a.tar\0") + len(b"a.tar\0")
    for number, position in enumerate([*range(start, len(good) - 8, 499), *range(len(good) - 8, len(good))]):
        bad = bytearray(good)
        bad[position] ^= 0x10
        with pytest.raises(HostingError, match=r"Could not extract s3://b/a\.tar\.gz: "):
            fetch(bytes(bad), tmp_path / str(number))


def test_what_is_no_whole_archive_is_refused(tmp_path: Path) -> None:
    good = text_archive(tmp_path)
    cut = [good[:length] for length in (0, 5, len(good) // 2, len(good) - 8, len(good) - 1)]
    for number, content in enumerate((*cut, b"not gzip", gzip.compress(b"not tar" * 1000))):
        with pytest.raises(HostingError, match="Could not extract"):
            fetch(content, tmp_path / str(number))


class Objects:
    """An S3 client of a bucket with keys that are all there is to them."""

    def __init__(self, *keys: str) -> None:
        self.keys = keys

    def get_paginator(self, operation: str) -> Objects:
        return self

    def paginate(self, Bucket: str, Prefix: str) -> list[dict[str, Any]]:  # noqa: N803
        return [{"Contents": [{"Key": key} for key in self.keys if key.startswith(Prefix)]}]

    def download_file(self, bucket: str, key: str, path: str) -> None:
        Path(path).write_text(key)


def fetch_prefix(uri: str, target: Path, *keys: str) -> None:
    source = {"S3DataSource": {"S3Uri": uri, "S3DataType": "S3Prefix", "CompressionType": "None"}}
    container = {"ModelDataSource": source}
    Artifacts(lambda role: Objects(*keys)).fetch_model(container, "role", target)  # type: ignore[arg-type,return-value]


def test_prefix_takes_in_what_is_below_it(tmp_path: Path) -> None:
    fetch_prefix(
        "s3://b/base/", tmp_path, "base/", "base/config.json", "base/sub/weights", "base-v2/config.json"
    )
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert [path.read_text() for path in files] == ["base/config.json", "base/sub/weights"]


@pytest.mark.parametrize("mark", ["#", "?", "%20"])
def test_key_may_have_what_means_something_in_web_addresses(tmp_path: Path, mark: str) -> None:
    asked: list[str] = []

    class Bucket(OneObject):
        def get_object(self, **request: str) -> dict[str, Any]:
            asked.append(request["Key"])
            return super().get_object()

    bucket = Bucket(text_archive(tmp_path))
    uri = f"s3://b/a{mark}1.tar.gz"
    Artifacts(lambda role: bucket).fetch_archive(uri, "role", tmp_path / "adapter")  # type: ignore[arg-type,return-value]
    fetch_prefix(f"s3://b/base{mark}1/", tmp_path / "model", f"base{mark}1/config.json", "base/config.json")
    assert asked == [f"a{mark}1.tar.gz"]
    assert (tmp_path / "model/config.json").read_text() == f"base{mark}1/config.json"


def test_prefix_without_a_slash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HostingError, match="The S3 prefix s3://b/base should end with a slash"):
        fetch_prefix("s3://b/base", tmp_path, "base/config.json", "base-v2/config.json")


def test_model_id_is_a_directory_with_a_slash_or_without(tmp_path: Path) -> None:
    for number, model_id in enumerate(("s3://b/base", "s3://b/base/")):
        container = {"Environment": {"HF_MODEL_ID": model_id}}
        bucket = Objects("base/config.json", "base-v2/other.json")
        Artifacts(lambda role, bucket=bucket: bucket).fetch_model(container, "role", tmp_path / str(number))  # type: ignore[misc]
        assert [path.name for path in (tmp_path / str(number)).iterdir()] == ["config.json"]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["base/../../evil"], "Could not store 'base/../../evil' of s3://b/base/: .* leads out of"),
        (["base/a", "base/a/b"], "Could not store 'base/a/b' of s3://b/base/: "),
    ],
)
def test_key_that_is_no_path_in_the_model_is_named(tmp_path: Path, keys: list[str], message: str) -> None:
    with pytest.raises(HostingError, match=message):
        fetch_prefix("s3://b/base/", tmp_path / "model", *keys)
    assert not (tmp_path / "evil").exists()


def no_client(role: str) -> None:
    raise AssertionError("nothing is to be fetched")


@pytest.mark.parametrize(
    ("container", "message"),
    [
        ({"Environment": {"HF_MODEL_ID": "org/model"}}, "'org/model' is a model of the Hugging Face hub"),
        ({"Environment": {}}, "The container has no model"),
        ({"ModelDataUrl": "https://host/model.tar.gz"}, "'https://host/model.tar.gz' is not an S3 URI"),
    ],
)
def test_model_that_cannot_be_fetched_says_why(
    tmp_path: Path, container: dict[str, object], message: str
) -> None:
    with pytest.raises(HostingError, match=message):
        Artifacts(no_client).fetch_model(container, "role", tmp_path)  # type: ignore[arg-type]

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import pytest

from local_sagemaker.artifacts import Artifacts, extract
from local_sagemaker.errors import HostingError


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
        ("config.json", b"twice", "in the archive twice"),
        ("./config.json", b"twice", "in the archive twice"),
        ("bomb", bytes(200 * 2**20), "expands to far more than its own size"),
    ],
)
def test_archive_that_could_do_harm_is_refused(
    tmp_path: Path, name: str, content: bytes | tarfile.TarInfo, message: str
) -> None:
    path = archive(tmp_path, ("config.json", b"{}"), (name, content))
    with pytest.raises(ValueError, match=message):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [b"", b"not gzip", gzip.compress(b"not tar" * 1000)])
def test_what_is_no_archive_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.tar.gz"
    path.write_bytes(content)
    with pytest.raises((tarfile.TarError, OSError, EOFError)):
        extract(path, tmp_path / "out")


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

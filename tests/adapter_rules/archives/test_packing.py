import gzip
import hashlib
import io
import os
import random
import subprocess
import tarfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapter_fleet.artifacts.archive import ArchiveError
from adapter_rules.archives import packing
from adapter_rules.archives.packing import AdapterFiles, identity_of, pack
from tests.adapter_fleet.synthetic import SyntheticAdapter

ADAPTER = ("adapter_config.json", "adapter_model.safetensors")
FILES = (*ADAPTER, "README.md")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = SyntheticAdapter().save(tmp_path_factory.mktemp("adapter"))
    (directory / "README.md").write_text("# An adapter")
    return directory


@st.composite
def tar_entries(draw: st.DrawFn) -> list[tarfile.TarInfo]:
    """The files of an adapter in any order, with any owner, time and mode."""
    found = []
    for name in draw(st.permutations(FILES)):
        entry = tarfile.TarInfo(draw(st.sampled_from(["", "./"])) + name)
        entry.mtime = draw(st.integers(0, 2**32))
        entry.mode = draw(st.integers(0, 0o777))
        entry.uid = draw(st.integers(0, 2**20))
        entry.gid = draw(st.integers(0, 2**20))
        entry.uname = draw(st.sampled_from(["", "root", "zoë"]))
        found.append(entry)
    return found


@pytest.mark.slow
@given(
    listing=tar_entries(),
    level=st.integers(0, 9),
    compressor=st.sampled_from(["zlib", "gzip"]),
    tar_format=st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_identity_of_an_archive_depends_on_its_content_only(
    directory: Path,
    tmp_path: Path,
    listing: list[tarfile.TarInfo],
    level: int,
    compressor: str,
    tar_format: int,
) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tar_format) as tar:
        for entry in listing:
            content = (directory / entry.name).read_bytes()
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    data = buffer.getvalue()
    if compressor == "zlib":
        stream = zlib.compressobj(level, wbits=31, strategy=zlib.Z_HUFFMAN_ONLY)
        data = stream.compress(data) + stream.flush()
    else:
        data = gzip.compress(data, level)
    archive = tmp_path / "adapter.tar.gz"
    archive.write_bytes(data)
    assert identity_of(archive) == identity_of(directory)


def test_identity_is_that_of_the_packed_tar(directory: Path, tmp_path: Path) -> None:
    packed = pack(directory, tmp_path / "adapter.tar.gz")
    assert packed.identity == hashlib.sha256(gzip.decompress(packed.path.read_bytes())).hexdigest()
    assert packed.identity == identity_of(directory) == identity_of(packed.path)
    with packed.path.open("rb") as stream:
        assert identity_of(stream) == packed.identity


def test_identity_never_changes_between_releases(tmp_path: Path) -> None:
    """Recorded: another value would upload and deploy every adapter of every user again."""
    (tmp_path / "adapter_config.json").write_text('{"r": 8}')
    (tmp_path / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 5)
    assert identity_of(tmp_path) == "578044245aa346947b87afa4195df8400ab6029ca8991e4a001cec85af3a8dc9"


def test_archive_is_what_gnu_tar_makes_of_the_same_files(directory: Path, tmp_path: Path) -> None:
    options = ["--format=ustar", "--owner=:0", "--group=:0", "--numeric-owner", "--mtime=@0", "--mode=644"]
    subprocess.run(["tar", *options, "-cf", tmp_path / "gnu.tar", "-C", directory, *ADAPTER], check=True)
    packed = pack(directory, tmp_path / "adapter.tar.gz")
    assert gzip.decompress(packed.path.read_bytes()) == (tmp_path / "gnu.tar").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("processors", [1, 16])
def test_archive_is_whole_on_any_number_of_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(random.Random(1).randbytes(20_000_000))
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    packed = pack(tmp_path, tmp_path / "adapter.tar.gz")
    assert identity_of(packed.path) == packed.identity


def test_nothing_but_the_adapter_is_packed(adapter: SyntheticAdapter, tmp_path: Path) -> None:
    directory = adapter.save()
    before = identity_of(directory)
    (directory / "training_args.bin").write_bytes(b"secret")
    packed = pack(directory, tmp_path / "adapter.tar.gz")
    assert packed.identity == before
    with tarfile.open(packed.path) as tar:
        assert tar.getnames() == ["adapter_config.json", "adapter_model.safetensors"]


def test_failure_keeps_the_archive_that_was_there(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "adapter.tar.gz"
    before = pack(directory, target).path.read_bytes()

    def fail(sizes: list[int]) -> bytes:
        raise MemoryError

    monkeypatch.setattr(packing, "canonical_end", fail)
    with pytest.raises(MemoryError):
        pack(directory, target)
    with pytest.raises(FileNotFoundError, match="adapter_config"):
        pack(tmp_path, target)
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize(
    ("name", "message"), [("model.py", "it is code"), ("adapter_config.json", "it is in the archive twice")]
)
def test_archive_with_anything_else_has_no_identity(
    directory: Path, tmp_path: Path, name: str, message: str
) -> None:
    archive = tmp_path / "adapter.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for file in FILES:
            tar.add(directory / file, file)
        tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(ArchiveError, match=message):
        identity_of(archive)


def test_open_files_of_an_archive_pack_to_the_same_bytes(directory: Path, tmp_path: Path) -> None:
    packed = pack(directory, tmp_path / "packed.tar.gz")
    with AdapterFiles.of(packed.path) as files, io.BytesIO() as again:
        assert files.identity() == packed.identity
        assert files.write_archive(again) == packed.identity
        assert again.getvalue() == packed.path.read_bytes()
        assert files.config == (directory / "adapter_config.json").read_bytes()


def test_open_files_of_an_archive_have_no_names(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack(directory, tmp_path / "packed.tar.gz")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    with AdapterFiles.of(packed.path):
        assert list(scratch.iterdir()) == []

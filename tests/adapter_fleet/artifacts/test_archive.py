import gzip
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest

from adapter_fleet.artifacts import decompressing_reader, tar
from adapter_fleet.artifacts.archive import ArchiveError
from adapter_fleet.artifacts.tar import entries
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.adapter_rules.findings_of import findings_of, the_only


class Archive:
    """A `.tar.gz` that a stranger might make."""

    def __init__(self, directory: Path | None = None) -> None:
        self._buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115 # closed in `stream`
        if directory is not None:
            for path in sorted(directory.iterdir()):
                self.tar.add(path, path.name)

    def add(self, name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "") -> None:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.size = kind, link, len(content)
        self.tar.addfile(entry, io.BytesIO(content))

    def stream(self) -> io.BytesIO:
        self.tar.close()
        return io.BytesIO(gzip.compress(self._buffer.getvalue()))


def test_archive_is_checked_by_the_rules_of_the_directory(adapter: SyntheticAdapter) -> None:
    adapter.config |= {"use_dora": True, "r": 4}
    directory = adapter.save()
    (directory / "model.py").touch()
    in_archive = findings_of(Archive(directory).stream(), where=str(directory))
    assert in_archive == findings_of(directory)
    assert len(in_archive) > 2


@pytest.mark.parametrize(("cut", "zeros"), [(0, 0), (700, 5), (300_000, 100_000)])
def test_archive_in_two_gzip_files_and_zeros_behind_them_are_taken(
    adapter: SyntheticAdapter, cut: int, zeros: int
) -> None:
    tar = gzip.decompress(Archive(replace(adapter, layers=100).save()).stream().getvalue())
    content = gzip.compress(tar[:cut]) + bytes(zeros) + gzip.compress(tar[cut:]) + bytes(zeros)
    unpacked: list[bytes] = []
    assert findings_of(io.BytesIO(content), watch=unpacked.append) == []
    assert b"".join(unpacked) == tar


def test_archive_that_packs_well_is_unpacked_whole(adapter: SyntheticAdapter) -> None:
    adapter = replace(adapter, layers=100)
    for tensor in adapter.tensors.values():
        tensor[:] = tensor[0, 0]
    assert findings_of(Archive(adapter.save()).stream()) == []


def test_archive_of_the_root_folder_in_any_order_is_taken(adapter: SyntheticAdapter) -> None:
    directory = adapter.save()
    archive = Archive()
    archive.add(".", kind=tarfile.DIRTYPE)
    for name in ("adapter_model.safetensors", "adapter_config.json"):
        archive.add(f"./{name}", (directory / name).read_bytes())
    assert findings_of(archive.stream()) == []


@pytest.mark.parametrize(
    ("name", "rule", "message"),
    [
        ("/etc/passwd", "file-path", "its path leaves the archive"),
        ("adapter/adapter_config.json", "file-at-root", "it is in a sub-folder"),
        ("adapter_config.json", "archive-form", "it is in the archive twice"),
        ("./adapter_config.json", "archive-form", "it is in the archive twice"),
    ],
)
def test_entry_that_has_no_place_is_refused_by_name(
    adapter: SyntheticAdapter, name: str, rule: str, message: str
) -> None:
    archive = Archive(adapter.save())
    archive.add(name)
    finding = the_only(findings_of(archive.stream(), where="x.tar.gz"))
    assert finding.rule == rule
    assert finding.where == f"x.tar.gz/{name.removeprefix('./')}"
    assert message in finding.message


@pytest.mark.parametrize(
    ("name", "kind", "rule", "got"),
    [
        ("README.md", tarfile.SYMTYPE, "file-link", "a link"),
        ("README.md", tarfile.DIRTYPE, "file-unexpected", "a folder"),
        ("README.md/", tarfile.REGTYPE, "file-unexpected", "a folder"),
        ("README.md", tarfile.FIFOTYPE, "file-unexpected", "a special file"),
    ],
)
def test_entry_that_is_no_regular_file_is_refused(
    adapter: SyntheticAdapter, name: str, kind: bytes, rule: str, got: str
) -> None:
    archive = Archive(adapter.save())
    archive.add(name, kind=kind, link="adapter_config.json")
    finding = the_only(findings_of(archive.stream()))
    assert (finding.rule, finding.message) == (rule, f"it should be a regular file, got {got}")


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_name_is_read_in_each_form_of_tar(adapter: SyntheticAdapter, form: Literal[0, 1, 2]) -> None:
    name = f"{'a' * 60}/{'b' * 90}"
    archive = Archive(adapter.save())
    archive.tar.format = form
    archive.add(name)
    # A message shows the beginning.
    assert the_only(findings_of(archive.stream(), where="x")).where.startswith(f"x/{name[:80]}")


class TestUnreadable:
    def test_anything_but_a_gzip_file_is_refused(self) -> None:
        assert "should be a gzipped tar" in the_only(findings_of(io.BytesIO(b"hello"))).message

    def test_gzip_of_something_else_is_refused(self) -> None:
        stream = io.BytesIO(gzip.compress(b"no tar" * 200))
        assert "it is no readable tar archive" in the_only(findings_of(stream)).message

    @pytest.mark.parametrize("content", [b"30 path=abc\n", b"12 path=abcd", b" path=abc\n"])
    def test_pax_header_with_a_record_that_does_not_end_is_refused(self, content: bytes) -> None:
        archive = Archive()
        archive.add("x", content, kind=tarfile.XHDTYPE)
        assert "a pax header is malformed" in the_only(findings_of(archive.stream())).message

    def test_bytes_behind_the_end_are_refused_however_many_zeros_are_around_them(
        self, adapter: SyntheticAdapter
    ) -> None:
        whole = gzip.decompress(Archive(adapter.save()).stream().getvalue())
        zeros = bytes(100_000)
        content = gzip.compress(whole + zeros + b"x") + gzip.compress(zeros)
        assert the_only(findings_of(io.BytesIO(content))).rule == "archive-form"

    @pytest.mark.parametrize("part", [0.01, 0.999])
    def test_truncated_archive_is_refused(self, adapter: SyntheticAdapter, part: float) -> None:
        whole = Archive(adapter.save()).stream().getvalue()
        finding = the_only(findings_of(io.BytesIO(whole[: int(len(whole) * part)])))
        assert finding.rule == "archive-damaged"

    @pytest.mark.parametrize("position", [-8, -1])
    def test_wrong_checksum_or_length_is_refused(self, adapter: SyntheticAdapter, position: int) -> None:
        whole = bytearray(Archive(adapter.save()).stream().getvalue())
        whole[position] ^= 1
        assert the_only(findings_of(io.BytesIO(whole))).rule == "archive-damaged"


class TestLimits:
    def test_archive_of_more_bytes_than_allowed_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(decompressing_reader, "MAX_BYTES", 50_000)
        archive = Archive()
        archive.add("README.md", os.urandom(100_000))
        finding = the_only(findings_of(archive.stream()))
        assert finding.message == "it should unpack to at most 50000 bytes"

    def test_archive_of_more_entries_than_allowed_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tar, "MAX_ENTRIES", 10)
        archive = Archive()
        for number in range(100):
            archive.add(f"{number}.txt")
        findings = findings_of(archive.stream())
        assert findings[-1].message == "it should have at most 10 entries"
        # Five of the ten, and a word about the others.
        assert len(findings) == 7

    def test_header_that_claims_much_is_refused_before_it_is_read(self) -> None:
        """`tarfile` reads an extended header into memory at the size that it claims."""
        header = tarfile.TarInfo("pax")
        header.type, header.size = tarfile.XHDTYPE, 4 * 1024**3
        stream = io.BytesIO(gzip.compress(header.tobuf() + os.urandom(10_000)))
        with pytest.raises(ArchiveError, match="its headers should take at most 1048576 bytes"):
            list(entries(stream))

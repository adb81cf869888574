"""Reading an archive of S3 in a function: its identity, in bounded memory, and what can go wrong."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.exceptions import BotoCoreError

from adapter_fleet.aws.s3_objects import S3Archives
from adapter_fleet.fleet.state.archive_version import ArchiveReading, ArchiveVersion
from adapter_fleet.fleet.state.sagemaker_port import UnansweredError
from adapter_fleet.manifest.desired import Artifact
from adapter_rules.archives.packing import identity_of, pack
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.fakes import FakeS3

URI = "s3://bucket/acme.tar.gz"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of two megabytes."""
    return SyntheticAdapter(layers=500).save(tmp_path_factory.mktemp("adapter"))


@contextmanager
def calling(operation: str) -> Iterator[None]:
    """Errors as `SageMakerService` has them, as far as these tests go."""
    try:
        yield
    except BotoCoreError as error:
        raise UnansweredError(operation) from error


def tar(directory: Path, *names: str, **more: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in names:
            archive.add(directory / name, arcname=f"./{name}")
        for name, content in more.items():
            entry = tarfile.TarInfo(name.replace("_", "."))
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


class Stored:
    """One archive in S3, and what reads it."""

    def __init__(self, body: bytes) -> None:
        self.s3 = FakeS3()
        self.archives = S3Archives(cast(Any, self.s3), calling)
        self.put(body)
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        self.version = ArchiveVersion(uri=URI, etag=etag, size=len(body), modified=0.0)

    def put(self, body: bytes) -> None:
        self.s3.put("bucket", "acme.tar.gz", body)

    def identities(self) -> tuple[str, ...]:
        return self.archives.read(self.version, lambda: False).identities


def test_archive_of_ours_has_one_identity(directory: Path, tmp_path: Path) -> None:
    packed = pack(directory, tmp_path / "a.tar.gz")
    assert Stored(packed.path.read_bytes()).identities() == (packed.identity,)


@pytest.mark.parametrize("names", [(CONFIG, WEIGHTS), (WEIGHTS, CONFIG)])
def test_archive_of_another_program_has_the_identity_of_its_files(
    directory: Path, names: tuple[str, ...]
) -> None:
    made = tar(directory, *names, README_md=b"# acme")
    found = Stored(gzip.compress(made, 1)).identities()
    assert found == (hashlib.sha256(made).hexdigest(), identity_of(directory))


@pytest.mark.parametrize("more", [{"model_py": b"import os"}, {"other_txt": b""}])
def test_archive_with_more_than_an_adapter_has_only_the_hash_of_its_tar(
    directory: Path, more: dict[str, bytes]
) -> None:
    made = tar(directory, CONFIG, WEIGHTS, **more)
    assert Stored(gzip.compress(made, 1)).identities() == (hashlib.sha256(made).hexdigest(),)


@pytest.mark.parametrize(
    "body",
    [b"", b"this is not a gzip stream", gzip.compress(b"no tar")[:-4]],
    ids=["empty", "no gzip", "cut"],
)
def test_object_that_is_no_archive_is_a_problem_and_no_error(body: bytes) -> None:
    stored = Stored(body)
    read = stored.archives.read(stored.version, lambda: False)
    assert read.identities == ()
    assert "should be the adapter with digest" in (read.mismatch(Artifact(uri=URI, digest="0" * 64)) or "")


def test_digest_of_the_archive_file_is_told_as_such() -> None:
    version = ArchiveVersion(uri=URI, etag="e", size=1, modified=0, checksum=f"sha256:{'0' * 64}")
    found = ArchiveReading(version=version, identities=("1" * 64,)).mismatch(
        Artifact(uri=URI, digest="0" * 64)
    )
    assert "; the first is the SHA-256 of the archive file" in (found or "")


def test_archive_that_is_another_one_by_now_gives_no_answer(directory: Path) -> None:
    stored = Stored(gzip.compress(tar(directory, CONFIG, WEIGHTS), 1))
    stored.put(b"another")
    with pytest.raises(UnansweredError, match="replaced"):
        stored.identities()


def test_reading_ends_when_it_is_told_to(directory: Path) -> None:
    stored = Stored(gzip.compress(tar(directory, CONFIG, WEIGHTS), 1))
    left = [False, False, True]
    with pytest.raises(UnansweredError, match="no time"):
        stored.archives.read(stored.version, lambda: left.pop(0))
    assert stored.s3.bytes_read < stored.version.size

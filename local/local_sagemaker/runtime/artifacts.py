"""Fetches base models and adapter archives from the emulated S3 as the execution role, and extracts them.

An archive has one directory for each content, however many components serve it.
"""

import gzip
import itertools
import shutil
import tarfile
import threading
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from local_sagemaker.errors import HostingError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_PIECE_BYTES = 2**16

ClientForRole = Callable[[str], "S3Client"]


class Artifacts:
    """Fetches models and adapters. Calls block, so call them on a worker thread."""

    def __init__(self, s3_as: ClientForRole):
        """s3_as returns an S3 client that acts as a role, by ARN; HostingError if the role forbids it."""
        self._s3_as = s3_as

    def fetch_model(self, container: dict[str, Any], role: str, target: Path) -> None:
        """Fetch the base model of a container definition into `target`."""
        source = container.get("ModelDataSource", {}).get("S3DataSource")
        model_id = container.get("Environment", {}).get("HF_MODEL_ID", "")
        if source is not None:
            if source.get("CompressionType", "None") == "Gzip" or source["S3DataType"] == "S3Object":
                self.fetch_archive(source["S3Uri"], role, target)
            else:
                self._fetch_prefix(source["S3Uri"], role, target)
        elif "ModelDataUrl" in container or "ArtifactUrl" in container:
            self.fetch_archive(container.get("ModelDataUrl") or container["ArtifactUrl"], role, target)
        elif model_id.startswith("s3://"):
            # [V LMI docs] The container downloads the prefix by itself.
            self._fetch_prefix(model_id.rstrip("/") + "/", role, target)
        elif model_id:
            raise HostingError(
                f"HF_MODEL_ID '{model_id}' is a model of the Hugging Face hub, which the embedded cloud "
                "cannot reach; put the model into a bucket and name it by ModelDataSource or "
                "HF_MODEL_ID=s3://..."
            )
        else:
            raise HostingError(
                "The container has no model: give ModelDataSource, ModelDataUrl, or HF_MODEL_ID in its "
                "environment."
            )

    def identity(self, url: str, role: str) -> str:
        """A string that is equal for equal content; HostingError if the role may not read the archive."""
        bucket, key = _split(url)
        try:
            head = self._s3_as(role).head_object(Bucket=bucket, Key=key)
        except (BotoCoreError, ClientError) as error:
            raise _unreadable(url, role, error) from error
        return f"{head['ETag']} {head['ContentLength']}"

    def _fetch_prefix(self, uri: str, role: str, target: Path) -> None:
        bucket, prefix = _split(uri)
        if prefix and not prefix.endswith("/"):
            # [V S3ModelDataSource] A valid prefix always ends with a slash; without it, `base` also matches
            # `base-v2`. No source says that the service adds a slash, so none is added here.
            raise HostingError(f"The S3 prefix {uri} should end with a slash.")
        client = self._s3_as(role)
        found = False
        try:
            for listing in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                for item in listing.get("Contents", []):
                    name = item["Key"].removeprefix(prefix).lstrip("/")
                    if not name or name.endswith("/"):
                        continue
                    try:
                        path = _inside(target, name)
                        path.parent.mkdir(parents=True, exist_ok=True)
                        client.download_file(bucket, item["Key"], str(path))
                    except (OSError, ValueError) as error:
                        raise HostingError(f"Could not store '{item['Key']}' of {uri}: {error}") from error
                    found = True
        except (BotoCoreError, ClientError) as error:
            raise _unreadable(uri, role, error) from error
        if not found:
            raise HostingError(f"Could not find model data at {uri}.")

    def fetch_archive(self, uri: str, role: str, target: Path) -> None:
        """Extract a model's or an adapter's archive into `target`; HostingError if that fails."""
        bucket, key = _split(uri)
        archive = target.with_name(target.name + ".tar.gz")
        try:
            # Not download_file: for each of a thousand small archives it sends a HEAD and starts threads.
            body = self._s3_as(role).get_object(Bucket=bucket, Key=key)["Body"]
            with body, archive.open("wb") as file:
                shutil.copyfileobj(body, file)
        except (BotoCoreError, ClientError) as error:
            raise _unreadable(uri, role, error) from error
        try:
            extract(archive, target)
        except (tarfile.TarError, zlib.error, OSError, EOFError, ValueError) as error:
            raise HostingError(f"Could not extract {uri}: {error}") from error
        finally:
            archive.unlink()


def extract(archive: Path, target: Path) -> None:
    """Extract a .tar.gz of plain files and directories.

    Raises ValueError for links, devices and paths that leave the directory. Raises tarfile.TarError,
    zlib.error, OSError or EOFError for damaged files and other formats.
    """
    with gzip.open(archive) as unpacked:
        with tarfile.open(fileobj=unpacked, mode="r|") as tar:
            for member in tar:
                path = _inside(target, member.name)
                if member.isdir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                if not member.isreg():
                    raise ValueError(f"'{member.name}' is neither a file nor a directory")
                content = tar.extractfile(member)
                assert content is not None  # isreg() says so
                path.parent.mkdir(parents=True, exist_ok=True)
                with content, path.open("wb") as file:
                    shutil.copyfileobj(content, file)
        # tarfile stops where the tar ends; gzip's checksum comes after that.
        while unpacked.read(_PIECE_BYTES):
            pass


def _inside(target: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if PurePosixPath(name).is_absolute() or ".." in parts:
        raise ValueError(f"'{name}' leads out of the directory")
    return target.joinpath(*parts)


def _split(uri: str) -> tuple[str, str]:
    # Not urlsplit: in S3 keys, `#` and `?` have no special meaning.
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not uri.startswith("s3://") or not bucket:
        raise HostingError(f"'{uri}' is not an S3 URI.")
    return bucket, key


def _unreadable(uri: str, role: str, error: Exception) -> HostingError:
    # [T] The sentence as users quote it.
    return HostingError(
        f'Could not access model data at {uri}. Please ensure that the role "{role}" exists and that its '
        'trust relationship policy allows the action "sts:AssumeRole" for the service principal '
        '"sagemaker.amazonaws.com". Also ensure that the role has "s3:GetObject" permissions and that the '
        f"object is located in the region of the endpoint. ({error})"
    )


@dataclass(eq=False)
class _Entry:
    identity: str
    directory: Path
    users: int = 0
    extracted: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)


class ExtractedArchives:
    """Read-only directories below one root. Thread-safe; calls block."""

    def __init__(self, root: Path, source: Artifacts):
        self._root = root
        self._source = source
        self._numbers = itertools.count(1)
        self._by_identity: dict[str, _Entry] = {}
        self._by_directory: dict[Path, _Entry] = {}
        self._lock = threading.Lock()

    def use(self, url: str, role: str) -> Path:
        """The directory of an archive, with one more user; HostingError if it cannot be fetched."""
        identity = self._source.identity(url, role)
        with self._lock:
            entry = self._by_identity.get(identity)
            if entry is None:
                entry = _Entry(identity, self._root / f"adapter-{next(self._numbers)}")
                self._by_identity[identity] = self._by_directory[entry.directory] = entry
            entry.users += 1
        try:
            with entry.lock:
                self._extract(entry, url, role)
        except BaseException:
            self.release(entry.directory)
            raise
        return entry.directory

    def _extract(self, entry: _Entry, url: str, role: str) -> None:
        if entry.extracted:
            return
        entry.directory.mkdir(parents=True)
        try:
            self._source.fetch_archive(url, role, entry.directory)
        except BaseException:
            shutil.rmtree(entry.directory, ignore_errors=True)
            raise
        entry.extracted = True

    def release(self, directory: Path) -> bool:
        """Give up one use of a directory, and remove it after the last; False if it is not an archive's."""
        with self._lock:
            entry = self._by_directory.get(directory)
            if entry is None:
                return False
            entry.users -= 1
            if entry.users:
                return True
            del self._by_identity[entry.identity], self._by_directory[directory]
        shutil.rmtree(directory, ignore_errors=True)
        return True

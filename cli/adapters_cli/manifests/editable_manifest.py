"""A manifest that a command updates: a file or an object in S3, each replaced as a whole."""

import os
import random
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from adapter_fleet.manifest.manifest import Manifest
from adapters_cli.aws.account import Account
from adapters_cli.aws.s3_location import S3Location
from adapters_cli.manifests.stored_manifest import ChangedMeanwhileError, StoredManifest
from adapters_cli.output.errors import CommandError
from adapters_cli.output.folder_lock import locked_folder

_MAX_ATTEMPTS = 20
_WAIT_SECONDS = 0.2

_EMPTY = {"json": b'{\n  "adapters": []\n}\n', "yaml": b"adapters: []\n"}

TextChange = Callable[[bytes], bytes]


class EditableManifest(ABC):
    """A manifest that a command updates. If it does not exist yet, it has no adapters.

    where:
        Its name in messages.
    folder:
        Folder of relative paths in it; None if it may have no paths.
    """

    where: str
    folder: Path | None

    @staticmethod
    def of(text: str, account: Account) -> "EditableManifest":
        """Return the manifest at a path or an `s3://` URI.

        Raises UsageError for a wrong URI, and CommandError if the path cannot be a file.
        """
        location = S3Location.of_manifest(text)
        return (
            _EditableFile(Path(text))
            if location is None
            else _EditableObject(account, location.bucket, location.key)
        )

    @abstractmethod
    def read(self) -> bytes:
        """Return the present text."""

    def parsed(self) -> Manifest:
        """Return the present manifest. Raises ManifestError if it has mistakes."""
        return Manifest.parse(self.read(), where=self.where, folder=self.folder)

    @abstractmethod
    def try_to_write(self) -> None:
        """Raise CommandError if it cannot be written. Changes nothing."""

    @abstractmethod
    def update(self, change: TextChange) -> bool:
        """Replace the text by `change(text)`; return True if that is another text.

        If someone else writes meanwhile, the change is made again on the new text. An exception of `change`
        leaves the manifest as it is.
        """

    def _empty(self) -> bytes:
        return _EMPTY["json" if self.where.endswith(".json") else "yaml"]


class _EditableFile(EditableManifest):
    def __init__(self, path: Path) -> None:
        self.where = str(path)
        # A symbolic link stays one.
        self._path = path.resolve()
        self.folder = path.parent
        if not self._path.parent.is_dir():
            raise CommandError(f"{path}: there is no folder '{path.parent}'")
        if self._path.is_dir():
            raise CommandError(f"{path}: is a folder")

    def read(self) -> bytes:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return self._empty()

    def try_to_write(self) -> None:
        made = self._path.with_name(f".{self._path.name}.next")
        try:
            with locked_folder(self._path.parent):
                made.touch()
                made.unlink()
        except OSError as error:
            raise CommandError(f"{self.where}: it cannot be written: {error.strerror}") from None

    def update(self, change: TextChange) -> bool:
        made = self._path.with_name(f".{self._path.name}.next")
        with locked_folder(self._path.parent):
            made.unlink(missing_ok=True)  # left by a writer that was killed
            before = self.read()
            after = change(before)
            if after == before:
                return False
            try:
                with made.open("xb") as file:
                    file.write(after)
                    file.flush()
                    os.fsync(file.fileno())
                if self._path.exists():
                    shutil.copymode(self._path, made)
                made.replace(self._path)
            except BaseException:
                made.unlink(missing_ok=True)
                raise
        return True


class _EditableObject(EditableManifest):
    def __init__(self, account: Account, bucket: str, key: str) -> None:
        self._account = account
        self._bucket, self._key = bucket, key
        self.where, self.folder = f"s3://{bucket}/{key}", None

    def read(self) -> bytes:
        return self._text(self._stored())

    def _stored(self) -> StoredManifest:
        return StoredManifest.read(self._account.s3, self._bucket, self._key)

    def _text(self, stored: StoredManifest) -> bytes:
        return self._empty() if stored.etag is None else stored.text

    def try_to_write(self) -> None:
        pass  # S3 reports it only for a real write

    def update(self, change: TextChange) -> bool:
        for _ in range(_MAX_ATTEMPTS):
            stored = self._stored()
            before = self._text(stored)
            after = change(before)
            if after == before:
                return False
            try:
                stored.write(self._account.s3, after)
            except ChangedMeanwhileError:
                self._account.sleep(random.uniform(0, _WAIT_SECONDS))
                continue
            return True
        raise CommandError(
            f"{self.where}: others have written it {_MAX_ATTEMPTS} times since it was read; run this again"
        )

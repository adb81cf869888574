"""The place of a copied model in S3, and the state of its files there.

Everything about a model's repository is under `<prefix><organization>--<name>/`:

    <commit>/<path>                   the model's files and nothing else: the folder that SageMaker loads
    <commit>.complete.json            marks a complete copy; lists the files with their digests
    revisions/<who>/<revision>.json   the commit that a branch or tag was resolved to

and, until the copy is complete:

    <commit>.plan.json                the files to copy
    <commit>.verified/<path>/<etag>   the object of that file with that ETag has been verified
    <commit>.copying/<who>.json       who copies it; all of them share the unfinished uploads

The construct and `adapters pull` both write these keys, so each finds what the other has copied.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.counts import noun_of
from adapter_fleet.hub.files import ModelFile

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import DeleteTypeDef

_MISSING = ("NoSuchKey", "404", "NotFound")
_MAX_KEYS_PER_DELETE = 1000  # DeleteObjects in the S3 API reference


@dataclass(frozen=True, kw_only=True)
class Repository:
    """All copies of one model in a bucket."""

    bucket: str
    prefix: str
    model_id: str

    @property
    def base(self) -> str:
        """The prefix of all keys."""
        return repository_prefix(self.prefix, self.model_id)

    def revision_key(self, who: str, revision: str) -> str:
        """Return the key that holds the commit of a branch or tag."""
        return f"{self.revisions(who)}{quote(revision, safe='')}.json"

    def revisions(self, who: str) -> str:
        """Return the prefix of all branches and tags that one owner resolved."""
        return f"{self.base}revisions/{who}/"

    def at(self, commit: str) -> "ModelLocation":
        """Return the place of one commit's files."""
        return ModelLocation(repository=self, commit=commit)


@dataclass(frozen=True, kw_only=True)
class ModelLocation:
    """One commit of a model in a bucket."""

    repository: Repository
    commit: str

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self.repository.bucket

    @property
    def folder(self) -> str:
        """The prefix that SageMaker loads, with its slash."""
        return f"{self.repository.base}{self.commit}/"

    @property
    def uri(self) -> str:
        """The folder as people write it."""
        return f"s3://{self.bucket}/{self.folder}"

    @property
    def marker(self) -> str:
        """The key of the object that marks a complete copy."""
        return f"{self.repository.base}{self.commit}.complete.json"

    @property
    def plan(self) -> str:
        """The key of the object that lists the files to copy."""
        return f"{self.repository.base}{self.commit}.plan.json"

    @property
    def records(self) -> str:
        """The prefix of the records of verified files."""
        return f"{self.repository.base}{self.commit}.verified/"

    @property
    def copying(self) -> str:
        """The prefix of the records of those who copy the commit."""
        return f"{self.repository.base}{self.commit}.copying/"

    def key(self, path: str) -> str:
        """Return the key of a file."""
        return self.folder + path

    def record(self, path: str, etag: str) -> str:
        """Return the key of the record that the object with this ETag was verified."""
        return f"{self.records}{path}/{etag.strip(chr(34))}"


class ModelStore:
    """Reads and writes the state of one commit's copy in S3. Raises botocore's errors."""

    def __init__(self, location: ModelLocation, s3: "S3Client") -> None:
        self.location = location
        self._s3 = s3

    def complete_files(self) -> Sequence[ModelFile] | None:
        """Return the files of a complete copy; None if the copy is not, or no longer, complete."""
        marker = read_json(self._s3, self.location.bucket, self.location.marker)
        if marker is None:
            return None
        there = self._objects(self.location.folder)
        for file in marker["files"]:
            if there.get(file["path"]) != (file["etag"], file["size"]):
                return None
        return _files(marker["files"])

    def planned_files(self) -> Sequence[ModelFile] | None:
        """Return the files to copy; None if the copy has not begun."""
        plan = read_json(self._s3, self.location.bucket, self.location.plan)
        return None if plan is None else _files(plan["files"])

    def keep_plan(self, files: Sequence[ModelFile]) -> None:
        """Record the files to copy."""
        self._write(self.location.plan, {"files": [asdict(file) for file in files]})

    def verified(self, files: Iterable[ModelFile]) -> Mapping[str, str]:
        """Return the ETags of the verified files, by path."""
        records = {*self._keys(self.location.records), *self._marked()}
        return self._recorded(files, self._objects(self.location.folder), records)

    def is_verified(self, file: ModelFile) -> bool:
        """Tell whether one file is copied and verified."""
        records = {*self._keys(f"{self.location.records}{file.path}/"), *self._marked()}
        return bool(records and self._recorded([file], self._objects(self.location.key(file.path)), records))

    def progress(self, files: Sequence[ModelFile]) -> str:
        """Return how much of the files is copied, for the end of an error's message."""
        verified = self.verified(files)
        if not verified:
            return "nothing is copied yet"
        there = sum(file.size for file in files if file.path in verified) / 1e9
        total = sum(file.size for file in files) / 1e9
        return (
            f"{len(verified)} of {len(files)} {noun_of(len(files), 'file')} ({there:.3g} of {total:.3g} GB)"
            f" {'is' if len(verified) == 1 else 'are'} in {self.location.uri} and"
            f" {'stays' if len(verified) == 1 else 'stay'} there; the next deployment goes on from there"
        )

    def keep_verified(self, path: str, etag: str) -> None:
        """Record that the object with this ETag was verified."""
        self._s3.put_object(Bucket=self.location.bucket, Key=self.location.record(path, etag), Body=b"")

    def keep_complete(self, files: Sequence[ModelFile], etags: Mapping[str, str]) -> None:
        """Mark the copy as complete, and remove the records of its progress."""
        self._write(
            self.location.marker,
            {
                "version": 1,
                "model": self.location.repository.model_id,
                "commit": self.location.commit,
                "bytes": sum(file.size for file in files),
                "completed_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "files": [asdict(file) | {"etag": etags[file.path]} for file in files],
            },
        )
        notes = [*self._keys(self.location.records), *self._keys(self.location.copying), self.location.plan]
        delete_keys(self._s3, self.location.bucket, notes)

    def keep_copying(self, who: str) -> None:
        """Record that an owner copies the commit."""
        self._write(self._copying(who), {})

    def give_up(self, who: str) -> int:
        """Remove an owner's record, and abort the uploads unless another owner still copies the commit.

        Returns the number of aborted uploads. All who copy a commit at the same time share its uploads.
        """
        delete_keys(self._s3, self.location.bucket, [self._copying(who)])
        return 0 if self._keys(self.location.copying) else self.abort_uploads()

    def abort_uploads(self) -> int:
        """Abort every upload of a file of this commit; return their number."""
        number = 0
        for key, upload in self.uploads(self.location.folder):
            number += 1
            try:
                self._s3.abort_multipart_upload(Bucket=self.location.bucket, Key=key, UploadId=upload)
            except ClientError as error:
                if code_of(error) != "NoSuchUpload":
                    raise
        return number

    def uploads(self, prefix: str) -> Iterator[tuple[str, str]]:
        """Yield key and id of each unfinished upload, the oldest of a key first."""
        pages = self._s3.get_paginator("list_multipart_uploads").paginate(
            Bucket=self.location.bucket, Prefix=prefix
        )
        found = [upload for page in pages for upload in page.get("Uploads", [])]
        found.sort(key=lambda upload: (upload["Key"], upload["Initiated"], upload["UploadId"]))
        for upload in found:
            yield upload["Key"], upload["UploadId"]

    def _copying(self, who: str) -> str:
        return f"{self.location.copying}{who}.json"

    def _marked(self) -> Iterator[str]:
        """Yield the records of verified files that the marker replaced."""
        marker = read_json(self._s3, self.location.bucket, self.location.marker)
        for file in marker["files"] if marker else ():
            yield self.location.record(file["path"], file["etag"])

    def _recorded(
        self, files: Iterable[ModelFile], objects: Mapping[str, tuple[str, int]], records: set[str]
    ) -> dict[str, str]:
        result = {}
        for file in files:
            etag, size = objects.get(file.path, ("", -1))
            if size == file.size and self.location.record(file.path, etag) in records:
                result[file.path] = etag
        return result

    def _objects(self, prefix: str) -> dict[str, tuple[str, int]]:
        """Return ETag and size of the objects below a prefix, by the paths of their files."""
        return {
            item["Key"].removeprefix(self.location.folder): (item["ETag"], item["Size"])
            for item in self._list(prefix)
        }

    def _keys(self, prefix: str) -> list[str]:
        return [item["Key"] for item in self._list(prefix)]

    def _list(self, prefix: str) -> Iterator[Any]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.location.bucket, Prefix=prefix)
        for page in pages:
            yield from page.get("Contents", [])

    def _write(self, key: str, value: object) -> None:
        write_json(self._s3, self.location.bucket, key, value)


def repository_prefix(prefix: str, model_id: str) -> str:
    """Return the prefix of all copies of a model."""
    return f"{prefix}{model_id.replace('/', '--')}/"


def read_json(s3: "S3Client", bucket: str, key: str) -> Any:
    """Return the content of a JSON object in S3; None if there is no such object."""
    try:
        return json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except ClientError as error:
        if code_of(error) in _MISSING:
            return None
        raise


def write_json(s3: "S3Client", bucket: str, key: str, value: object) -> None:
    """Write a JSON object to S3."""
    body = json.dumps(value, indent=1).encode()
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


def delete_keys(s3: "S3Client", bucket: str, keys: Sequence[str]) -> None:
    """Delete objects; keys without an object are ignored.

    Raises ClientError for one that could not be deleted. S3 reports it in a successful response
    (https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html).
    """
    for start in range(0, len(keys), _MAX_KEYS_PER_DELETE):
        batch = keys[start : start + _MAX_KEYS_PER_DELETE]
        delete: DeleteTypeDef = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
        refused = s3.delete_objects(Bucket=bucket, Delete=delete).get("Errors")
        if refused:
            first = refused[0]
            message = f"s3://{bucket}/{first.get('Key', '')}: {first.get('Message', '')}"
            raise ClientError({"Error": {"Code": first.get("Code", ""), "Message": message}}, "DeleteObjects")


def _files(entries: Iterable[Mapping[str, Any]]) -> list[ModelFile]:
    return [ModelFile(path=entry["path"], size=entry["size"], digest=entry["digest"]) for entry in entries]

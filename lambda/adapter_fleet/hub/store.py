"""Where a copied model lies in S3, and what is known of its files there.

Everything of a model's repository is under `<prefix><organization>--<name>/`:

    <commit>/<path>                   the files: the folder that SageMaker loads, and nothing else in it
    <commit>.complete.json            says that all of them are there, which ones, and with what digests
    <commit>.plan.json                which files are wanted, until they are all there
    <commit>.verified/<path>/<etag>   an object of that file and ETag has been verified, until then
    <commit>.copying/<who>.json       who copies it, until then: what is half uploaded is theirs together
    revisions/<who>/<revision>.json   the commit that a branch or tag was resolved to

The construct and `adapters pull` both write it, so that either finds what the other has copied.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.hub.files import ModelFile

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import DeleteTypeDef

_MISSING = ("NoSuchKey", "404", "NotFound")
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True, kw_only=True)
class Repository:
    """All copies of one model in a bucket."""

    bucket: str
    prefix: str
    model_id: str

    @property
    def base(self) -> str:
        """What all keys begin with."""
        return repository_prefix(self.prefix, self.model_id)

    def revision_key(self, who: str, revision: str) -> str:
        """Return the key that holds the commit of a branch or tag."""
        return f"{self.revisions(who)}{quote(revision, safe='')}.json"

    def revisions(self, who: str) -> str:
        """Return what the keys of all branches and tags that someone resolved begin with."""
        return f"{self.base}revisions/{who}/"

    def at(self, commit: str) -> "ModelLocation":
        """Return where one commit's files are."""
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
        """The key of the object that says that the copy is complete."""
        return f"{self.repository.base}{self.commit}.complete.json"

    @property
    def plan(self) -> str:
        """The key of the object that says which files are wanted."""
        return f"{self.repository.base}{self.commit}.plan.json"

    @property
    def records(self) -> str:
        """What the keys of the records of verified files begin with."""
        return f"{self.repository.base}{self.commit}.verified/"

    @property
    def copying(self) -> str:
        """What the keys of the notes of those who copy it begin with."""
        return f"{self.repository.base}{self.commit}.copying/"

    def key(self, path: str) -> str:
        """Return the key of a file."""
        return self.folder + path

    def record(self, path: str, etag: str) -> str:
        """Return the key of the record that an object is the file it should be."""
        return f"{self.records}{path}/{etag.strip(chr(34))}"


class ModelStore:
    """Reads and writes what S3 knows of one commit's copy. Errors are botocore's."""

    def __init__(self, location: ModelLocation, s3: "S3Client") -> None:
        self.location = location
        self._s3 = s3

    def complete_files(self) -> Sequence[ModelFile] | None:
        """Return the files of a copy that is whole; None where there is none, or no longer."""
        marker = read_json(self._s3, self.location.bucket, self.location.marker)
        if marker is None:
            return None
        there = self._objects(self.location.folder)
        for file in marker["files"]:
            if there.get(file["path"]) != (file["etag"], file["size"]):
                return None
        return _files(marker["files"])

    def planned_files(self) -> Sequence[ModelFile] | None:
        """Return the files that were wanted when the copy began; None where it did not."""
        plan = read_json(self._s3, self.location.bucket, self.location.plan)
        return None if plan is None else _files(plan["files"])

    def keep_plan(self, files: Sequence[ModelFile]) -> None:
        """Note which files are wanted."""
        self._write(self.location.plan, {"files": [asdict(file) for file in files]})

    def verified(self, files: Iterable[ModelFile]) -> Mapping[str, str]:
        """Return the ETags, by path, of those files that are there and have been verified."""
        records = {*self._keys(self.location.records), *self._marked()}
        return self._recorded(files, self._objects(self.location.folder), records)

    def is_verified(self, file: ModelFile) -> bool:
        """Tell whether one file is there and has been verified."""
        records = {*self._keys(f"{self.location.records}{file.path}/"), *self._marked()}
        return bool(records and self._recorded([file], self._objects(self.location.key(file.path)), records))

    def how_far(self, files: Sequence[ModelFile]) -> str:
        """Say how much of these files is there and verified, for the end of an error's message."""
        verified = self.verified(files)
        if not verified:
            return "nothing is copied yet"
        there = sum(file.size for file in files if file.path in verified) / 1e9
        total = sum(file.size for file in files) / 1e9
        return (
            f"{len(verified)} of {len(files)} files ({there:.3g} of {total:.3g} GB)"
            f" are in {self.location.uri} and stay there; the next deployment goes on from there"
        )

    def keep_verified(self, path: str, etag: str) -> None:
        """Note that the object with this ETag is the file."""
        self._s3.put_object(Bucket=self.location.bucket, Key=self.location.record(path, etag), Body=b"")

    def keep_complete(self, files: Sequence[ModelFile], etags: Mapping[str, str]) -> None:
        """Say that the copy is whole, and remove what was noted on the way."""
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
        """Note that someone copies the commit."""
        self._write(self._copying(who), {})

    def give_up(self, who: str) -> int:
        """Forget that someone copies the commit, and abort its uploads unless another still does.

        Returns how many there were. Those who copy one commit at once share its uploads.
        """
        delete_keys(self._s3, self.location.bucket, [self._copying(who)])
        return 0 if self._keys(self.location.copying) else self.abort_uploads()

    def abort_uploads(self) -> int:
        """Abort every upload of a file of this commit; return how many there were."""
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
        """Yield the key and the id of each upload that was begun and not ended, the oldest of a key first."""
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
        """Yield the records that the marker stands for, which were removed when it was written."""
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
        """Return ETag and size of the objects whose keys begin so, by the paths of their files."""
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
    """Return what the keys of all copies of a model begin with."""
    return f"{prefix}{model_id.replace('/', '--')}/"


def read_json(s3: "S3Client", bucket: str, key: str) -> Any:
    """Return a JSON object in S3; None where there is none."""
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
    """Delete objects; those that are not there are none to delete.

    Raises ClientError for one that could not be deleted: S3 tells it in an answer that is no error itself.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    for start in range(0, len(keys), _DELETED_AT_ONCE):
        batch = keys[start : start + _DELETED_AT_ONCE]
        delete: DeleteTypeDef = {"Objects": [{"Key": key} for key in batch], "Quiet": True}
        refused = s3.delete_objects(Bucket=bucket, Delete=delete).get("Errors")
        if refused:
            first = refused[0]
            message = f"s3://{bucket}/{first.get('Key', '')}: {first.get('Message', '')}"
            raise ClientError({"Error": {"Code": first.get("Code", ""), "Message": message}}, "DeleteObjects")


def _files(entries: Iterable[Mapping[str, Any]]) -> list[ModelFile]:
    return [ModelFile(path=entry["path"], size=entry["size"], digest=entry["digest"]) for entry in entries]

"""Copies a model from the hub to S3 in steps that can be repeated, whatever became of the ones before.

The state machine of a copy calls them: `plan` says which files are missing, `advance` brings one file as far
as it can and says which ranges are missing, `copy_range` copies one range. What is there already is looked up
in S3 each time, so that a machine that starts anew goes on where the last one ended.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.bounded_text import bounded
from adapter_fleet.hub.client import Hub, HubBusyError, HubError
from adapter_fleet.hub.files import COMMIT, ModelFile, ModelFilesError, wanted_files
from adapter_fleet.hub.store import ModelLocation, ModelStore, Repository, read_json, write_json

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedPartTypeDef

MOST_ROUNDS = 3
"""How often the machine goes over all files before it gives up."""

RETRIES = 6
"""How often the machine repeats a call; after the last one it is told what is wrong in the answer."""

PATIENCE_SECONDS = 120.0
"""How long a denial may be about roles as they were before CloudFormation has changed them.

IAM tells of a change by and by. Terraform's AWS provider waits as long (`propagationTimeout` of its
internal/service/iam).
"""

_MOST_LOOKS = 60
"""At one file in a round: some for each 500 ranges."""

_MOST_PARTS_AT_ONCE = 500
"""Each may come back with a reason, and a state may have 256 KiB."""

_LONGEST_REASON_BYTES = 200
_READ_BYTES = 16 * 1024 * 1024
_READERS = 4
_ENDED = "a function ended before its work did; its log says why"

# What nobody can mend by asking again.
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AllAccessDisabled",
        "KMS.DisabledException",
        "KMS.NotFoundException",
        "NoSuchBucket",
    }
)


class CopyError(Exception):
    """A model cannot be copied; the message goes to CloudFormation."""


@dataclass(frozen=True, kw_only=True)
class CopyRequest:
    """What to copy, and where to. Passes through the state machine, and so holds no secret.

    revision:
        A commit, or a branch or tag, which is resolved once.
    who:
        Who asks: a branch is resolved once for each.
    part_bytes:
        The size of a range. A smaller file is copied in one piece.
    asked_at:
        When CloudFormation has asked for it, in seconds since 1970.
    """

    model_id: str
    revision: str
    bucket: str
    prefix: str
    who: str
    part_bytes: int
    asked_at: float = 0.0

    def is_early(self, now: float) -> bool:
        """Tell whether a denial may pass yet."""
        return now < self.asked_at + PATIENCE_SECONDS

    @property
    def repository(self) -> Repository:
        """Where all copies of the model are."""
        return Repository(bucket=self.bucket, prefix=self.prefix, model_id=self.model_id)


@dataclass(frozen=True, kw_only=True)
class FileCopy:
    """One file that a copy is to bring."""

    request: CopyRequest
    commit: str
    file: ModelFile

    @property
    def location(self) -> ModelLocation:
        """Where the files of the commit are."""
        return self.request.repository.at(self.commit)

    @property
    def is_whole(self) -> bool:
        """Whether it is copied in one piece."""
        return self.file.size <= self.request.part_bytes

    def size_of(self, part: int) -> int:
        """Return the bytes of a range; the first one is 1, as S3 counts."""
        return min(self.request.part_bytes, self.file.size - (part - 1) * self.request.part_bytes)

    @property
    def parts(self) -> range:
        """The numbers of all ranges."""
        return range(1, -(-self.file.size // self.request.part_bytes) + 1)


def plan(request: CopyRequest, outcomes: Sequence[Any], rounds: int, *, hub: Hub, s3: "S3Client") -> Any:
    """Say which files are missing, or that the copy is whole.

    outcomes:
        What became of each file in the round before.

    Raises CopyError where it cannot be made whole, with nothing left half uploaded but what another copies.
    """
    try:
        commit = resolve(request, hub=hub, s3=s3)
        store = ModelStore(request.repository.at(commit), s3)
        files = store.complete_files()
        if files is not None:
            return _whole(store, files)
        files = store.planned_files()
        if files is None:
            listed = hub.revision(request.model_id, commit).files
            files = wanted_files(f"{request.model_id}@{commit[:12]}", listed)
            store.keep_plan(files)
    except (HubError, ModelFilesError) as error:
        raise CopyError(str(error)) from None
    etags = store.verified(files)
    missing = [file for file in files if file.path not in etags]
    if not missing:
        # Of an execution that was stopped, or of another stack that copied the same.
        store.abort_uploads()
        store.keep_complete(files, etags)
        return _whole(store, files)
    failed = [outcome for outcome in outcomes if outcome.get("reason")]
    if any(outcome.get("final") for outcome in failed) or rounds >= MOST_ROUNDS:
        store.give_up(request.who)
        raise CopyError(_explained(request, store, files, failed))
    store.keep_copying(request.who)
    return {"done": False, "commit": commit, "files": [asdict(file) for file in missing]}


def resolve(request: CopyRequest, *, hub: Hub, s3: "S3Client") -> str:
    """Return the commit of the revision: that of the first time, where it is a branch or tag."""
    known = resolved(request, s3=s3)
    if known is not None:
        return known
    commit = hub.revision(request.model_id, request.revision).commit
    key = request.repository.revision_key(request.who, request.revision)
    write_json(s3, request.bucket, key, {"revision": request.revision, "commit": commit})
    return commit


def resolved(request: CopyRequest, *, s3: "S3Client") -> str | None:
    """Return the commit of the revision without asking the hub; None where it was not resolved yet."""
    if COMMIT.fullmatch(request.revision):
        return request.revision
    key = request.repository.revision_key(request.who, request.revision)
    record = read_json(s3, request.bucket, key)
    return None if record is None else str(record["commit"])


def advance(copy: FileCopy, outcomes: Sequence[Any], looks: int, *, s3: "S3Client") -> dict[str, Any]:
    """Bring a file as far as it can be without the hub; say which ranges are missing, or that it is done.

    outcomes:
        What became of the ranges that it said were missing.
    """
    store = ModelStore(copy.location, s3)
    if store.is_verified(copy.file):
        return {"done": True}
    failed = [outcome for outcome in outcomes if outcome.get("reason")]
    final = [outcome for outcome in failed if outcome.get("final")]
    if final:
        return _given_up(final[0])
    if looks >= _MOST_LOOKS or (failed and len(failed) == len(outcomes)):
        return _given_up(failed[0] if failed else {"reason": _ENDED})
    if copy.is_whole:
        return {"done": False, "upload": "", "parts": [0]}
    key = copy.location.key(copy.file.path)
    if _size_of(s3, copy.location.bucket, key) != copy.file.size:
        upload = _upload(copy, store, s3)
        present = _parts(copy, upload, s3)
        missing = [number for number in copy.parts if number not in present]
        if missing:
            return {"done": False, "upload": upload, "parts": missing[:_MOST_PARTS_AT_ONCE]}
        s3.complete_multipart_upload(
            Bucket=copy.location.bucket,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": [present[number] for number in copy.parts]},
        )
    return _verify(copy, store, s3)


def copy_range(copy: FileCopy, upload: str, part: int, *, hub: Hub, s3: "S3Client") -> None:
    """Copy one range of a file into its upload; 0 for a file that is copied in one piece.

    Raises HubError, HubBusyError and botocore's errors.
    """
    file, location = copy.file, copy.location
    key = location.key(file.path)
    if part:
        start, size = (part - 1) * copy.request.part_bytes, copy.size_of(part)
        content = hub.read(copy.request.model_id, copy.commit, file, start=start, size=size)
        s3.upload_part(
            Bucket=location.bucket,
            Key=key,
            UploadId=upload,
            PartNumber=part,
            Body=content,
            ChecksumAlgorithm="CRC32",
        )
        return
    content = hub.read(copy.request.model_id, copy.commit, file, start=0, size=file.size)
    hashed = file.hasher()
    hashed.update(content.getbuffer())
    if not file.matches(hashed):
        raise HubBusyError(_differs(file))
    written = s3.put_object(Bucket=location.bucket, Key=key, Body=content, ChecksumAlgorithm="CRC32")
    ModelStore(location, s3).keep_verified(file.path, written["ETag"])


def refusal(error: Exception, *, last: bool, early: bool = False) -> dict[str, Any] | None:
    """Return what to tell the machine of an error; None where it is to call again."""
    if isinstance(error, HubError) or (is_denied(error) and not early):
        return {"reason": _short(error), "final": True}
    if isinstance(error, ClientError) and code_of(error) == "NoSuchUpload":
        return {"reason": _short(error)}  # aborted by someone: the file gets another one
    if last and isinstance(error, (HubBusyError, ClientError, BotoCoreError)):
        return {"reason": _short(error)}
    return None


def is_denied(error: Exception) -> bool:
    """Tell whether AWS does not let a function have what it asks for."""
    return isinstance(error, ClientError) and code_of(error) in _DENIED


def _verify(copy: FileCopy, store: ModelStore, s3: "S3Client") -> dict[str, Any]:
    """Read a file that is whole, and note that it is what the hub says; delete it where it is not."""
    bucket, key, file = copy.location.bucket, copy.location.key(copy.file.path), copy.file
    etag = s3.head_object(Bucket=bucket, Key=key)["ETag"]
    hashed = file.hasher()

    def read(start: int) -> bytes:
        end = min(start + _READ_BYTES, file.size) - 1
        # What is read has to be what is noted.
        answer = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end}", IfMatch=etag)
        return answer["Body"].read()

    for piece in _ahead(read, range(0, file.size, _READ_BYTES)):
        hashed.update(piece)
    if file.matches(hashed):
        store.keep_verified(file.path, etag)
        return {"done": True}
    # Another may have written a good one meanwhile. Not every store of objects deletes by ETag, so it is
    # looked up before: what comes between the two calls is deleted, and copied once more.
    if s3.head_object(Bucket=bucket, Key=key)["ETag"] == etag:
        s3.delete_object(Bucket=bucket, Key=key)
    return _given_up({"reason": _differs(file)})


def _ahead(read: Callable[[int], bytes], starts: Sequence[int]) -> Iterator[bytes]:
    """Yield the pieces in order, and read the next meanwhile: one connection is slower than the hash."""
    with ThreadPoolExecutor(_READERS) as executor:
        pending: deque[Future[bytes]] = deque()
        for start in starts:
            pending.append(executor.submit(read, start))
            if len(pending) > _READERS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _upload(copy: FileCopy, store: ModelStore, s3: "S3Client") -> str:
    """Return the upload that the ranges go to: the oldest one of the file, so that all choose the same."""
    key = copy.location.key(copy.file.path)
    for found, upload in store.uploads(key):
        if found == key:
            return upload
    return s3.create_multipart_upload(Bucket=copy.location.bucket, Key=key, ChecksumAlgorithm="CRC32")[
        "UploadId"
    ]


def _parts(copy: FileCopy, upload: str, s3: "S3Client") -> "dict[int, CompletedPartTypeDef]":
    """Return the ranges that are in an upload, as its completion wants them."""
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=copy.location.bucket, Key=copy.location.key(copy.file.path), UploadId=upload
    )
    return {
        part["PartNumber"]: {
            "PartNumber": part["PartNumber"],
            "ETag": part["ETag"],
            "ChecksumCRC32": part["ChecksumCRC32"],
        }
        for page in pages
        for part in page.get("Parts", [])
        if part["PartNumber"] in copy.parts and part["Size"] == copy.size_of(part["PartNumber"])
    }


def _size_of(s3: "S3Client", bucket: str, key: str) -> int | None:
    try:
        return s3.head_object(Bucket=bucket, Key=key)["ContentLength"]
    except ClientError as error:
        if code_of(error) in ("404", "NoSuchKey", "NotFound"):
            return None
        raise


def _whole(store: ModelStore, files: Sequence[ModelFile]) -> dict[str, Any]:
    return {
        "done": True,
        "commit": store.location.commit,
        "prefix": store.location.folder,
        "files": len(files),
        "bytes": sum(file.size for file in files),
    }


def _given_up(outcome: Mapping[str, Any]) -> dict[str, Any]:
    return {"done": True, **outcome}


def _explained(
    request: CopyRequest, store: ModelStore, files: Sequence[ModelFile], failed: Sequence[Mapping[str, Any]]
) -> str:
    # That of a file that cannot be had says more than that of one that did not come in time.
    worst = sorted(failed, key=lambda outcome: not outcome.get("final"))
    reasons = list(dict.fromkeys(outcome["reason"] for outcome in worst))
    reason = "; ".join(reasons[:3]) or _ENDED
    return f"'{request.model_id}' could not be copied: {reason}; {store.how_far(files)}"


def _differs(file: ModelFile) -> str:
    return (
        f"the bytes of '{file.path}' that the hub sent are not those of its {file.digest.partition(':')[0]}"
    )


def _short(error: Exception) -> str:
    return bounded(" ".join(str(error).split()), _LONGEST_REASON_BYTES)

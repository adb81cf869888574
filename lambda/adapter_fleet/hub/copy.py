"""Copies a model from the hub to S3 in steps, each of which can be repeated after any failure.

The state machine of a copy calls them: `plan` lists the missing files, `advance` finishes a file or lists its
missing ranges, and `copy_range` copies one range. Each step looks up in S3 what is already copied, so a new
execution resumes where the last one ended.
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

MAX_ROUNDS = 3
"""How often the machine goes over all files before it gives up."""

RETRIES = 6
"""How often the machine repeats a call. The last call returns its error as an outcome."""

IAM_PROPAGATION_SECONDS = 120.0
"""How long a denial may still come from the roles before CloudFormation changed them.

IAM is eventually consistent. Terraform's AWS provider waits as long (`propagationTimeout` of its
internal/service/iam).
"""

_MAX_LOOKS = 60
"""Calls of `advance` for one file in a round: several for each 500 ranges."""

_MAX_PARTS_PER_LOOK = 500
"""Each may return a reason, and a state holds at most 256 KiB."""

_MAX_REASON_BYTES = 200
_READ_BYTES = 16 * 1024 * 1024
_READERS = 4
_ENDED = "a function ended before its work did; its log says why"

# Errors that no retry mends.
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
    """Which model to copy, and where to. It passes through the state machine, so it holds no secret.

    revision:
        A commit, or a branch or tag, which is resolved to a commit once.
    who:
        The owner of the copy. Each owner resolves a branch for itself.
    part_bytes:
        The size of a range. A smaller file is copied in one piece.
    asked_at:
        When CloudFormation asked for the copy, in seconds since 1970.
    """

    model_id: str
    revision: str
    bucket: str
    prefix: str
    who: str
    part_bytes: int
    asked_at: float = 0.0

    def is_early(self, now: float) -> bool:
        """Tell whether a denial may still come from roles that are about to change."""
        return now < self.asked_at + IAM_PROPAGATION_SECONDS

    @property
    def repository(self) -> Repository:
        """The place of all copies of the model."""
        return Repository(bucket=self.bucket, prefix=self.prefix, model_id=self.model_id)


@dataclass(frozen=True, kw_only=True)
class FileCopy:
    """One file of a copy."""

    request: CopyRequest
    commit: str
    file: ModelFile

    @property
    def location(self) -> ModelLocation:
        """The place of the commit's files."""
        return self.request.repository.at(self.commit)

    @property
    def is_whole(self) -> bool:
        """Whether it is copied in one piece."""
        return self.file.size <= self.request.part_bytes

    def size_of(self, part: int) -> int:
        """Return the size of a range in bytes. The first range is 1, as S3 counts parts."""
        return min(self.request.part_bytes, self.file.size - (part - 1) * self.request.part_bytes)

    @property
    def parts(self) -> range:
        """The numbers of all ranges."""
        return range(1, -(-self.file.size // self.request.part_bytes) + 1)


def plan(request: CopyRequest, outcomes: Sequence[Any], rounds: int, *, hub: Hub, s3: "S3Client") -> Any:
    """List the missing files, or report that the copy is complete.

    outcomes:
        The result of each file in the round before.

    Raises CopyError if the copy cannot be completed. No upload of this owner is left then.
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
        # These uploads are of a stopped execution, or of another stack that copied the same commit.
        store.abort_uploads()
        store.keep_complete(files, etags)
        return _whole(store, files)
    failed = [outcome for outcome in outcomes if outcome.get("reason")]
    if any(outcome.get("final") for outcome in failed) or rounds >= MAX_ROUNDS:
        store.give_up(request.who)
        raise CopyError(_explained(request, store, files, failed))
    store.keep_copying(request.who)
    return {"done": False, "commit": commit, "files": [asdict(file) for file in missing]}


def resolve(request: CopyRequest, *, hub: Hub, s3: "S3Client") -> str:
    """Return the commit of the revision. A branch or tag keeps the commit it had the first time."""
    known = known_commit(request, s3=s3)
    if known is not None:
        return known
    commit = hub.revision(request.model_id, request.revision).commit
    key = request.repository.revision_key(request.who, request.revision)
    write_json(s3, request.bucket, key, {"revision": request.revision, "commit": commit})
    return commit


def known_commit(request: CopyRequest, *, s3: "S3Client") -> str | None:
    """Return the commit of the revision without asking the hub; None if it was not resolved yet."""
    if COMMIT.fullmatch(request.revision):
        return request.revision
    key = request.repository.revision_key(request.who, request.revision)
    record = read_json(s3, request.bucket, key)
    return None if record is None else str(record["commit"])


def advance(copy: FileCopy, outcomes: Sequence[Any], looks: int, *, s3: "S3Client") -> dict[str, Any]:
    """Finish a file without the hub, or list its missing ranges.

    outcomes:
        The result of each range that the call before listed.
    """
    store = ModelStore(copy.location, s3)
    if store.is_verified(copy.file):
        return {"done": True}
    failed = [outcome for outcome in outcomes if outcome.get("reason")]
    final = [outcome for outcome in failed if outcome.get("final")]
    if final:
        return _ended_with(final[0])
    if looks >= _MAX_LOOKS or (failed and len(failed) == len(outcomes)):
        return _ended_with(failed[0] if failed else {"reason": _ENDED})
    if copy.is_whole:
        return {"done": False, "upload": "", "parts": [0]}
    key = copy.location.key(copy.file.path)
    if _size_of(s3, copy.location.bucket, key) != copy.file.size:
        upload = _upload(copy, store, s3)
        present = _parts(copy, upload, s3)
        missing = [number for number in copy.parts if number not in present]
        if missing:
            return {"done": False, "upload": upload, "parts": missing[:_MAX_PARTS_PER_LOOK]}
        s3.complete_multipart_upload(
            Bucket=copy.location.bucket,
            Key=key,
            UploadId=upload,
            MultipartUpload={"Parts": [present[number] for number in copy.parts]},
        )
    return _verify(copy, store, s3)


def copy_range(copy: FileCopy, upload: str, part: int, *, hub: Hub, s3: "S3Client") -> None:
    """Copy one range of a file into its upload. Part 0 is a whole file, copied in one piece.

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
    """Return the outcome that reports an error to the machine; None if the machine should retry."""
    if isinstance(error, HubError) or (is_denied(error) and not early):
        return {"reason": _short(error), "final": True}
    if isinstance(error, ClientError) and code_of(error) == "NoSuchUpload":
        return {"reason": _short(error)}  # someone aborted it: the file gets another upload
    if last and isinstance(error, (HubBusyError, ClientError, BotoCoreError)):
        return {"reason": _short(error)}
    return None


def is_denied(error: Exception) -> bool:
    """Tell whether AWS denies a request, so that no retry helps."""
    return isinstance(error, ClientError) and code_of(error) in _DENIED


def _verify(copy: FileCopy, store: ModelStore, s3: "S3Client") -> dict[str, Any]:
    """Compare a complete file with the hub's digest, and record the result; delete a file that differs."""
    bucket, key, file = copy.location.bucket, copy.location.key(copy.file.path), copy.file
    etag = s3.head_object(Bucket=bucket, Key=key)["ETag"]
    hashed = file.hasher()

    def read(start: int) -> bytes:
        end = min(start + _READ_BYTES, file.size) - 1
        # The version that is read has to be the one that is recorded.
        answer = s3.get_object(Bucket=bucket, Key=key, Range=f"bytes={start}-{end}", IfMatch=etag)
        return answer["Body"].read()

    for piece in _ahead(read, range(0, file.size, _READ_BYTES)):
        hashed.update(piece)
    if file.matches(hashed):
        store.keep_verified(file.path, etag)
        return {"done": True}
    # Another execution may have written a good one meanwhile. Not every S3-compatible store deletes by ETag,
    # so the ETag is compared first. A file that is written between the two calls is deleted and copied again.
    if s3.head_object(Bucket=bucket, Key=key)["ETag"] == etag:
        s3.delete_object(Bucket=bucket, Key=key)
    return _ended_with({"reason": _differs(file)})


def _ahead(read: Callable[[int], bytes], starts: Sequence[int]) -> Iterator[bytes]:
    """Yield the pieces in order and read ahead: one connection is slower than the hash."""
    with ThreadPoolExecutor(_READERS) as executor:
        pending: deque[Future[bytes]] = deque()
        for start in starts:
            pending.append(executor.submit(read, start))
            if len(pending) > _READERS:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _upload(copy: FileCopy, store: ModelStore, s3: "S3Client") -> str:
    """Return the upload of the file. Of several it is the oldest, so that all executions choose the same."""
    key = copy.location.key(copy.file.path)
    for found, upload in store.uploads(key):
        if found == key:
            return upload
    return s3.create_multipart_upload(Bucket=copy.location.bucket, Key=key, ChecksumAlgorithm="CRC32")[
        "UploadId"
    ]


def _parts(copy: FileCopy, upload: str, s3: "S3Client") -> "dict[int, CompletedPartTypeDef]":
    """Return the parts of an upload, as CompleteMultipartUpload takes them."""
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


def _ended_with(outcome: Mapping[str, Any]) -> dict[str, Any]:
    return {"done": True, **outcome}


def _explained(
    request: CopyRequest, store: ModelStore, files: Sequence[ModelFile], failed: Sequence[Mapping[str, Any]]
) -> str:
    # A file that the hub refuses says more than a file that took too long.
    worst = sorted(failed, key=lambda outcome: not outcome.get("final"))
    reasons = list(dict.fromkeys(outcome["reason"] for outcome in worst))
    reason = "; ".join(reasons[:3]) or _ENDED
    return f"'{request.model_id}' could not be copied: {reason}; {store.progress(files)}"


def _differs(file: ModelFile) -> str:
    return (
        f"the bytes of '{file.path}' that the hub sent are not those of its {file.digest.partition(':')[0]}"
    )


def _short(error: Exception) -> str:
    return bounded(" ".join(str(error).split()), _MAX_REASON_BYTES)

"""Stored results of evaluations in S3, beside the archive of the version that they are about."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.evaluation.evaluation_record import evaluations_folder
from adapters_cli.aws.s3_location import CONDITION_FAILED, S3Location
from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.evaluation.stored_evaluation import from_stored, to_stored
from adapters_cli.output.errors import CommandError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

MAX_BYTES = 64 * 1024**2
"""A result of 100,000 items and ten metrics has some 40 MB."""

_SHORT_DIGEST = 12
_MAX_SAME_SECOND = 9


class EvaluationStore:
    """Results by version: `<folder of the archive>/sha256-<identity>.evaluations/<time>-<dataset>.json`.

    An object is never replaced. Names begin with the time, so that the newest is the last one of a listing.
    """

    def __init__(self, s3: "S3Client") -> None:
        self._s3 = s3

    def write(self, archive: str, identity: str, result: EvaluationResult, subject: str) -> str:
        """Store what a result says of the version in an archive; return the URI.

        Raises CommandError if it is too large.
        """
        text = to_stored(result, subject)
        if len(text) > MAX_BYTES:
            raise CommandError(
                f"the result should have at most {MAX_BYTES} bytes to be stored, got {len(text)}; ask fewer"
                " items with --sample"
            )
        bucket, prefix = bucket_and_key(evaluations_folder(archive, identity))
        stem = f"{_compact(result.made_at)}-{result.dataset.digest[:_SHORT_DIGEST]}"
        for number in range(1, _MAX_SAME_SECOND + 1):
            key = f"{prefix}{stem}{'' if number == 1 else f'-{number}'}.json"
            try:
                self._s3.put_object(
                    Bucket=bucket, Key=key, Body=text, ContentType="application/json", IfNoneMatch="*"
                )
            except ClientError as error:
                if code_of(error) not in CONDITION_FAILED:
                    raise
                continue  # another result of this second
            return f"s3://{bucket}/{key}"
        raise CommandError(f"s3://{bucket}/{prefix}{stem}.json is there already, and {number - 1} more")

    def uris(self, archive: str, identity: str, *, dataset: str | None = None) -> list[str]:
        """Return the URIs of a version's results, newest first; with `dataset` only those of this digest."""
        bucket, prefix = bucket_and_key(evaluations_folder(archive, identity))
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = [found["Key"] for page in pages for found in page.get("Contents", ())]
        short = None if dataset is None else f"-{dataset[:_SHORT_DIGEST]}"
        return [
            f"s3://{bucket}/{key}"
            # Without the suffix: of one second, NAME-2 is newer than NAME.
            for key in sorted(keys, key=lambda key: key.removesuffix(".json"), reverse=True)
            if key.endswith(".json") and (short is None or short in key.rpartition("/")[2])
        ]

    def read(self, uri: str) -> EvaluationResult:
        """Read a result. Raises CommandError if it is none, or if there is none."""
        location = S3Location.parse(uri)
        if location is None:
            raise CommandError(f"a stored result should be 's3://<bucket>/<key>', got {uri!r}")
        try:
            body = self._s3.get_object(Bucket=location.bucket, Key=location.key)["Body"]
            text = body.read(MAX_BYTES + 1)
        except ClientError as error:
            if code_of(error) != "NoSuchKey":
                raise
            raise CommandError(f"{uri}: there is no such result") from None
        if len(text) > MAX_BYTES:
            raise CommandError(f"{uri}: should have at most {MAX_BYTES} bytes")
        try:
            return from_stored(text)
        except ValueError as error:
            raise CommandError(f"{uri}: {error}") from None

    def newest(self, archive: str, identity: str, *, dataset: str | None = None) -> EvaluationResult | None:
        """Return the newest result of a version; None if there is none, or none over this dataset."""
        uris = self.uris(archive, identity, dataset=dataset)
        return self.read(uris[0]) if uris else None


def _compact(moment: str) -> str:
    """Return a time without separators: every system and every tool takes it as a file's name."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")

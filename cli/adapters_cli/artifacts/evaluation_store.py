"""Stored results of evaluations in S3, beside the archive of the version that they are about."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.evaluation.evaluation_record import evaluations_folder
from adapters_cli.aws.s3_location import CONDITION_FAILED
from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.evaluation.stored_evaluation import to_stored
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
                " items"
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


def _compact(moment: str) -> str:
    """Return a time without separators: every system and every tool takes it as a file's name."""
    return datetime.fromisoformat(moment).astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")

"""Stored results of evaluations in S3, beside the archive of the version that they are about."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.evaluation import evaluations_folder
from adapters_cli.aws.s3_location import CONDITION_FAILED
from adapters_cli.evaluation.result import EvaluationResult
from adapters_cli.evaluation.stored_evaluation import recorded_time, to_stored
from adapters_cli.output.errors import CommandError

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_SHORT_DIGEST = 12
_MAX_SAME_SECOND = 9


def store_evaluation(
    s3: "S3Client", archive: str, identity: str, result: EvaluationResult, subject: str
) -> str:
    """Store what a result says of the version in an archive; return the URI.

    It is `<folder of the archive>/sha256-<identity>.evaluations/<time>-<dataset>.json`. An object is never
    replaced. Names begin with the time, so that the newest is the last one of a listing.
    """
    text = to_stored(result, subject)
    bucket, prefix = bucket_and_key(evaluations_folder(archive, identity))
    # Without separators: every system and every tool takes it as a file's name.
    moment = recorded_time(result).replace("-", "").replace(":", "")
    stem = f"{moment}-{result.dataset.digest[:_SHORT_DIGEST]}"
    for number in range(1, _MAX_SAME_SECOND + 1):
        key = f"{prefix}{stem}{'' if number == 1 else f'-{number}'}.json"
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=text, ContentType="application/json", IfNoneMatch="*")
        except ClientError as error:
            if code_of(error) not in CONDITION_FAILED:
                raise
            continue  # another result of this second
        return f"s3://{bucket}/{key}"
    raise CommandError(f"s3://{bucket}/{prefix}{stem}.json is there already, and {number - 1} more")

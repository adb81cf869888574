"""The gate of `adapters publish`: whether a version may be named in a manifest, by its evaluation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.counts import counted
from adapter_fleet.common.s3_uri import bucket_and_key
from adapter_fleet.evaluation import EvaluationRecord, evaluations_folder
from adapters_cli.aws.s3_location import CONDITION_FAILED
from adapters_cli.evaluation.result import EvaluationResult, read_result
from adapters_cli.evaluation.stored_evaluation import record_of, recorded_time, to_stored
from adapters_cli.output.errors import CommandError
from adapters_cli.output.text import few

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client


@dataclass(frozen=True, kw_only=True)
class EvaluationGate:
    """Results of `adapters evaluate`, by the identity of the version that they are about.

    results:
        A result and the name that the version has in it.
    """

    s3: "S3Client"
    results: Mapping[str, tuple[EvaluationResult, str]]

    @classmethod
    def of(cls, files: Sequence[Path], s3: "S3Client") -> "EvaluationGate":
        """Read results. Raises OSError, and ValueError for a file that is none."""
        results = [read_result(path) for path in files]
        by_identity = {
            subject.identity: (result, subject.name)
            for result in results
            for subject in result.subjects
            if subject.identity is not None
        }
        return cls(s3=s3, results=by_identity)

    def admit(
        self,
        identity: str,
        archive: str,
        last: str | None = None,
        recorded: EvaluationRecord | None = None,
    ) -> EvaluationRecord:
        """Store the result of a version beside its archive, and return the record for a manifest.

        `recorded` is the record of the version that the manifest names. Raises CommandError as `passed` does.
        """
        result, name = self.passed(identity, last)
        this = (identity, recorded_time(result), result.dataset.digest)
        if recorded is not None and (recorded.identity, recorded.at, recorded.dataset) == this:
            return recorded
        return record_of(result, name, store_evaluation(self.s3, archive, identity, result, name))

    def passed(self, identity: str, last: str | None = None) -> tuple[EvaluationResult, str]:
        """Return the result of a version, and its name in it.

        `last` is the identity of the version that it follows. Raises CommandError if no result is
        about the version, if it missed a requirement or has answers that are errors, or if it was compared
        with another version than the last one.
        """
        if identity not in self.results:
            others = few([f"sha256:{other[:12]}" for other in self.results]) if self.results else "none"
            raise CommandError(
                f"'--evaluation' should have a result of this version, sha256:{identity[:12]}, got {others}"
            )
        result, name = self.results[identity]
        own = [outcome for outcome in result.requirements if outcome.subject == name]
        missed = [outcome.reason for outcome in own if not outcome.met]
        if missed:
            raise CommandError("\n".join(missed))
        errors = result.errors_of(name) + result.errors_of(result.baseline.name)
        if errors:
            raise CommandError(
                f"{counted(errors, 'answer')} of its evaluation failed; run 'adapters evaluate' again"
            )
        compared = {outcome.than for outcome in own if outcome.than is not None}
        if compared and last is not None and last not in (identity, *compared):
            others = few([f"sha256:{other[:12]}" for other in compared])
            raise CommandError(
                f"it was compared with {others}, and follows sha256:{last[:12]} by now;"
                " run 'adapters evaluate' again"
            )
        return result, name


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

"""Adapters that the manifest of another environment declares: their archives are copied as they are."""

import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from adapter_fleet.common.aws_errors import code_of
from adapter_fleet.common.naming import ARCHIVE_SUFFIX, did_you_mean
from adapter_fleet.common.s3_uri import SCHEME, bucket_and_key
from adapter_fleet.evaluation import EvaluationRecord, evaluations_folder
from adapter_fleet.manifest.manifest_adapter import ManifestAdapter, S3Artifact, common_values
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_rules.archives.packing import identity_of
from adapters_cli.artifacts.archive_store import ArchiveStore
from adapters_cli.artifacts.declared_adapters import DeclaredAdapters
from adapters_cli.artifacts.local_adapters import LocalAdapter, meant_by
from adapters_cli.artifacts.publisher import FAILURES, PublishResult, PublishState, check_adapter
from adapters_cli.aws.account import Account
from adapters_cli.aws.s3_location import NO_OBJECT
from adapters_cli.manifests.editable_manifest import EditableManifest
from adapters_cli.models.options import ServingLimits
from adapters_cli.output.errors import CommandError, UsageError, error_text

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_JOBS = 8
_SUFFIXES = (".yaml", ".yml", ".json")


def is_manifest(paths: Sequence[Path]) -> bool:
    """Return True if a manifest is given, and no adapter of this machine."""
    return len(paths) == 1 and paths[0].suffix in _SUFFIXES


@dataclass(frozen=True, kw_only=True)
class ManifestSource:
    """A manifest whose adapters are published to another bucket, for the same base model.

    entries:
        Those that are published.
    """

    s3: "S3Client"
    store: ArchiveStore
    limits: ServingLimits
    base_model: str | None
    entries: Sequence[ManifestAdapter]

    @classmethod
    def of(
        cls,
        path: Path,
        name: str | None,
        account: Account,
        *,
        store: ArchiveStore,
        limits: ServingLimits,
        base_model: str | None,
    ) -> "ManifestSource":
        """Read a manifest, of which `name` may choose one adapter.

        Raises CommandError if it has none, none of that name, or is for another base model.
        """
        where = str(path)
        if where.startswith("s3:/"):
            where = where.replace("s3:/", SCHEME, 1)  # pathlib makes one slash of two
        elif not path.exists():
            raise UsageError(f"{where}: there is no such file{meant_by(path)}")
        manifest = EditableManifest.of(where, account).parsed()
        mine = manifest.base_model
        if mine and base_model and not BaseModelFacts(name=mine).is_named(base_model):
            raise CommandError(f"{where}: base_model: should be {base_model!r}, got {mine!r}")
        entries = [entry for entry in manifest.adapters if name in (None, entry.name)]
        if not entries:
            hint = "" if name is None else did_you_mean(name, [entry.name for entry in manifest.adapters])
            raise CommandError(f"{where}: it should have an adapter{f' {name!r}' if name else ''}{hint}")
        base_model = base_model or mine
        return cls(s3=account.s3, store=store, limits=limits, base_model=base_model, entries=entries)

    def publish(self, declared: DeclaredAdapters | None, *, dry_run: bool) -> list[PublishResult]:
        """Copy the archives and the stored evaluations that the other bucket does not have.

        The bytes stay as they are, and so does the identity, which is verified on the way. Mistakes of the
        manifest that will declare them are errors before anything is copied.
        """
        with ThreadPoolExecutor(_JOBS) as pool:
            planned = [*pool.map(self._planned, self.entries)]
            if declared is not None:
                declared.base_model = self.base_model
                declared.rehearse_update(planned)
            return planned if dry_run else [*pool.map(self._carried_out, planned)]

    def _planned(self, entry: ManifestAdapter) -> PublishResult:
        """Return what is to come of an entry: its archive is there already, or new."""
        identity = entry.known_digest
        if not isinstance(entry.artifact, S3Artifact) or identity is None:
            why = "its archive should be in S3, by its URI and with a digest; 'adapters import' writes it so"
            return PublishResult(name=entry.name, path="-", state=PublishState.FAILED, reasons=(why,))
        key = self.store.key(entry.name, identity)
        planned = PublishResult(
            path=entry.artifact.uri,
            state=PublishState.NEW,
            identity=identity,
            uri=self.store.uri(key),
            **common_values(entry, PublishResult),
        )
        try:
            there = self.store.find(key, identity)
        except FAILURES as error:
            return replace(planned, state=PublishState.FAILED, reasons=(error_text(error),))
        if there is None or entry.rank is None:
            return planned
        return replace(planned, state=PublishState.SKIPPED, size=there.size, checksum=there.checksum)

    def _carried_out(self, planned: PublishResult) -> PublishResult:
        if planned.state is PublishState.FAILED:
            return planned
        try:
            result = self._copied(planned) if planned.state is PublishState.NEW else planned
            if result.evaluation is None or result.state is PublishState.FAILED:
                return result
            return replace(result, evaluation=self._with_result(result.evaluation, result))
        except FAILURES as error:
            return replace(planned, state=PublishState.FAILED, reasons=(error_text(error),))

    def _copied(self, planned: PublishResult) -> PublishResult:
        identity = planned.identity or ""
        with tempfile.TemporaryDirectory(prefix="adapter-") as folder:
            path = Path(folder, f"{planned.name}{ARCHIVE_SUFFIX}")
            self.s3.download_file(*bucket_and_key(planned.path), str(path))
            if (found := identity_of(path)) != identity:
                raise CommandError(f"{planned.path}: digest: should be {identity}, got {found}")
            adapter = LocalAdapter(name=planned.name, path=path)
            candidate = check_adapter(adapter, self.limits, self.base_model, None)
            if candidate.reasons:
                return replace(planned, state=PublishState.FAILED, reasons=candidate.reasons)
            with path.open("rb") as archive:
                key = self.store.key(planned.name, identity)
                there, new = self.store.upload(key, identity, archive, lambda _: None)
        state = PublishState.UPLOADED if new else PublishState.SKIPPED
        return replace(planned, state=state, size=there.size, checksum=there.checksum, rank=candidate.rank)

    def _with_result(self, record: EvaluationRecord, result: PublishResult) -> EvaluationRecord:
        """Copy the stored result of an evaluation beside the archive; return the record of the copy."""
        folder = evaluations_folder(result.uri or "", result.identity or "")
        target = f"{folder}{record.result.rpartition('/')[2]}"
        (bucket, key), (to, at) = bucket_and_key(record.result), bucket_and_key(target)
        try:
            self.s3.head_object(Bucket=to, Key=at)
        except ClientError as error:
            if code_of(error) not in NO_OBJECT:
                raise
            body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
            self.s3.put_object(Bucket=to, Key=at, Body=body, ContentType="application/json")
        return replace(record, result=target)

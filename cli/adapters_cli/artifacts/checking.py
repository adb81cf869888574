"""Checking adapters on this machine and in S3, several at the same time."""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import Progress

from adapter_fleet.common.findings import Finding, Severity
from adapter_fleet.common.naming import ARCHIVE_SUFFIX
from adapter_rules.archives.remote_check import check_object
from adapter_rules.checks.adapter_check import examine
from adapter_rules.checks.requirements_and_remedies import CheckRule
from adapters_cli.artifacts.local_adapters import (
    LocalAdapter,
    adapter_name,
    adapters_at,
    meant_by,
    name_problem,
)
from adapters_cli.aws.account import Account
from adapters_cli.aws.s3_location import S3Location
from adapters_cli.models.options import ServingLimits
from adapters_cli.output.errors import CommandError, error_text

_THREADS = 8


class CheckResult(StrEnum):
    """The result of checking one adapter."""

    OK = "ok"
    NOT_COMPARED = "not-compared"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class CheckedAdapter:
    """The findings about one adapter.

    bytes_read, size:
        Bytes read and size of an archive in S3.
    """

    path: str
    findings: list[Finding]
    bytes_read: int | None = None
    size: int | None = None

    @property
    def result(self) -> CheckResult:
        """The severity of the worst finding."""
        found = {finding.severity for finding in self.findings}
        for severity in (Severity.ERROR, Severity.WARNING, Severity.NOT_COMPARED):
            if severity in found:
                return CheckResult(severity.value)
        return CheckResult.OK


Subject = LocalAdapter | S3Location | CheckedAdapter
"""What is checked: an adapter on this machine, an archive in S3, or what has failed already."""


def check_all(
    account: Account, subjects: Sequence[Subject], limits: ServingLimits, *, whole: bool = False
) -> list[CheckedAdapter]:
    """Check several adapters at the same time. A failed one does not stop the others.

    `whole` reads published archives in S3 to their end.
    """
    stop = threading.Event()
    check_one = partial(_check_one, account, limits, stop, whole=whole)
    shown = sys.stderr.isatty() and len(subjects) > _THREADS
    bar = Progress(console=Console(stderr=True), transient=True, disable=not shown)
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="check") as pool, bar:
        try:
            return list(bar.track(pool.map(check_one, subjects), total=len(subjects), description="checking"))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def subjects_at(account: Account, path: str) -> list[Subject]:
    """Return what to check at a path: itself, the adapters in a folder, or the reason why there is none."""
    location = S3Location.parse(path)
    if location is None:
        try:
            os.lstat(path)
            # An empty folder is checked as an adapter without files.
            found = adapters_at(Path(path)) or [Path(path)]
            return [LocalAdapter(name=adapter_name(adapter), path=adapter) for adapter in found]
        except FileNotFoundError:
            message = f"there is no such file or directory{meant_by(Path(path))}"
            return [_failed(path, CheckRule.PATH_READABLE, message)]
        except OSError as error:
            return [_unreadable(path, error)]
        except ValueError as error:
            return [_failed(path, CheckRule.FILE_CONTENT, str(error))]
    if not location.bucket:
        message = "it should be s3://bucket/key.tar.gz or s3://bucket/prefix/"
        return [_failed(path, CheckRule.PATH_READABLE, message)]
    try:
        # Created here: several threads must not create clients.
        s3 = account.s3
        archives = [location] if location.is_archive else list(location.archives(s3))
    except (ClientError, BotoCoreError) as error:
        return [_failed(path, CheckRule.OBJECT_READABLE, f"it cannot be reached: {error_text(error)}")]
    if not archives:
        return [_failed(path, CheckRule.PATH_HOLDS_ADAPTERS, f"no {ARCHIVE_SUFFIX} lies under it")]
    return list(archives)


def _unreadable(path: str | Path, error: OSError) -> CheckedAdapter:
    message = f"it should be a readable directory or file, got: {error.strerror}"
    return _failed(str(path), CheckRule.PATH_READABLE, message)


def _failed(path: str, rule: CheckRule, message: str) -> CheckedAdapter:
    return CheckedAdapter(path=path, findings=[rule.finding(path, message)])


def _check_one(
    account: Account, limits: ServingLimits, stop: threading.Event, subject: Subject, *, whole: bool
) -> CheckedAdapter:
    """Check one adapter. Raises CommandError soon after `stop` is set, also in the middle of an archive."""

    def until_stopped(_: bytes) -> None:
        if stop.is_set():
            raise CommandError("interrupted")

    if isinstance(subject, CheckedAdapter):
        return subject
    until_stopped(b"")
    if isinstance(subject, S3Location):
        return _check_stored(account, limits, subject, until_stopped, whole=whole)
    try:
        check = examine(
            subject.path,
            lora=limits.lora,
            base=limits.base,
            version=limits.version,
            watch=until_stopped,
        )
    except OSError as error:
        return _unreadable(subject.path, error)
    path, problem = str(subject.path), name_problem(subject.name)
    named = [] if problem is None else [CheckRule.ADAPTER_NAME.finding(path, problem)]
    return CheckedAdapter(path=path, findings=[*named, *check.findings])


def _check_stored(
    account: Account,
    limits: ServingLimits,
    location: S3Location,
    watch: Callable[[bytes], object],
    *,
    whole: bool,
) -> CheckedAdapter:
    try:
        done = check_object(
            account.s3,
            location.bucket,
            location.key,
            lora=limits.lora,
            base=limits.base,
            version=limits.version,
            whole=whole,
            watch=watch,
        )
    except (ClientError, BotoCoreError) as error:
        return _failed(location.uri, CheckRule.OBJECT_READABLE, f"it cannot be read: {error_text(error)}")
    return CheckedAdapter(
        path=location.uri,
        findings=done.findings,
        bytes_read=done.bytes_read,
        size=done.size,
    )

"""Publishing adapters: check them on this machine, then upload those that are not in S3 yet."""

import tempfile
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.artifacts.archive import REQUIRED_FILES, ArchiveError
from adapter_fleet.common.findings import Finding, Severity
from adapter_fleet.evaluation import EvaluationRecord
from adapter_fleet.manifest.desired import Probe
from adapter_rules.archives.packing import AdapterFiles
from adapter_rules.checks.adapter_check import examine
from adapter_rules.checks.config_check import AdapterConfig
from adapter_rules.checks.requirements_and_remedies import CheckRule, with_remedy
from adapter_rules.hardware.model_shape import base_named
from adapters_cli.artifacts.archive_store import ArchiveStore, Listing
from adapters_cli.artifacts.local_adapters import LocalAdapter, name_problem, print_leftovers
from adapters_cli.models.options import ServingLimits
from adapters_cli.output.errors import CommandError, error_text
from adapters_cli.output.progress_bars import TransferBars, Watch, rate
from adapters_cli.output.text import print_note

_A = TypeVar("_A")
_B = TypeVar("_B")

Stamp = list[list[int]]
"""Device, inode, size and times of each file of an adapter, which change with it."""

FAILURES = (BotoCoreError, ClientError, CommandError, OSError, ArchiveError)
"""Errors that fail one adapter. The others are still published. Any other exception is a bug."""


class PublishState(StrEnum):
    """The result of publishing an adapter."""

    UPLOADED = "uploaded"
    SKIPPED = "skipped"
    """In S3 already."""
    NEW = "new"
    """Not in S3, and not uploaded: a dry run."""
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class PublishResult:
    """The result of publishing one adapter.

    size:
        Bytes of the archive in S3.
    checksum:
        S3's SHA-256 of the archive, in the form of a manifest.
    probe:
        What this version answers, if that was found out.
    evaluation:
        How this version did beside its base model, if it was evaluated.
    reasons:
        Why it failed.
    """

    name: str
    path: str
    state: PublishState
    identity: str | None = None
    uri: str | None = None
    checksum: str | None = None
    rank: int | None = None
    size: int | None = None
    base_model: str | None = None
    probe: Probe | None = None
    evaluation: EvaluationRecord | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An adapter after its check.

    config:
        None if it failed.
    stamp:
        Stamp of the files that were checked.
    reasons:
        Why it failed.
    """

    adapter: LocalAdapter
    config: AdapterConfig | None
    stamp: Stamp = field(default_factory=list)
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def rank(self) -> int | None:
        """The highest rank of its modules."""
        return max(self.config.ranks) if self.config is not None else None

    @property
    def base_model(self) -> str | None:
        """The base model that it was trained for, if known."""
        return self.config.base_model if self.config is not None else None

    def failed(self, *reasons: str) -> "Candidate":
        """Return the candidate as one that failed."""
        return replace(self, config=None, reasons=(*self.reasons, *reasons))

    def result(self, state: PublishState, **known: Any) -> PublishResult:
        """Return the result for this candidate."""
        return PublishResult(
            name=self.adapter.name,
            path=str(self.adapter.path),
            state=state,
            rank=self.rank,
            base_model=self.base_model,
            **known,
        )


class Publisher:
    """Publishes several adapters at the same time. Ctrl-C ends the uploads in progress."""

    def __init__(
        self,
        store: ArchiveStore,
        listing: Listing,
        bars: TransferBars,
        *,
        jobs: int,
        dry_run: bool,
    ) -> None:
        self._store, self._listing, self._bars = store, listing, bars
        self._jobs, self._dry_run = jobs, dry_run
        self._stop = threading.Event()

    def map(self, do: Callable[[_A], _B], all_: Iterable[_A]) -> list[_B]:
        """Call `do` with each, several at the same time; return the results in the same order."""
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="publish") as pool:
            try:
                return list(pool.map(do, all_))
            except BaseException:
                self._stop.set()
                # First the bars: an upload that ends from now on does not count as done.
                self._bars.end()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def publish(self, candidate: Candidate) -> PublishResult:
        """Upload an adapter that is not in S3 yet."""
        result = self._publish(candidate)
        self._bars.done()
        return result

    def _publish(self, candidate: Candidate) -> PublishResult:
        try:
            if candidate.config is None:
                return candidate.result(PublishState.FAILED, reasons=candidate.reasons)
            return self._upload(candidate, candidate.adapter)
        except FAILURES as error:
            return candidate.result(PublishState.FAILED, reasons=(error_text(error),))

    def _upload(self, candidate: Candidate, adapter: LocalAdapter) -> PublishResult:
        store = self._store
        with AdapterFiles.of(adapter.path) as files:
            # If S3 has no version of it, the upload is certain and packing computes the identity anyway.
            if self._dry_run or not self._has_no_version(adapter):
                identity = files.identity()
                _check_unchanged(candidate)
                if (result := self._without_upload(candidate, identity)) is not None:
                    return result
            # The file has no name: it disappears however this ends.
            with tempfile.TemporaryFile(prefix="adapter-") as archive:
                identity = files.write_archive(archive)
                _check_unchanged(candidate)
                size = archive.tell()
                key = store.key(adapter.name, identity)
                with self._bars.upload(adapter.name, size) as watch:
                    there, new = store.upload(key, identity, archive, self._until_stopped(watch))
        uri = store.uri(key)
        state = PublishState.UPLOADED if new else PublishState.SKIPPED
        return candidate.result(
            state, size=size if new else there.size, identity=identity, uri=uri, checksum=there.checksum
        )

    def _without_upload(self, candidate: Candidate, identity: str) -> PublishResult | None:
        """Return the result of an adapter that needs no upload; None if it needs one."""
        key = self._store.key(candidate.adapter.name, identity)
        known: dict[str, Any] = {"identity": identity, "uri": self._store.uri(key)}
        is_missing = self._listing.complete and key not in self._listing.keys
        there = None if is_missing else self._store.find(key, identity)
        if there is not None:
            return candidate.result(PublishState.SKIPPED, size=there.size, checksum=there.checksum, **known)
        return candidate.result(PublishState.NEW, **known) if self._dry_run else None

    def _has_no_version(self, adapter: LocalAdapter) -> bool:
        return self._listing.complete and not self._listing.has_folder(self._store.key(adapter.name, ""))

    def _until_stopped(self, watch: Watch) -> Watch:
        def watched(position: int) -> None:
            if self._stop.is_set():
                raise CommandError("interrupted")
            watch(position)

        return watched


def publish_all(
    store: ArchiveStore,
    listing: Listing,
    adapters: Sequence[LocalAdapter],
    limits: ServingLimits,
    base: str | None,
    given: str | None,
    *,
    checked: Callable[[Sequence[Candidate]], None] | None = None,
    jobs: int = 1,
    dry_run: bool = False,
) -> tuple[list[PublishResult], str]:
    """Check adapters as `check_adapter` does, and upload those that are not in S3.

    `checked` gets the candidates before anything is uploaded. Returns the results, and how much was sent at
    which speed. Prints warnings, and what is left behind.
    """
    with TransferBars(len(adapters)) as bars:
        publisher = Publisher(store, listing, bars, jobs=jobs, dry_run=dry_run)
        candidates = publisher.map(lambda adapter: check_adapter(adapter, limits, base, given), adapters)
        if checked is not None:
            checked(candidates)
        results = publisher.map(publisher.publish, candidates)
        sent = rate(bars.sent, bars.seconds) if bars.sent else ""
    for candidate in candidates:
        for warning in candidate.warnings:
            print_note(warning)
    print_leftovers(adapter.path for adapter in adapters)
    return results, sent


def check_adapter(
    adapter: LocalAdapter, limits: ServingLimits, base: str | None, given: str | None
) -> Candidate:
    """Check an adapter for a base model. `given` overrides the base model of its configuration."""
    facts = None if base is None else replace(base_named(base), declared=given is None)
    stamp = _stamp(adapter)
    check = examine(adapter.path, lora=limits.lora, base=facts, version=limits.version)
    candidate = Candidate(
        adapter=adapter, config=None, stamp=stamp, warnings=_messages(check.findings, Severity.WARNING)
    )
    errors = _messages(check.findings, Severity.ERROR)
    if problem := name_problem(adapter.name):
        errors = (f"{problem}; {CheckRule.ADAPTER_NAME.help}", *errors)
    config = check.config
    if errors or config is None:
        return candidate.failed(*errors)
    return replace(candidate, config=replace(config, base_model=given or config.base_model))


def _messages(findings: Iterable[Finding], severity: Severity) -> tuple[str, ...]:
    return tuple(with_remedy(finding) for finding in findings if finding.severity is severity)


def _check_unchanged(candidate: Candidate) -> None:
    """Raise CommandError if the files of an adapter have changed since their check."""
    if _stamp(candidate.adapter) != candidate.stamp:
        raise CommandError(f"{candidate.adapter.path}: it changed while it was published")


def _stamp(adapter: LocalAdapter) -> Stamp:
    path = adapter.path
    files = [path / name for name in REQUIRED_FILES] if path.is_dir() else [path]
    try:
        found = [file.stat() for file in files]
    except OSError:
        return []  # the check reports what is missing
    return [[one.st_dev, one.st_ino, one.st_size, one.st_mtime_ns, one.st_ctime_ns] for one in found]

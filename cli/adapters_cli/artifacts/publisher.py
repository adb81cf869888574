"""Publishing adapters: what one is found to be, and how it comes into S3."""

import tempfile
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeVar

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.artifacts.check import examine
from adapter_fleet.artifacts.config import AdapterConfig
from adapter_fleet.artifacts.packing import AdapterFiles
from adapter_fleet.common.findings import Finding, Severity
from adapter_fleet.common.naming import check_component_name
from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_fleet.serving.model_shape import base_named
from adapters_cli.artifacts.archive_store import ArchiveStore, Listing, StoredArchive
from adapters_cli.artifacts.local_adapters import Source
from adapters_cli.artifacts.publish_cache import Memory, Stamp, stamp_of
from adapters_cli.models.serving_limits import Serving
from adapters_cli.output.errors import CommandError, error_text
from adapters_cli.output.progress_bars import TransferBars, Watch

_A = TypeVar("_A")
_B = TypeVar("_B")

_FAILURES = (BotoCoreError, ClientError, CommandError, OSError, ValueError)
"""What one adapter may fail by, with the others going on."""


class State(StrEnum):
    """What became of an adapter."""

    UPLOADED = "uploaded"
    SKIPPED = "skipped"
    """It is in S3 already."""
    NEW = "new"
    """It is not in S3; nothing was to be written."""
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an adapter, and what is known of it.

    size:
        Bytes of the archive in S3.
    checksum:
        S3's SHA-256 of it, as a manifest has it.
    reasons:
        Why it has failed.
    """

    name: str
    path: str
    state: State
    identity: str | None = None
    uri: str | None = None
    checksum: str | None = None
    rank: int | None = None
    size: int | None = None
    base_model: str | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """An adapter that was checked: its configuration, unless it has failed, and why it has.

    stamp:
        Of the files that were checked.
    """

    source: Source
    config: AdapterConfig | None
    stamp: Stamp = field(default_factory=list)
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def rank(self) -> int | None:
        """The highest rank that a module of it has."""
        return max(self.config.ranks) if self.config is not None else None

    @property
    def base_model(self) -> str | None:
        """What it was trained for, as far as anyone says it."""
        return self.config.base_model if self.config is not None else None

    def failed(self, *reasons: str) -> "Candidate":
        """Return it as one that is not to be published."""
        return replace(self, config=None, reasons=(*self.reasons, *reasons))

    def outcome(self, state: State, **known: Any) -> Outcome:
        """Return what became of it."""
        return Outcome(
            name=self.source.name,
            path=str(self.source.path),
            state=state,
            rank=self.rank,
            base_model=self.base_model,
            **known,
        )


class Publisher:
    """Publishes several adapters at the same time. An interruption ends uploads that are under way."""

    def __init__(
        self,
        store: ArchiveStore,
        listing: Listing,
        memory: Memory,
        bars: TransferBars,
        *,
        jobs: int,
        dry_run: bool,
    ) -> None:
        self._store, self._listing, self._memory, self._bars = store, listing, memory, bars
        self._jobs, self._dry_run = jobs, dry_run
        self._stop = threading.Event()

    def map(self, do: Callable[[_A], _B], all_: Iterable[_A]) -> list[_B]:
        """Do something with all, several at the same time; return what becomes of them in their order."""
        with ThreadPoolExecutor(self._jobs, thread_name_prefix="publish") as pool:
            try:
                return list(pool.map(do, all_))
            except BaseException:
                self._stop.set()
                # Before what is under way ends: it does not count as done any more.
                self._bars.end()
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            finally:
                self._memory.save()

    def publish(self, candidate: Candidate) -> Outcome:
        """Upload an adapter that is not in S3 yet."""
        outcome = self._published(candidate)
        self._bars.done()
        return outcome

    def _published(self, candidate: Candidate) -> Outcome:
        try:
            if candidate.config is None:
                return candidate.outcome(State.FAILED, reasons=candidate.reasons)
            return self._uploaded(candidate)
        except _FAILURES as error:
            return candidate.outcome(State.FAILED, reasons=(error_text(error),))

    def _uploaded(self, candidate: Candidate) -> Outcome:
        store, source = self._store, candidate.source
        identity = self._memory.identity(source.path, candidate.stamp)
        if identity is not None and (outcome := self._without_upload(candidate, identity)) is not None:
            return outcome
        with AdapterFiles.of(source.path) as files:
            # Where no version is in S3 yet, packing tells it soon enough.
            if identity is None and (self._dry_run or not self._is_fresh(source)):
                identity = files.identity()
                self._note_identity(candidate, identity)
                if (outcome := self._without_upload(candidate, identity)) is not None:
                    return outcome
            # It has no name, and is gone however this ends.
            with tempfile.TemporaryFile(prefix="adapter-") as archive:
                identity = files.write_archive(archive)
                self._note_identity(candidate, identity)
                size = archive.tell()
                key = store.key(source.name, identity)
                with self._bars.upload(source.name, size) as watch:
                    there, new = store.upload(key, identity, archive, self._until_stopped(watch))
        uri = store.uri(key)
        self._memory.note_archive(uri, there.etag, there.checksum)
        state = State.UPLOADED if new else State.SKIPPED
        return candidate.outcome(
            state, size=size if new else there.size, identity=identity, uri=uri, checksum=there.checksum
        )

    def _without_upload(self, candidate: Candidate, identity: str) -> Outcome | None:
        """Return what becomes of an adapter that is not to be uploaded, None for one that is."""
        key = self._store.key(candidate.source.name, identity)
        known: dict[str, Any] = {"identity": identity, "uri": self._store.uri(key)}
        there = self._find(key, identity)
        if there is not None:
            return candidate.outcome(State.SKIPPED, size=there.size, checksum=there.checksum, **known)
        return candidate.outcome(State.NEW, **known) if self._dry_run else None

    def _is_fresh(self, source: Source) -> bool:
        return self._listing.complete and not self._listing.has_folder(self._store.key(source.name, ""))

    def _note_identity(self, candidate: Candidate, identity: str) -> None:
        """Remember an identity; CommandError where what was read is perhaps not what was checked."""
        path = candidate.source.path
        if stamp_of(path) != candidate.stamp:
            raise CommandError(f"{path}: it changed while it was published")
        self._memory.note_identity(path, candidate.stamp, identity)

    def _find(self, key: str, identity: str) -> StoredArchive | None:
        uri, listed = self._store.uri(key), self._listing.archives.get(key)
        if listed is None and self._listing.complete:
            return None
        if listed is not None and self._memory.knows_archive(uri, listed.etag):
            return replace(listed, checksum=self._memory.checksum(uri))
        found = self._store.find(key, identity)
        if found is not None:
            self._memory.note_archive(uri, found.etag, found.checksum)
        return found

    def _until_stopped(self, watch: Watch) -> Watch:
        def watched(position: int) -> None:
            if self._stop.is_set():
                raise CommandError("interrupted")
            watch(position)

        return watched


def checked(source: Source, serving: Serving, base: str | None, given: str | None) -> Candidate:
    """Check an adapter for a base model. One that is `given` overrules what its configuration says."""
    facts = None if base is None else base_named(base)
    stamp = _stamp(source)
    check = examine(source.path, lora=serving.lora, base=facts, version=serving.version)
    candidate = Candidate(
        source=source, config=None, stamp=stamp, warnings=_of(check.findings, Severity.WARNING)
    )
    errors = _of(check.findings, Severity.ERROR)
    try:
        check_component_name(source.name, what="name")
    except ValueError as error:
        errors = (f"{error}; rename it, or publish it alone with --name", *errors)
    config = check.config
    if errors or config is None:
        return candidate.failed(*errors)
    trained_for = config.base_model
    if given is None and trained_for is not None and not BaseModelFacts(name=base).is_named(trained_for):
        return candidate.failed(f"it was trained for {trained_for!r}, and the manifest is for {base!r}")
    return replace(candidate, config=replace(config, base_model=given or config.base_model))


def _of(findings: Iterable[Finding], severity: Severity) -> tuple[str, ...]:
    return tuple(str(finding) for finding in findings if finding.severity is severity)


def _stamp(source: Source) -> Stamp:
    try:
        return stamp_of(source.path)
    except OSError:
        return []  # the checks tell what is missing

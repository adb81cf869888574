"""`adapters check`: what is wrong with adapters, before anything is created."""

import json
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console
from rich.progress import Progress

from adapter_fleet.artifacts.check import examine
from adapter_fleet.artifacts.finite_weights import WeightReading
from adapter_fleet.artifacts.remote_check import check_object
from adapter_fleet.artifacts.rules import HELP, CheckRule
from adapter_fleet.common.digests import ARCHIVE_SUFFIX
from adapter_fleet.common.findings import Finding, Severity
from adapters_cli.artifacts.local_adapters import adapters_at, tell_left_behind
from adapters_cli.aws.account import Account, account_of
from adapters_cli.aws.s3_location import S3Location
from adapters_cli.models.environment_file import EnvironmentOption
from adapters_cli.models.serving_limits import Serving
from adapters_cli.output.errors import CommandError, error_text, reported_errors
from adapters_cli.output.exit_codes import NO_ANSWER
from adapters_cli.output.tables import print_rows, table
from adapters_cli.output.text import counted

_AT_ONCE = 8
_HEADINGS = ("ADAPTER", "RESULT", "RULE", "FINDING")
_DIGEST = re.compile(r"(sha256-[0-9a-f]{12})[0-9a-f]{52}")

ONLY_WARNINGS = 3
"""What `--strict` ends with where there are no errors, but warnings or what could not be compared."""


class Result(StrEnum):
    """What is to be said of an adapter."""

    OK = "ok"
    NOT_COMPARED = "not-compared"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One adapter with what is wrong with it.

    bytes_read, size:
        Of an object in S3.
    """

    path: str
    findings: list[Finding]
    bytes_read: int | None = None
    size: int | None = None

    @property
    def result(self) -> Result:
        """The worst of the findings."""
        found = {finding.severity for finding in self.findings}
        for severity in (Severity.ERROR, Severity.WARNING, Severity.NOT_COMPARED):
            if severity in found:
                return Result(severity.value)
        return Result.OK


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How much is read: all of published archives in S3, and of the weights what there is an option for."""

    whole: bool
    weights: WeightReading | None


Place = Path | S3Location | Checked
"""What is to be checked, or what is known to be wrong already."""


def check(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH…",
            help="An adapter's directory or .tar.gz, s3://bucket/key.tar.gz, or a folder of such, here or in"
            " S3.",
        ),
    ],
    container: Annotated[
        str | None, typer.Option(metavar="lmi19", help="The container that is to serve them.")
    ] = None,
    max_lora_rank: Annotated[
        int | None, typer.Option(metavar="64", help="The engine's highest rank.")
    ] = None,
    environment: EnvironmentOption = None,
    base_model: Annotated[
        str | None,
        typer.Option(
            metavar="DIR|NAME",
            help="The base model's directory or config.json, here or in S3, or a well-known name, to compare"
            " with.",
        ),
    ] = None,
    whole: Annotated[
        bool,
        typer.Option(
            "--whole", help="Read published archives to their end, and compare their digests with their keys."
        ),
    ] = False,
    weights: Annotated[
        WeightReading | None,
        typer.Option(
            help="Look for NaN and infinity in all weights, a sample or none; by default a sample, none of"
            " published archives in S3.",
            show_default=False,
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help=f"End with {ONLY_WARNINGS} where there are no errors, but warnings or modules that could not"
            " be compared with the base model.",
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Leave out what is fine.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write a JSON document.")] = False,
) -> None:
    """Check adapters against every rule of archives, LoRA, the engine and the base model.

    An adapter that is right by all rules, but has modules that could not be compared with the base model, is
    'not-compared' and not 'ok'. Ends with 1 if an adapter would not be served, with 2 if an option is wrong,
    and with 4 if nothing else is wrong than that S3 could not be asked.
    """
    with reported_errors():
        account = account_of(context)
        serving = Serving.of_options(
            account,
            container=container,
            max_lora_rank=max_lora_rank,
            environment=environment,
            base_model=base_model,
        )
        places = [place for path in dict.fromkeys(paths) for place in _places(account, path)]
        reading = Reading(whole=whole, weights=weights)
        checked = _check_all(account, places, serving, reading)
        tell_left_behind(place for place in places if isinstance(place, Path))
        results = Counter(one.result for one in checked)
        if as_json:
            typer.echo(json.dumps(_document(checked, results), indent=2))
        else:
            _show([one for one in checked if one.findings or not quiet])
            if sys.stdout.isatty() and not quiet:
                typer.echo(_summary(checked, results))
        raise typer.Exit(_code(checked, strict=strict))


def _code(checked: Sequence[Checked], *, strict: bool) -> int:
    findings = [finding for one in checked for finding in one.findings]
    broken = {finding.rule for finding in findings if finding.severity is Severity.ERROR}
    if broken == {CheckRule.OBJECT_READABLE.id}:
        return NO_ANSWER
    if broken:
        return 1
    return ONLY_WARNINGS if strict and findings else 0


def _check_all(
    account: Account, places: Sequence[Place], serving: Serving, reading: Reading
) -> list[Checked]:
    """Check several at the same time; what is wrong with one does not stop the others."""
    stop = threading.Event()
    check_one = partial(_check_one, account, serving, reading, stop)
    shown = sys.stderr.isatty() and len(places) > _AT_ONCE
    bar = Progress(console=Console(stderr=True), transient=True, disable=not shown)
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="check") as pool, bar:
        try:
            return list(bar.track(pool.map(check_one, places), total=len(places), description="checking"))
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _places(account: Account, path: str) -> list[Place]:
    """Return what a path names: itself, the adapters in a folder, or a finding where there is none."""
    location = S3Location.parse(path)
    if location is None:
        try:
            # A folder with nothing in it is checked as an adapter, which lacks all that makes one.
            return list(adapters_at(Path(path)) or [Path(path)])
        except OSError as error:
            return [_unreadable(path, error)]
        except ValueError as error:
            return [_failed(path, CheckRule.PATH_READABLE, str(error))]
    if not location.bucket:
        message = "it should be s3://bucket/key.tar.gz or s3://bucket/prefix/"
        return [_failed(path, CheckRule.PATH_READABLE, message)]
    try:
        # Made here, as making a client is not for several threads.
        s3 = account.s3
        found = [location] if location.is_archive else list(location.archives(s3))
    except (ClientError, BotoCoreError) as error:
        return [_failed(path, CheckRule.OBJECT_READABLE, f"it cannot be reached: {error_text(error)}")]
    if not found:
        return [_failed(path, CheckRule.PATH_HOLDS_ADAPTERS, f"no {ARCHIVE_SUFFIX} lies under it")]
    return list(found)


def _unreadable(path: str | Path, error: OSError) -> Checked:
    message = f"it should be a readable directory or file, got: {error.strerror}"
    return _failed(str(path), CheckRule.PATH_READABLE, message)


def _failed(path: str, rule: CheckRule, message: str) -> Checked:
    return Checked(path=path, findings=[rule.broken(path, message)])


def _check_one(
    account: Account, serving: Serving, reading: Reading, stop: threading.Event, place: Place
) -> Checked:
    """Check one; CommandError once `stop` is set, with no more than a piece of an archive read."""

    def until_stopped(_: bytes) -> None:
        if stop.is_set():
            raise CommandError("interrupted")

    if isinstance(place, Checked):
        return place
    until_stopped(b"")
    if isinstance(place, S3Location):
        return _check_stored(account, serving, reading, place, until_stopped)
    try:
        check = examine(
            place,
            lora=serving.lora,
            base=serving.base,
            version=serving.version,
            watch=until_stopped,
            weights=reading.weights or WeightReading.SAMPLE,
        )
    except OSError as error:
        return _unreadable(place, error)
    return Checked(path=str(place), findings=_all_of(check.findings, check.not_compared))


def _check_stored(
    account: Account, serving: Serving, reading: Reading, place: S3Location, watch: Callable[[bytes], object]
) -> Checked:
    try:
        done = check_object(
            account.s3,
            place.bucket,
            place.key,
            lora=serving.lora,
            base=serving.base,
            version=serving.version,
            whole=reading.whole,
            watch=watch,
            weights=reading.weights,
        )
    except (ClientError, BotoCoreError) as error:
        return _failed(place.uri, CheckRule.OBJECT_READABLE, f"it cannot be read: {error_text(error)}")
    return Checked(
        path=place.uri,
        findings=_all_of(done.findings, done.not_compared),
        bytes_read=done.bytes_read,
        size=done.size,
    )


def _all_of(findings: Sequence[Finding], not_compared: Finding | None) -> list[Finding]:
    return [*findings] if not_compared is None else [*findings, not_compared]


def _show(checked: Sequence[Checked]) -> None:
    if not sys.stdout.isatty():
        print_rows(_HEADINGS, (row for one in checked for row in _fields(one)), styled=1)
        return
    if not checked:
        return
    print_rows(_HEADINGS, (row for one in checked for row in _lines(one)), styled=1)
    broken = dict.fromkeys(finding.rule for one in checked for finding in one.findings)
    if broken:
        typer.echo()
        Console().print(table(("RULE", "WHAT TO DO"), ((rule, HELP[rule]) for rule in broken), styled=0))
        typer.echo()


def _lines(one: Checked) -> Iterator[Sequence[str]]:
    """Yield the rows for a person: the adapter's name once, and in findings what is below it."""
    name = _DIGEST.sub(r"\1…", "/".join(one.path.rstrip("/").split("/")[-2:]))
    if not one.findings:
        yield name, Result.OK, "", ""
    for number, finding in enumerate(one.findings):
        file = finding.where.removeprefix(one.path).lstrip("/")
        message = f"{file}: {finding.message}" if file else finding.message
        yield "" if number else name, finding.severity, finding.rule, message


def _fields(one: Checked) -> Iterator[Sequence[str]]:
    """Yield the rows for a program: the adapter, how bad, the rule, where, what is wrong, what to do."""
    if not one.findings:
        yield one.path, Result.OK, "", "", "", ""
    for finding in one.findings:
        yield (
            one.path,
            finding.severity,
            finding.rule,
            finding.where,
            finding.message,
            HELP[finding.rule],
        )


def _summary(checked: Sequence[Checked], results: Counter[Result]) -> str:
    parts = [f"{results[result]} {result}" for result in Result if results[result]]
    text = f"{counted(len(checked), 'adapter')}: {', '.join(parts)}"
    if size := sum(one.size or 0 for one in checked):
        read = sum(one.bytes_read or 0 for one in checked)
        text += f"; read {read / 1e6:,.1f} of {size / 1e6:,.1f} MB in S3"
    return text


def _document(checked: Sequence[Checked], results: Counter[Result]) -> dict[str, Any]:
    return {
        "results": {result: results[result] for result in Result},
        "adapters": [
            {
                "path": one.path,
                "result": one.result,
                "bytes_read": one.bytes_read,
                "size": one.size,
                "findings": [{**asdict(finding), "help": HELP[finding.rule]} for finding in one.findings],
            }
            for one in checked
        ],
    }

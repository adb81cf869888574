"""`adapters check`: check adapters before anything is created."""

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from adapter_fleet.common.counts import counted
from adapter_fleet.common.findings import Severity
from adapter_rules.checks.requirements_and_remedies import RULES, CheckRule
from adapter_rules.engines.container_releases import KnownFault
from adapters_cli.artifacts.checking import CheckedAdapter, CheckResult, check_all, subjects_at
from adapters_cli.artifacts.local_adapters import LocalAdapter, print_leftovers
from adapters_cli.aws.account import account_of
from adapters_cli.models.options import ENVIRONMENT_OPTION, ServingLimits
from adapters_cli.output.exit_codes import FAILED, NO_ANSWER
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import print_note

_HEADINGS = ("ADAPTER", "RESULT", "RULE", "FINDING")
_DIGEST = re.compile(r"(sha256-[0-9a-f]{12})[0-9a-f]{52}")

EXAMPLES = """
# Would the endpoint of prod.toml serve this adapter?
adapters check out/acme --environment prod

# Check every adapter in a folder against a model and a container.
adapters check out --base-model models/llama --container lmi28

# Read published archives to their end.
adapters check s3://my-adapters/prod --whole --json
"""


def check(
    context: typer.Context,
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="An adapter's directory or .tar.gz, s3://bucket/key.tar.gz, or a folder of such, here or in"
            " S3.",
        ),
    ],
    container: Annotated[
        str | None, typer.Option(metavar="NAME", help="The container that will serve them: lmi28, vllm2.6.")
    ] = None,
    max_lora_rank: Annotated[
        int | None, typer.Option(metavar="N", help="The engine's highest rank, such as 64.")
    ] = None,
    environment: Annotated[str | None, ENVIRONMENT_OPTION] = None,
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
            "--whole", help="Read published archives in S3 to their end, with their weights and digests."
        ),
    ] = False,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help=f"End with {FAILED} for warnings, too, and for modules that could not be compared with the"
            " base model.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check adapters against every rule of archives, LoRA, the engine and the base model.

    An adapter is 'not-compared' instead of 'ok' if some of its modules could not be compared with the base
    model. Without a base model or a rank limit, a line says what was not compared. A warning names each fault
    of the container by which adapters may answer for one another.

    Ends with 1 if an adapter would not be served, and with 4 if the only error is that S3 gave no answer.
    """
    account = account_of(context)
    limits = ServingLimits.of_options(
        account,
        container=container,
        max_lora_rank=max_lora_rank,
        environment=environment,
        base_model=base_model,
    )
    subjects = [subject for path in dict.fromkeys(paths) for subject in subjects_at(account, path)]
    checked = check_all(account, subjects, limits, whole=whole)
    print_leftovers(subject.path for subject in subjects if isinstance(subject, LocalAdapter))
    results = Counter(one.result for one in checked)
    print_result(_document(checked, results, limits), _table(checked), as_json=as_json)
    if not as_json:
        _print_remedies(checked)
        for fault in _faults(limits):
            print_note(f"warning: {fault.text}")
        if missing := _not_given(limits):
            print_note(f"not compared: {', '.join(missing)}")
        if sys.stdout.isatty():
            typer.echo(_summary(checked, results))
    raise typer.Exit(_exit_code(checked, strict=strict))


def _exit_code(checked: Sequence[CheckedAdapter], *, strict: bool) -> int:
    findings = [finding for one in checked for finding in one.findings]
    broken = {finding.rule for finding in findings if finding.severity is Severity.ERROR}
    if broken == {CheckRule.OBJECT_READABLE.id}:
        return NO_ANSWER
    if broken:
        return FAILED
    return FAILED if strict and findings else 0


def _table(checked: Sequence[CheckedAdapter]) -> RowTable:
    of_one = _terminal_rows if sys.stdout.isatty() else _pipe_rows
    return RowTable(headings=_HEADINGS, rows=[row for one in checked for row in of_one(one)], styled=1)


def _print_remedies(checked: Sequence[CheckedAdapter]) -> None:
    """Print below the table of a terminal what to do. The rows of a pipe have it."""
    broken = dict.fromkeys(finding.rule for one in checked for finding in one.findings)
    rows = [(rule, RULES[rule].help) for rule in broken if not RULES[rule].findings_have_remedy]
    if rows and sys.stdout.isatty():
        typer.echo()
        Console().print(RowTable(headings=("RULE", "WHAT TO DO"), rows=rows, styled=0))
        typer.echo()


def _terminal_rows(one: CheckedAdapter) -> Iterator[Sequence[str]]:
    """Yield the rows for a terminal: the adapter's short name once, and each finding with its file."""
    name = _DIGEST.sub(r"\1…", "/".join(one.path.rstrip("/").split("/")[-2:]))
    if not one.findings:
        yield name, CheckResult.OK, "", ""
    for number, finding in enumerate(one.findings):
        file = finding.where.removeprefix(one.path).lstrip("/")
        message = f"{file}: {finding.message}" if file else finding.message
        yield "" if number else name, finding.severity, finding.rule, message


def _pipe_rows(one: CheckedAdapter) -> Iterator[Sequence[str]]:
    """Yield the rows for a pipe: adapter, severity, rule, place, message, help."""
    if not one.findings:
        yield one.path, CheckResult.OK, "", "", "", ""
    for finding in one.findings:
        yield (
            one.path,
            finding.severity,
            finding.rule,
            finding.where,
            finding.message,
            RULES[finding.rule].help,
        )


def _summary(checked: Sequence[CheckedAdapter], results: Counter[CheckResult]) -> str:
    parts = [f"{results[result]} {result}" for result in CheckResult if results[result]]
    text = f"{counted(len(checked), 'adapter')}: {', '.join(parts)}"
    if size := sum(one.size or 0 for one in checked):
        read = sum(one.bytes_read or 0 for one in checked)
        text += f"; read {read / 1e6:,.1f} of {size / 1e6:,.1f} MB in S3"
    return text


def _not_given(limits: ServingLimits) -> list[str]:
    """Return what the adapters were not compared with, as nobody gave it, with the option."""
    missing = []
    if limits.base is None:
        missing.append("no base model given (--base-model)")
    if limits.lora is None:
        missing.append("no rank limit given (--max-lora-rank)")
    return missing


def _faults(limits: ServingLimits) -> Sequence[KnownFault]:
    return () if limits.version is None else limits.version.known_faults


def _document(
    checked: Sequence[CheckedAdapter], results: Counter[CheckResult], limits: ServingLimits
) -> dict[str, Any]:
    return {
        "results": {result: results[result] for result in CheckResult},
        "not_compared": _not_given(limits),
        "container_faults": [fault._asdict() for fault in _faults(limits)],
        "adapters": [
            {
                "path": one.path,
                "result": one.result,
                "bytes_read": one.bytes_read,
                "size": one.size,
                "findings": [
                    {**asdict(finding), "help": RULES[finding.rule].help} for finding in one.findings
                ],
            }
            for one in checked
        ],
    }

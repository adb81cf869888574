"""`adapters preflight`: check the account before a deployment of an environment file."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.counts import counted
from adapters_cli.aws.account import Account, account_of
from adapters_cli.models.options import ENVIRONMENT_OPTION, read_environment
from adapters_cli.output.errors import NoAnswerError, UsageError, error_text
from adapters_cli.output.exit_codes import FAILED
from adapters_cli.output.results import JsonOption, print_result
from adapters_cli.output.tables import RowTable
from adapters_cli.output.text import print_note
from adapters_cli.preflight.check_outcome import Check, CheckOutcome, CheckVerdict
from adapters_cli.preflight.deployment import Deployment
from adapters_cli.preflight.preflight import check_deployment

_HEADINGS = ("CHECK", "RESULT", "WHAT")
_NOUNS = (CheckVerdict.ERROR, CheckVerdict.WARNING)

EXAMPLES = """
# Would a deployment of prod.toml succeed?
adapters preflight --environment prod

# As a gate: warnings count, too.
adapters preflight --environment prod --strict
"""


def preflight(
    context: typer.Context,
    environment: Annotated[str, ENVIRONMENT_OPTION],
    stack: Annotated[
        str | None,
        typer.Option(
            "--stack", metavar="NAME", help="Stack of the app; else MultiAdapterInference-ENVIRONMENT."
        ),
    ] = None,
    qualifier: Annotated[
        str, typer.Option("--qualifier", metavar="TEXT", help="Qualifier of the CDK's bootstrap stack.")
    ] = "hnb659fds",
    strict: Annotated[
        bool, typer.Option("--strict", help="Warnings and what cannot be checked count, too.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check an account before a deployment of an environment. Nothing is written.

    Each finding has the command to run next. A check without the permission for it is not made, and says so.

    Ends with 1 if the deployment would fail, and with 4 without a region or credentials.
    """
    file = read_environment(environment)
    account = account_of(context)
    declared, chosen = file.tables.aws.region, account.chosen_region
    if declared is not None and chosen not in (None, declared):
        raise UsageError(f"--region should be that of {file.path}, {declared!r}, got {chosen!r}")
    if declared is not None:
        account.choose(region=declared)
    account_id, who, region = _caller(account)
    wanted = file.tables.aws.account
    credentials = Check("credentials")
    if wanted is not None and wanted != account_id:
        finding = credentials.error(
            f"'account' of [aws] is {wanted}, got credentials of {account_id} ({who}); give --profile"
        )
        findings = [finding]
    else:
        deployment = Deployment(
            account=account,
            environment=file.tables,
            name=environment,
            stack=stack or f"MultiAdapterInference-{file.path.stem}",
            region=region,
            account_id=account_id,
            qualifier=qualifier,
        )
        findings = [credentials.ok(f"{who} in {region}"), *check_deployment(deployment)]
    _print(findings, as_json=as_json)
    raise typer.Exit(_exit_code(findings, strict=strict))


def _caller(account: Account) -> tuple[str, str, str]:
    """Return the account, the ARN and the region of the credentials. Raises NoAnswerError without them."""
    try:
        client = account.client("sts")
        caller = client.get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise NoAnswerError(
            f"the credentials give no answer: {error_text(error)}; 'aws sso login' or 'aws configure' gives"
            " new ones"
        ) from None
    return caller["Account"], caller["Arn"], client.meta.region_name


def _print(findings: Sequence[CheckOutcome], *, as_json: bool) -> None:
    counts = Counter(finding.verdict for finding in findings)
    document = {
        "errors": counts[CheckVerdict.ERROR],
        "warnings": counts[CheckVerdict.WARNING],
        "not_checked": counts[CheckVerdict.NOT_CHECKED],
        "findings": [asdict(finding) for finding in findings],
    }
    rows = [(found.check, found.verdict, found.message) for found in findings]
    print_result(document, RowTable(headings=_HEADINGS, rows=rows, styled=1), as_json=as_json)
    if as_json:
        return
    # Below the table, where a command keeps its line and can be copied.
    for finding in findings:
        if finding.remedy is not None:
            # A shell goes on behind a line that ends with &&.
            remedy = finding.remedy.replace(" && ", " &&\n  ")
            print_note(f"\n{finding.check}: run next\n  {remedy}")
    print_note(", ".join(_counted(verdict, counts[verdict]) for verdict in CheckVerdict if counts[verdict]))


def _counted(verdict: CheckVerdict, number: int) -> str:
    return counted(number, verdict) if verdict in _NOUNS else f"{number} {verdict}"


def _exit_code(findings: Sequence[CheckOutcome], *, strict: bool) -> int:
    verdicts = {finding.verdict for finding in findings}
    if CheckVerdict.ERROR in verdicts:
        return FAILED
    return FAILED if strict and verdicts != {CheckVerdict.OK} else 0

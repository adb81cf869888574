"""Answers the open questions about SageMaker on a real account. docs/guides/verify-aws.md is the guide.

python -m verify_aws --price-per-hour PRICE --price-date DAY --cost-cap COST --time-limit MINUTES
"""

from __future__ import annotations

import argparse
import os
import secrets
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import botocore
from botocore.exceptions import BotoCoreError

from verify_aws.account import Account, RefusedError
from verify_aws.adapters import QWEN, BaseModel
from verify_aws.budget import Budget
from verify_aws.container import Container
from verify_aws.experiments.catalog import EXPERIMENTS
from verify_aws.redaction import Redactor
from verify_aws.removal import Removal
from verify_aws.run import Run, note, remove
from verify_aws.stage import Stage
from verify_aws.summary import summary
from verify_aws.transcript import Record, Transcript, differences

_BOUNDS = {
    "price_per_hour": "price of one instance an hour, from your own price list",
    "price_date": "day of that price, as 2026-11-20",
    "cost_cap": "the most that the run may cost, in the same currency",
    "time_limit": "the most minutes that the experiments may take",
}


class UsageError(Exception):
    """The command was not given what it needs, or was told not to go on."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command: 0 if every experiment has an answer and nothing is left, 1 otherwise, 2 for usage."""
    options = _parser().parse_args(arguments)
    try:
        if options.compare:
            return _compare(*options.compare)
        if options.summary:
            print(summary(Record.read(options.summary)), end="")
            return 0
        return _on_the_account(options)
    except (UsageError, ValueError) as error:
        note(f"error: {error}")
        return 2
    except (RefusedError, BotoCoreError) as error:
        note(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        # Only while nothing is being made.
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m verify_aws", description=__doc__)
    add = parser.add_argument
    add("--price-per-hour", type=float, help=_BOUNDS["price_per_hour"])
    add("--price-date", help=_BOUNDS["price_date"])
    add("--cost-cap", type=float, help=_BOUNDS["cost_cap"])
    add("--time-limit", type=float, help=_BOUNDS["time_limit"])
    add("--yes", action="store_true", help="do not ask before anything is made or removed")
    add("--clean-up", action="store_true", help="only remove what earlier runs have left")
    add("--container", choices=("lmi", "vllm"), default="lmi", help="default: lmi")
    add("--version", help="the container's version; default: 19 for lmi, 1.4 for vllm")
    add("--instance-type", default="ml.g5.xlarge", help="default: ml.g5.xlarge")
    add("--inference-ami", default="", help="InferenceAmiVersion, which versions on CUDA 13 need")
    add("--role-arn", default="", help="an execution role of yours; default: one is made, and removed")
    add("--model", type=Path, help=f"directory with a Llama-like model; default: {QWEN.hub_id} from the hub")
    add("--region", help="default: that of your AWS configuration")
    add("--profile", help="a profile of your AWS configuration")
    add("--out", type=Path, default=Path("verify-aws"), help="folder of the transcript; default: verify-aws")
    add("--only", nargs="+", default=[], metavar="EXPERIMENT", help="only these, after `references`")
    add("--poll-seconds", type=float, default=5.0, help="how often to look; default: 5")
    add("--metric-seconds", type=float, default=300.0, help="how long to wait for metrics; default: 300")
    add("--summary", type=Path, metavar="TRANSCRIPT", help="print the summary of a transcript, and end")
    add("--compare", type=Path, nargs=2, metavar="TRANSCRIPT", help="print how two differ, and end")
    return parser


def _compare(one: Path, other: Path) -> int:
    found = differences(Record.read(one), Record.read(other))
    for experiment, key, first, second in found:
        print(f"{experiment} {key}: {first!r} | {second!r}")
    return 1 if found else 0


def _on_the_account(options: argparse.Namespace) -> int:
    chosen = _chosen(options.only)
    # Whatever is wrong is said before anything is asked or made.
    container = Container.of(options.container, options.version)
    model = QWEN if options.model is None else BaseModel.from_directory(options.model)
    budget = None if options.clean_up else _budget(options)
    session = boto3.Session(profile_name=options.profile, region_name=options.region)
    if session.region_name is None:
        raise UsageError("'region' should be given, here or in your AWS configuration")
    account = Account(session, poll_seconds=options.poll_seconds, metric_seconds=options.metric_seconds)
    container.image(account.region)
    caller = account.call("sts", "get_caller_identity")
    if not _clean_up(account, yes=options.yes, only=options.clean_up):
        return 1
    if budget is None:
        return 0
    note(f"{container.release.title} on {options.instance_type} in {account.region}: {budget.statement}")
    _confirm("Make these resources in this account?", yes=options.yes)

    run, began = secrets.token_hex(4), time.time()
    against = "an endpoint that is not AWS" if _elsewhere() else "AWS"
    header = {
        "against": against,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "region": account.region,
        "instance_type": options.instance_type,
        "container": container.release.title,
        "dialect": container.name,
        "image": f"{container.release.repository}:{container.release.tag}",
        "model": model.title,
        "botocore": botocore.__version__,
    }
    redactor = Redactor(run=run, account=caller["Account"], began=began, secrets=_secrets(session, caller))
    path = options.out / f"{header['date']}-{container.name}-{run}.jsonl"
    account.transcript = transcript = Transcript(path, redactor, header)
    transcript.save()
    account.limit(budget.time_limit_minutes * 60)
    stage = Stage(
        account=account,
        run=run,
        container=container,
        model=model,
        instance_type=options.instance_type,
        role_arn=options.role_arn,
        inference_ami=options.inference_ami,
    )
    left = Run(account, stage, transcript).carry_out(chosen)
    note(f"it cost at most {budget.cost_of(time.time() - began):.2f}, if everything is gone")
    return _report(path, left=bool(left), asked=len(chosen))


def _report(path: Path, *, left: bool, asked: int) -> int:
    record = Record.read(path)
    path.with_suffix(".md").write_text(summary(record), encoding="utf-8")
    answered = [name for name, outcome in record.outcomes.items() if outcome.error is None]
    gone = "NOT everything" if left else "everything"
    note(f"{len(answered)} of {asked} experiments have an answer; {gone} is gone")
    note(f"transcript {path}, summary {path.with_suffix('.md')}: read them before you send them to anybody")
    return 1 if left or len(answered) < asked else 0


def _elsewhere() -> bool:
    return any(name.startswith("AWS_ENDPOINT_URL") for name in os.environ)


def _chosen(only: Sequence[str]) -> list[Any]:
    names = [one.name for one in EXPERIMENTS]
    unknown = [name for name in only if name not in names]
    if unknown:
        raise UsageError(f"unknown experiment {', '.join(unknown)}; known: {', '.join(names)}")
    wanted = {*only, names[0]}
    return [one for one in EXPERIMENTS if not only or one.name in wanted]


def _budget(options: argparse.Namespace) -> Budget:
    """Return the bounds of the run; those that are not given are asked for."""
    given = {name: getattr(options, name) for name in _BOUNDS}
    missing = [name for name, value in given.items() if value is None]
    if missing and (options.yes or not sys.stdin.isatty()):
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise UsageError(f"{flags} should be given, as nobody can be asked")
    for name in missing:
        text = input(f"{_BOUNDS[name]}: ").strip()
        given[name] = text if name == "price_date" else float(text)
    return Budget(
        price_per_hour=given["price_per_hour"],
        price_date=given["price_date"],
        cost_cap=given["cost_cap"],
        time_limit_minutes=given["time_limit"],
    )


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked; --yes confirms")
    if input(f"{question} [yes/no] ").strip().lower() != "yes":
        raise UsageError("nothing was done")


def _clean_up(account: Account, *, yes: bool, only: bool) -> bool:
    """Offer to remove what earlier runs have left; return whether all of it is gone, or was to stay."""
    left = Removal(account).find()
    if not left:
        if only:
            note("nothing is left of any run")
        return True
    for resource in left:
        note(f"left of an earlier run, or of one that still goes on: {resource}")
    try:
        _confirm("Remove all of it?", yes=yes and only)
    except UsageError:
        if only:
            raise
        note("it stays; `python -m verify_aws --clean-up` removes it")
        return True
    gone = [remove(account, run) == [] for run in sorted({resource.run for resource in left})]
    return all(gone)


def _secrets(session: boto3.Session, caller: dict[str, Any]) -> list[str]:
    """Return what must be in no transcript: the keys, and what names the caller."""
    credentials = session.get_credentials()
    frozen = credentials.get_frozen_credentials() if credentials is not None else None
    keys = [frozen.access_key, frozen.secret_key, frozen.token or ""] if frozen is not None else []
    # In arn:aws:sts::123456789012:assumed-role/Admin/jane the names come after the kind.
    names = [*caller["Arn"].split("/")[1:], *caller["UserId"].split(":")]
    return [*keys, *(name for name in names if len(name) > 3), os.environ.get("HF_TOKEN", "")]


if __name__ == "__main__":
    sys.exit(main())

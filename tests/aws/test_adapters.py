"""What SageMaker does with adapter components."""

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.aws.stage import Stage

pytestmark = pytest.mark.timeout(3600)

_PATH = re.compile(r"(?<![\w.])/[\w./=-]{4,}")


def test_references(stage: Stage, tell: Callable[..., None]) -> None:
    """Do the base model and two adapters, created by CloudFormation, answer with texts of their own?"""
    tell(texts=stage.texts)
    assert len({tuple(texts) for texts in stage.texts.values()}) == len(stage.texts)


def test_last_modified(stage: Stage, tell: Callable[..., None]) -> None:
    """Does the last-modified time of a component move without a write?"""
    before = stage.described(stage.adapters["summary"])["LastModifiedTime"]
    time.sleep(stage.patience_seconds)
    moved = stage.described(stage.adapters["summary"])["LastModifiedTime"] != before
    tell(settings={"last_modified_moves_every_seconds": moved})


def test_creation(stage: Stage, tell: Callable[..., None]) -> None:
    """When is a new component found and listed, and what is said of a deleted one?"""
    request = stage.creation("fresh")
    name = request["InferenceComponentName"]
    stage.written(stage.sagemaker.create_inference_component, **request)
    at_once, listed = stage.status(name), name in stage.listed()
    stage.in_service(name)
    stage.written(stage.sagemaker.delete_inference_component, InferenceComponentName=name)
    stage.until(lambda: stage.status(name) is None, "it is gone")
    still = name in stage.listed()
    missing = stage.attempt(stage.sagemaker.describe_inference_component, InferenceComponentName=name)
    tell(
        found_at_once=at_once is not None,
        missing=missing,
        settings={"listing_lag_seconds": not listed or still},
    )


def test_concurrent_creations(stage: Stage, tell: Callable[..., None]) -> None:
    """May several adapters of one base be created at the same time?"""
    create = stage.sagemaker.create_inference_component
    requests = [stage.creation(f"together-{index}") for index in range(3)]
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(lambda request: stage.attempt(create, **request), requests))
    for request, answer in zip(requests, answers, strict=True):
        if answer == "accepted":
            stage.in_service(request["InferenceComponentName"])
    refused = sorted({answer for answer in answers if answer != "accepted"})
    tell(refusals=refused, settings={"one_write_per_base": bool(refused)})


def test_writes_in_transition(stage: Stage, tell: Callable[..., None]) -> None:
    """How are writes on a component in transition refused, and a second creation under its name?"""
    attempt, sagemaker = stage.attempt, stage.sagemaker
    request = stage.creation("changing")
    name = request["InferenceComponentName"]
    container = {"Container": {"ArtifactUrl": stage.archive("shout")}}
    stage.written(sagemaker.create_inference_component, **request)
    seen = {
        "created_while_creating": attempt(sagemaker.create_inference_component, **request),
        "updated_while_creating": attempt(
            sagemaker.update_inference_component, InferenceComponentName=name, Specification=container
        ),
        "deleted_while_creating": attempt(sagemaker.delete_inference_component, InferenceComponentName=name),
    }
    stage.in_service(name)
    seen["created_in_service"] = attempt(sagemaker.create_inference_component, **request)
    tell(**seen)


def test_members_of_the_base(stage: Stage, tell: Callable[..., None]) -> None:
    """May an adapter have what the base's component has? AWS's SDK v2 sends both."""
    members: dict[str, dict[str, Any]] = {
        "variant": {"VariantName": stage.described(stage.base)["VariantName"]},
        "copies": {"RuntimeConfig": {"CopyCount": 1}},
    }
    seen = {}
    for what, added in members.items():
        request = stage.creation(f"with-{what}") | added
        seen[what] = stage.attempt(stage.sagemaker.create_inference_component, **request)
        if seen[what] == "accepted":
            stage.settled(request["InferenceComponentName"])
    accepted = {answer == "accepted" for answer in seen.values()}
    outcome = ("ignored" if accepted == {True} else "refused") if len(accepted) == 1 else None
    tell(**seen, settings={"adapter_with_base_members": outcome})


def test_update_in_place(stage: Stage, tell: Callable[..., None]) -> None:
    """What do callers meet while an adapter is updated in place, and where is the new version put?"""
    since = int(time.time() * 1000)
    name = stage.create("updated", "summary")
    with stage.watched(name) as seen:
        stage.update(name, "triage")
        stage.late(lambda: seen[-1:] == ["triage"])
    reason = stage.described(name).get("FailureReason")
    errors = [who for who in seen if who.startswith("error")]
    refused = reason is not None and "update operation is not supported" in reason.lower()
    tell(
        who_answered=seen,
        reason=reason,
        settings={
            "adapter_update": "refused" if refused else "gap" if errors else "gapless",
            "update_gap_seconds": bool(errors),
            "update_path": _path(stage, since),
        },
    )
    assert stage.who(name) == ("summary" if refused else "triage")


def _path(stage: Stage, since: int) -> str | None:
    """Return whether the second load has the `same` or a `new` path in the log, None without two loads."""
    logs, paths = stage.client("logs"), list[str]()

    def two_loads() -> bool:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=f"/aws/sagemaker/InferenceComponents/{stage.base}", startTime=since
        )
        lines = [event["message"] for page in pages for event in page["events"]]
        news = [line for line in lines if re.search("(?i)adapter|lora", line)]
        # The last one of a line, since it may begin with the path of the program.
        paths[:] = [found[-1] for line in news if (found := _PATH.findall(line))]
        return len(paths) > 1

    if not stage.late(two_loads):
        return None
    return "same" if paths[0] == paths[-1] else "new"


def test_failed_update(stage: Stage, tell: Callable[..., None]) -> None:
    """What is left of a failed update, also after a later success?"""
    name = stage.create("failed", "summary")
    stage.update(name, "missing")
    failed = stage.described(name)
    who = stage.who(name)
    stage.update(name, "triage")
    updated = stage.described(name)
    tell(
        reason=failed.get("FailureReason"),
        who_answers_after_the_failure=who,
        updated_afterwards=updated["Specification"]["Container"].get("ArtifactUrl"),
        settings={"failure_reason_stays": "FailureReason" in updated},
    )
    assert who == "summary"

"""Updates of an adapter in place: the gap, the path, failures, and what a prefix cache makes of them."""

from __future__ import annotations

import re
import time
from typing import Any

from verify_aws.account import RefusedError
from verify_aws.experiment import experiment, number
from verify_aws.prompts import ONE, PROMPTS, TWO
from verify_aws.stage import Stage
from verify_aws.transcript import Answer

_UPDATE_REFUSED = "update operation is not supported"
_PATH = re.compile(r"(?<![\w.])/[\w./=-]{4,}")
_NEWS = re.compile(r"(?i)adapter|lora")


@experiment(
    fact="It is unregistered, then registered [V notebooks]; or it switches over [I]; or the container"
    " refuses [T]. Neither the length of the gap nor the path is known.",
    follows={
        "who_answered": ("adapter_update", "update_gap_seconds"),
        "errors": ("adapter_update", "update_gap_seconds"),
        "new_version_at_the_old_path": ("update_path", "adapter_update"),
    },
)
def update_in_place(stage: Stage) -> Answer:
    """What do callers meet while an adapter is updated in place, and where is the new version put?"""
    since = _milliseconds()
    name = stage.create("updated", ONE)
    with stage.watched(name) as watch:
        stage.account.wait(1)
        seconds = stage.update(name, TWO)
        stage.account.wait(1)
    described = stage.described(name)
    reason = described.get("FailureReason")
    sequence = watch.sequence
    errors = [label for label in sequence if label.startswith("error")]
    if reason is not None and _UPDATE_REFUSED in reason.lower():
        mode = "refused"
    else:
        mode = "gap" if errors else "gapless"
    stage.keeps_path = _keeps_path(stage, since)
    return Answer(
        fields={
            "who_answered": sequence,
            "errors": sorted(set(watch.errors))[:1],
            "reason": reason and stage.account.shown(reason),
            "new_version_at_the_old_path": stage.keeps_path,
        },
        settings={
            "adapter_update": [mode],
            "update_gap_seconds": number(bool(errors)),
            "update_path": {None: [], True: ["same"], False: ["new"]}[stage.keeps_path],
        },
        measured={"update_seconds": seconds, "gap_seconds": watch.error_seconds},
    )


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _keeps_path(stage: Stage, since: int) -> bool | None:
    """Return whether the container's log has the same path for both loads of the one adapter since then.

    None if it has no two loads with a path.
    """
    group = f"/aws/sagemaker/InferenceComponents/{stage.base}"
    paths: list[str] = []

    def two_loads() -> bool:
        events = stage.account.pages(
            "logs", "filter_log_events", "events", logGroupName=group, startTime=since
        )
        lines = [event["message"] for event in events if _NEWS.search(event["message"])]
        # The last one of a line, since it may begin with the path of the program.
        paths[:] = [found[-1] for line in lines if (found := _PATH.findall(line))]
        return len(paths) > 1

    try:
        stage.account.until(two_loads, "the log has two loads", stage.account.metric_seconds)
    except (TimeoutError, RefusedError):
        return None
    return paths[0] == paths[-1]


@experiment(
    fact="It goes back to InService with FailureReason, which can outlive a success [V ACK].",
)
def failed_update(stage: Stage) -> Answer:
    """What is left of a failed update, also after a later success?"""
    name = stage.create("failed-update", ONE)
    stage.update(name, "missing")
    failed = stage.described(name)
    who = stage.who(name)
    stage.update(name, TWO)
    updated = stage.described(name)
    archive = updated["Specification"]["Container"].get("ArtifactUrl")
    return Answer(
        fields={
            "status": failed["InferenceComponentStatus"],
            "reason": failed.get("FailureReason"),
            "who_answers_after_the_failure": who,
            "updated_afterwards": archive == stage.archive(TWO),
        },
        settings={"failure_reason_stays": ["FailureReason" in updated]},
    )


@experiment(
    fact="vLLM keys the cache by name from 0.11.1 on, newer ones by name and path [V]; mixed texts [tried].",
    follows={
        "mixed_after_an_update": ("prefix_cache", "update_path", "adapter_update"),
        "mixed_after_a_creation_under_the_same_name": ("prefix_cache", "update_path"),
    },
)
def prefix_cache(stage: Stage) -> Answer:
    """Does a new version under an old name answer from its predecessor's cached attention?"""
    fresh = [_answers(stage, stage.create(f"deep-fresh-{number}", "deep-two")) for number in range(2)]
    # Two fresh names with the same files may differ, too: that much is chance.
    chance = _differing(*fresh)

    name = stage.create("deep-updated", "deep-one")
    _answers(stage, name)
    stage.update(name, "deep-two")
    updated = _differing(_answers(stage, name), fresh[0])

    name = stage.create("deep-again", "deep-one")
    _answers(stage, name)
    stage.written("delete_inference_component", InferenceComponentName=name)
    stage.gone(name)
    stage.create("deep-again", "deep-two")
    again = _differing(_answers(stage, name), fresh[0])

    if again > chance:
        # By path, it takes an old path to be mixed.
        values = ["by_name"] if stage.keeps_path is False else ["by_name", "by_path"]
    else:
        values = ["off"] if stage.keeps_path else ["off", "by_path"]
    return Answer(
        fields={
            "mixed_after_an_update": updated > chance,
            "mixed_after_a_creation_under_the_same_name": again > chance,
        },
        settings={"prefix_cache": values},
        measured={"prompts": len(PROMPTS), "by_chance": chance, "updated": updated, "created_again": again},
    )


def _answers(stage: Stage, name: str) -> list[str]:
    return [stage.ask(name, prompt) for prompt in PROMPTS]


def _differing(one: list[Any], other: list[Any]) -> int:
    return sum(first != second for first, second in zip(one, other, strict=True))

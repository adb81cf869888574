"""Copies of the base: adapters on new ones, updates of the base, and no copy at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from verify_aws.account import RefusedError
from verify_aws.experiment import experiment
from verify_aws.experiments.observation import metric
from verify_aws.prompts import ONE
from verify_aws.removal import name_of
from verify_aws.stage import VARIANT, Stage
from verify_aws.transcript import Answer

_SCALE = "update_inference_component_runtime_config"
_NO_CAPACITY = "NoCapacityInvocationFailures"
_STACK_SECONDS = 3600


def _scale(stage: Stage, base: str, copies: int) -> float:
    """Change a base's copies, and return after how many seconds they are there; RuntimeError if not."""
    stage.written(_SCALE, InferenceComponentName=base, DesiredRuntimeConfig={"CopyCount": copies})
    seconds = stage.settled(base)
    described = stage.described(base)
    if described["RuntimeConfig"]["CurrentCopyCount"] != copies:
        raise RuntimeError(
            f"{described['RuntimeConfig']} instead of {copies} copies: {described.get('FailureReason')}"
        )
    return seconds


def _on_new_copies(answered: list[str]) -> list[object]:
    """Return the values of `adapters_on_new_copies` by who answered."""
    if answered == [ONE]:
        return ["registered"]
    # An adapter that is not on a copy: the container refuses its name, or the base answers.
    return ["lost"] if all(who == ONE or who.startswith(("error", "base")) for who in answered) else []


@experiment(
    fact="No source says it [I]; Application Auto Scaling shares the lock of writes [T].",
    follows={"who_answers": ("adapters_on_new_copies",)},
)
def scale_out(stage: Stage) -> Answer:
    """Are adapters on a copy that is added, and is another write refused meanwhile?"""
    adapter = stage.create("scaled-out", ONE)
    stage.written(_SCALE, InferenceComponentName=stage.base, DesiredRuntimeConfig={"CopyCount": 2})
    meanwhile = stage.account.attempt(
        "sagemaker", _SCALE, InferenceComponentName=stage.base, DesiredRuntimeConfig={"CopyCount": 1}
    )
    seconds = stage.settled(stage.base)
    answered = stage.many(adapter)
    copies = stage.described(stage.base)["RuntimeConfig"]["CurrentCopyCount"]
    if copies != 2:
        raise RuntimeError(f"the base has {copies} copies instead of 2")
    return Answer(
        fields={"who_answers": answered, "write_meanwhile": meanwhile, "status": stage.status(adapter)},
        settings={"adapters_on_new_copies": _on_new_copies(answered)},
        measured={"scale_out_seconds": seconds},
    )


@experiment(
    fact="It rolls in batches on newly provisioned capacity [V docs], or needs spare room [I].",
    follows={"reason": ("base_update_room",)},
)
def update_of_the_base_without_room(stage: Stage) -> Answer:
    """Is the base updated while its copies fill every instance that the endpoint may have?"""
    if stage.described(stage.base)["RuntimeConfig"]["CurrentCopyCount"] != 2:
        _scale(stage, stage.base, 2)
    seconds, reason = _update_base(stage, 901)
    return Answer(
        fields={"reason": reason},
        settings={"base_update_room": ["provisioned" if reason is None else "spare"]},
        measured={"update_seconds": seconds},
    )


@experiment(
    fact="Not documented: expect either.",
    follows={"who_answers": ("adapters_on_new_copies",)},
)
def update_of_the_base(stage: Stage) -> Answer:
    """Do adapters survive an update of their base?"""
    _scale(stage, stage.base, 1)
    adapter = stage.create("base-updated", ONE)
    seconds, reason = _update_base(stage, 902)
    answered = stage.many(adapter)
    return Answer(
        fields={"reason": reason, "who_answers": answered, "status": stage.status(adapter)},
        settings={"adapters_on_new_copies": _on_new_copies(answered) if reason is None else []},
        measured={"update_seconds": seconds},
    )


def _update_base(stage: Stage, start_seconds: int) -> tuple[float, str | None]:
    """Update the base's specification; return the seconds, and why it still has the old one, if it has."""
    specification = stage.base_specification(start_seconds=start_seconds)
    stage.written(
        "update_inference_component", InferenceComponentName=stage.base, Specification=specification
    )
    seconds = stage.settled(stage.base)
    described = stage.described(stage.base)
    deployed = described["Specification"].get("StartupParameters", {})
    # FailureReason may be an old one: what is deployed tells.
    if deployed.get("ContainerStartupHealthCheckTimeoutInSeconds") == start_seconds:
        return seconds, None
    return seconds, stage.account.shown(described.get("FailureReason", "not said"))


@experiment(
    fact="Inference Component has no capacity to process this request … [T]; NoCapacityInvocationFailures"
    " [V docs], of the base too if an adapter is invoked [I].",
    follows={"metric_of_the_base": ("adapter_load",)},
)
def no_copies(stage: Stage) -> Answer:
    """What is said, and counted, when a component without copies is invoked?"""
    adapter = stage.create("without-copies", ONE)
    _scale(stage, stage.base, 0)
    base_words, *adapter_words = (_refusal(stage, name) for name in (stage.base, adapter, adapter))
    of_adapter = metric(stage, _NO_CAPACITY, adapter, "Sum", at_least=2)
    of_base = metric(stage, _NO_CAPACITY, stage.base, "Sum", at_least=1 if of_adapter is None else 3)
    return Answer(
        fields={
            "base": base_words,
            "adapter": adapter_words[-1],
            "metric_of_the_base": of_base,
            "metric_of_the_adapter": of_adapter,
            "status_of_the_adapter": stage.status(adapter),
        },
        settings={"adapter_load": {1: ["adapter"], 3: ["base"]}.get(int(of_base or 0), [])},
    )


def _refusal(stage: Stage, component: str) -> str:
    try:
        stage.ask(component, "Is anybody there?")
    except RefusedError as refused:
        return stage.account.shown(str(refused))
    return "answered"


@experiment(
    fact="CopyCount is write-only [V schema] and fights with scaling [I]; one adapter"
    " was reported CREATE_FAILED though it was there [T].",
    follows={"copies_afterwards": ("template_copies",)},
)
def template_copies(stage: Stage) -> Answer:
    """Does CloudFormation undo a change of copies when it updates a base, and make adapters at all?"""
    if stage.described(stage.base)["RuntimeConfig"]["CurrentCopyCount"] > 1:
        _scale(stage, stage.base, 1)
    stack, base = name_of(stage.run), stage.name("stack-base")
    stage.components |= {base, stage.name("stack-adapter")}
    call = stage.account.call
    tags = stage.tags
    call("cloudformation", "create_stack", StackName=stack, TemplateBody=_template(stage, 900), Tags=tags)
    created = _stack_status(stage, stack)
    who = stage.who(stage.name("stack-adapter")) if created == "CREATE_COMPLETE" else created
    _scale(stage, base, 0)
    call("cloudformation", "update_stack", StackName=stack, TemplateBody=_template(stage, 901), Tags=tags)
    updated = _stack_status(stage, stack)
    copies = stage.described(base)["RuntimeConfig"]["DesiredCopyCount"]
    call("cloudformation", "delete_stack", StackName=stack)
    stage.account.until(lambda: _stacks(stage, stack) == [], "the stack is gone", _STACK_SECONDS)
    return Answer(
        fields={"created": created, "who_answers": who, "updated": updated, "copies_afterwards": copies},
        settings={
            "template_copies": [{0: "changed", 1: "always"}[copies]] if updated == "UPDATE_COMPLETE" else []
        },
    )


def _template(stage: Stage, start_seconds: int) -> str:
    def component(name: str, **properties: Any) -> Mapping[str, Any]:
        shared = {
            "InferenceComponentName": stage.name(name),
            "EndpointName": stage.endpoint,
            "Tags": stage.tags,
        }
        return {"Type": "AWS::SageMaker::InferenceComponent", "Properties": shared | properties}

    adapter = {
        "BaseInferenceComponentName": stage.name("stack-base"),
        "Container": {"ArtifactUrl": stage.archive(ONE)},
    }
    return json.dumps(
        {
            "Resources": {
                "Base": component(
                    "stack-base",
                    VariantName=VARIANT,
                    Specification=stage.base_specification(start_seconds=start_seconds),
                    RuntimeConfig={"CopyCount": 1},
                ),
                "Adapter": {**component("stack-adapter", Specification=adapter), "DependsOn": "Base"},
            }
        }
    )


def _stacks(stage: Stage, stack: str) -> list[str]:
    """Return the status of a stack, in a list that is empty if there is none."""
    try:
        found = stage.account.call("cloudformation", "describe_stacks", StackName=stack)["Stacks"]
    except RefusedError as refused:
        if "does not exist" in refused.message:
            return []
        raise
    return [one["StackStatus"] for one in found if one["StackStatus"] != "DELETE_COMPLETE"]


def _stack_status(stage: Stage, stack: str) -> str:
    """Wait until a stack is in no transition, and return its status."""
    stage.account.until(
        lambda: not any(status.endswith("_IN_PROGRESS") for status in _stacks(stage, stack)),
        "the stack is settled",
        _STACK_SECONDS,
    )
    return (_stacks(stage, stack) or ["gone"])[0]

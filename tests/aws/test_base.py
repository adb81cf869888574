"""What SageMaker does with the base model's component, and with its adapters then. It runs last."""

import subprocess
from collections.abc import Callable

import pytest

from tests.aws.stage import PROMPTS, Stage
from tests.aws.test_answers import metric

pytestmark = pytest.mark.timeout(7200)


def on_new_copies(answered: list[str]) -> str | None:
    """Return the outcome of `adapters_on_new_copies` by who answered for the adapter `summary`."""
    if answered == ["summary"]:
        return "registered"
    # An adapter that is not on a copy: the container refuses its name, or the base answers.
    return "lost" if all(who in ("summary", "base") or who.startswith("error") for who in answered) else None


def test_scale_out(stage: Stage, tell: Callable[..., None]) -> None:
    """Are adapters on a copy that is added?"""
    adapter = stage.create("scaled-out")
    stage.scale(2)
    answered = stage.many(adapter)
    tell(who_answers=answered, settings={"adapters_on_new_copies": on_new_copies(answered)})


def test_update_by_cloudformation(stage: Stage, tell: Callable[..., None]) -> None:
    """Does CloudFormation update a base whose copies fill every instance, and undo a change of copies?"""
    if stage.copies() != 2:
        stage.scale(2)
    try:
        stage.deploy(start_seconds=901)
    except subprocess.CalledProcessError as error:
        failure: str | None = str(error)
        copies = None
    else:
        failure = None
        copies = stage.copies()
    outcome = {1: "always", 2: "changed"}.get(copies or 0)
    tell(
        failure=failure,
        copies_afterwards=copies,
        settings={
            "base_update_room": "spare" if failure else "provisioned",
            "template_copies": outcome,
        },
    )


def test_update_of_the_base(stage: Stage, tell: Callable[..., None]) -> None:
    """Do adapters survive an update of their base that has room?"""
    if stage.copies() != 1:
        stage.scale(1)
    adapter = stage.create("base-updated")
    stage.deploy(start_seconds=902)
    answered = stage.many(adapter)
    tell(who_answers=answered, settings={"adapters_on_new_copies": on_new_copies(answered)})


def test_no_copies(stage: Stage, tell: Callable[..., None]) -> None:
    """What is said, and counted for whom, when a component without copies is invoked?"""
    name = "NoCapacityInvocationFailures"
    adapter = stage.create("without-copies")
    stage.scale(0)
    request = {"EndpointName": stage.endpoint, "ContentType": "application/json", "Body": b"{}"}
    words = {
        of: stage.attempt(stage.runtime.invoke_endpoint, InferenceComponentName=component, **request)
        for of, component in {"base": stage.base, "adapter": adapter}.items()
    }
    counted = stage.late(lambda: sum(metric(stage, name, stage.base, "Sum")) >= len(words))
    tell(
        **words,
        status_of_the_adapter=stage.status(adapter),
        settings={"adapter_load": "base" if counted else "adapter"},
    )
    stage.scale(1)
    stage.late(lambda: stage.who(stage.base) == "base")
    assert stage.ask(stage.base, PROMPTS[0]) == stage.texts["base"][0]


def test_base_without_copies(stage: Stage, tell: Callable[..., None]) -> None:
    """May a base begin without copies?"""
    request = stage.create_base("none", copies=0)
    tell(answer=stage.attempt(stage.sagemaker.create_inference_component, **request))
    stage.settled(request["InferenceComponentName"])


def test_deletion_of_a_base_with_adapters(stage: Stage, tell: Callable[..., None]) -> None:
    """What becomes of the adapters when their base is deleted?"""
    request = stage.create_base("second")
    base = request["InferenceComponentName"]
    stage.written(stage.sagemaker.create_inference_component, **request)
    stage.in_service(base)
    adapter = stage.create("left", base=base)
    answer = stage.attempt(stage.sagemaker.delete_inference_component, InferenceComponentName=base)
    if answer == "accepted":
        stage.until(lambda: stage.status(base) is None, "the base is gone")
    left = stage.status(adapter)
    outcome = {(True, None): "cascade", (False, "InService"): "refuse"}.get((answer == "accepted", left))
    tell(answer=answer, adapter_afterwards=left, settings={"base_delete": outcome})


def test_deletion_of_an_endpoint_with_components(stage: Stage, tell: Callable[..., None]) -> None:
    """May an endpoint be deleted while it has components?"""
    tell(answer=stage.attempt(stage.sagemaker.delete_endpoint, EndpointName=stage.endpoint))

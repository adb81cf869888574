"""Who answers: on the OpenAI path, to names in the body, and in which words the runtime refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verify_aws.account import HttpAnswer
from verify_aws.experiment import experiment
from verify_aws.prompts import BASE, ONE, chat_body
from verify_aws.stage import Stage
from verify_aws.transcript import Answer

_LONGEST_BODY = 6_291_456


@experiment(
    fact="Not documented. vLLM's code takes the component's adapter on /invocations only [I]; an"
    " empty model is taken, an unknown one refused [T]; LMI is said to work [T].",
    follows={
        "adapter_without_model": ("openai_adapter",),
        "adapter_with_empty_model": ("openai_adapter",),
        "adapter_with_another_adapter": ("openai_adapter",),
        "adapter_with_unknown_model": ("openai_adapter", "openai_errors"),
    },
)
def openai_path(stage: Stage) -> Answer:
    """Which adapter answers on the OpenAI path, and what does `model` change?"""
    adapter = stage.name("ref-one")
    fields = {
        what: _who(stage, adapter, members)
        for what, members in {
            "adapter_without_model": {},
            "adapter_with_empty_model": {"model": ""},
            "adapter_with_its_own_name": {"model": adapter},
            "adapter_with_another_adapter": {"model": stage.name("ref-two")},
            "adapter_with_unknown_model": {"model": "nobody"},
        }.items()
    }
    fields["base_with_an_adapter"] = _who(stage, stage.base, {"model": adapter})
    who = fields["adapter_without_model"]
    told = {ONE: ["component"]}
    if stage.container.name == "lmi":
        # vLLM ignores the name of the component's adapter on this path, so that its answer tells nothing.
        told[BASE] = ["model"]
    return Answer(fields=fields, settings={"openai_adapter": told.get(who, [])})


def _who(stage: Stage, component: str, members: Mapping[str, Any]) -> str:
    answer = stage.account.chat(stage.endpoint, component, chat_body(**members))
    if answer.status != 200:
        return f"error {answer.status}"
    return stage.who_chats(answer.body)


@experiment(
    fact="Two accounts: those of InvokeEndpoint [T], OpenAI's error object [T]. A signature gives 403 [T].",
    follows={
        "of_the_container": ("openai_errors",),
        "of_a_missing_component": ("openai_errors",),
        "of_a_signed_request": ("openai_errors",),
    },
)
def openai_errors(stage: Stage) -> Answer:
    """What do errors on the OpenAI path look like, and is a usual signature taken there?"""
    chat, adapter = stage.account.chat, stage.name("ref-one")
    # No container takes messages that are no list.
    refused = chat(stage.endpoint, adapter, {"messages": "hello"})
    missing = chat(stage.endpoint, stage.name("nobody"), chat_body())
    signed = chat(stage.endpoint, adapter, chat_body(), signed=True)
    shapes = {_shape(refused), _shape(missing)}
    return Answer(
        fields={
            "of_the_container": _described(stage, refused),
            "of_a_missing_component": _described(stage, missing),
            "of_a_signed_request": _described(stage, signed),
        },
        settings={"openai_errors": sorted(shapes) if len(shapes) == 1 and None not in shapes else []},
    )


def _shape(answer: HttpAnswer) -> Any:
    match answer.body:
        case {"error": {"message": _}}:
            return "openai"
        case {"Message": _} | {"message": _} | {"OriginalMessage": _}:
            return "runtime"
    return None


def _described(stage: Stage, answer: HttpAnswer) -> dict[str, Any]:
    members = answer.body if isinstance(answer.body, dict) else {}
    members = members.get("error", members)
    return {
        "status": answer.status,
        "members": sorted(members) if isinstance(members, dict) else [],
        "message": stage.account.shown(str(members.get("message") or members.get("Message") or answer.body)),
    }


@experiment(
    fact="LMI reads `adapters` [V docs], vLLM ignores names on /invocations [tried].",
)
def names_in_the_body(stage: Stage) -> Answer:
    """Can a caller of one component be answered by another's adapter that the body names?"""
    one, two = stage.name("ref-one"), stage.name("ref-two")
    return Answer(
        fields={
            "base_with_adapters": stage.who(stage.base, adapters=one),
            "base_with_model": stage.who(stage.base, model=one),
            "adapter_with_adapters": stage.who(one, adapters=two),
            "adapter_with_model": stage.who(one, model=two),
        }
    )


@experiment(
    fact="As users quote them [T]; the longest body has 6,291,456 bytes [V].",
)
def refused_invocations(stage: Stage) -> Answer:
    """In which words does the runtime refuse an invocation?"""

    def attempt(**request: Any) -> str:
        full = {"EndpointName": stage.endpoint, "ContentType": "application/json", "Body": b"{}"} | request
        return stage.account.attempt("sagemaker-runtime", "invoke_endpoint", patient=False, **full)

    adapter = stage.name("ref-one")
    return Answer(
        fields={
            "missing_component": attempt(InferenceComponentName=stage.name("nobody")),
            "no_component": attempt(),
            "missing_endpoint": attempt(EndpointName=stage.name("nobody"), InferenceComponentName=adapter),
            "too_long": attempt(InferenceComponentName=adapter, Body=b" " * (_LONGEST_BODY + 1)),
            "empty_object": attempt(InferenceComponentName=adapter),
        }
    )

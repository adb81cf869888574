"""Creations and other writes: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from verify_aws.experiment import experiment, number
from verify_aws.prompts import BASE, ONE, PROMPTS, TWO, chat_body, chat_text, distinct
from verify_aws.stage import VARIANT, Stage
from verify_aws.transcript import Answer

_CREATE, _UPDATE, _DELETE = (f"{verb}_inference_component" for verb in ("create", "update", "delete"))
_BURST_THREADS = 8
_MOST_READS, _MOST_WRITES = 400, 100


@experiment(
    fact="Otherwise nobody can tell who answers. A creation takes seconds to 2 minutes [V notebooks].",
)
def references(stage: Stage) -> Answer:
    """Do the base model and two adapters answer with texts of their own?"""
    began = time.monotonic()
    names = {BASE: stage.base, ONE: stage.create("ref-one", ONE)}
    created = time.monotonic() - began
    names[TWO] = stage.create("ref-two", TWO)
    texts = {who: [stage.ask(name, prompt) for prompt in PROMPTS] for who, name in names.items()}
    chats = {who: chat_text(stage.invoke(name, chat_body())) for who, name in names.items()}
    stage.modified = stage.described(names[ONE])["LastModifiedTime"]
    # Only now: all of them together show who answers, or nothing does.
    stage.texts, stage.chats = texts, chats
    return Answer(
        fields={"texts_differ": distinct(texts.values()), "chats_differ": distinct(chats.values())},
        measured={**stage.measured, "create_seconds": created},
    )


@experiment(
    fact="Not found is ValidationException [V], maybe right after a creation too [I]; listings may lag [I].",
)
def creation(stage: Stage) -> Answer:
    """When is a new component found and listed, and what is said of a deleted one?"""
    request = stage.creation("fresh")
    name = request["InferenceComponentName"]
    stage.written(_CREATE, **request)
    began = time.monotonic()
    at_once = stage.status(name)
    listed = name in stage.listed()
    lag = stage.account.until(lambda: name in stage.listed(), "the component is listed", 300)
    stage.in_service(name)
    serving = time.monotonic() - began
    described = stage.described(name)
    stage.written(_DELETE, InferenceComponentName=name)
    deletion = stage.gone(name)
    still = name in stage.listed()
    return Answer(
        fields={
            "found_at_once": at_once is not None,
            "members": sorted(described),
            "variant": described.get("VariantName"),
            "missing": stage.account.attempt(
                "sagemaker", "describe_inference_component", InferenceComponentName=name
            ),
        },
        settings={"listing_lag_seconds": number(not listed or still)},
        measured={"listed_seconds": lag, "serving_seconds": serving, "deletion_seconds": deletion},
    )


@experiment(
    fact="While one component of a base is written, writes on the others are refused [T].",
    follows={"refusals": ("one_write_per_base",)},
)
def concurrent_creations(stage: Stage) -> Answer:
    """May several adapters of one base be created at the same time?"""
    requests = [stage.creation(f"together-{index}") for index in range(3)]
    attempt = stage.account.attempt
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(lambda request: attempt("sagemaker", _CREATE, **request), requests))
    for request, answer in zip(requests, answers, strict=True):
        if answer == "accepted":
            stage.in_service(request["InferenceComponentName"])
    refusals = sorted({answer for answer in answers if answer != "accepted"})
    return Answer(
        fields={"refusals": [_without_number(refusal) for refusal in refusals][:1]},
        settings={"one_write_per_base": [bool(refusals)]},
        measured={"accepted": answers.count("accepted")},
    )


def _without_number(refusal: str) -> str:
    """Return a refusal without which of the three components it was about."""
    for index in range(3):
        refusal = refusal.replace(f"together-{index}", "together")
    return refusal


@experiment(
    fact="The words are known of endpoints only: Cannot create already existing … [I].",
)
def duplicate_creation(stage: Stage) -> Answer:
    """How is a second creation under the same name answered, by the state of the first?"""
    attempt = stage.account.attempt
    request = stage.creation("twice")
    stage.written(_CREATE, **request)
    fields: dict[str, Any] = {"while_creating": attempt("sagemaker", _CREATE, **request)}
    stage.in_service(request["InferenceComponentName"])
    fields["in_service"] = attempt("sagemaker", _CREATE, **request)
    failing = stage.creation("failing", "missing")
    stage.written(_CREATE, **failing)
    stage.settled(failing["InferenceComponentName"])
    described = stage.described(failing["InferenceComponentName"])
    return Answer(
        fields={
            **fields,
            "status_without_archive": described["InferenceComponentStatus"],
            "reason_without_archive": described.get("FailureReason"),
            "while_failed": attempt("sagemaker", _CREATE, **failing),
            "update_of_failed": attempt(
                "sagemaker",
                _UPDATE,
                InferenceComponentName=failing["InferenceComponentName"],
                Specification={"Container": {"ArtifactUrl": stage.archive(ONE)}},
            ),
        }
    )


@experiment(
    fact="Cannot update or delete … while it is in state CREATE_IN_PROGRESS [T].",
)
def writes_in_transition(stage: Stage) -> Answer:
    """How is a write on a component in transition refused?"""
    attempt = stage.account.attempt
    request = stage.creation("changing")
    name = request["InferenceComponentName"]
    update = {
        "InferenceComponentName": name,
        "Specification": {"Container": {"ArtifactUrl": stage.archive(TWO)}},
    }
    stage.written(_CREATE, **request)
    fields = {
        "update_while_creating": attempt("sagemaker", _UPDATE, **update),
        "delete_while_creating": attempt("sagemaker", _DELETE, InferenceComponentName=name),
    }
    stage.in_service(name)
    stage.written(_UPDATE, **update)
    fields["update_while_updating"] = attempt("sagemaker", _UPDATE, **update)
    fields["delete_while_updating"] = attempt("sagemaker", _DELETE, InferenceComponentName=name)
    stage.in_service(name)
    stage.written(_DELETE, InferenceComponentName=name)
    fields["update_while_deleting"] = attempt("sagemaker", _UPDATE, **update)
    stage.gone(name)
    return Answer(fields=fields)


@experiment(
    fact="VariantName is forbidden [V Terraform], and AWS's SDK v2 sends it [tried]; CopyCount 0 is refused"
    " [T], and MinInstanceCount 0 in one region [T].",
    follows={
        "variant_name": ("adapter_with_base_members",),
        "runtime_config": ("adapter_with_base_members",),
        "no_instances": ("scale_to_zero",),
    },
)
def arguments(stage: Stage) -> Answer:
    """What may an adapter have beside base and archive, and may a base or a variant begin with nothing?"""
    attempt = stage.account.attempt
    fields: dict[str, Any] = {}
    added: dict[str, dict[str, Any]] = {
        "variant_name": {"VariantName": VARIANT},
        "runtime_config": {"RuntimeConfig": {"CopyCount": 1}},
        "compute": {"Specification": {"ComputeResourceRequirements": {"MinMemoryRequiredInMb": 1024}}},
    }
    for what, members in added.items():
        request = stage.creation(f"with-{what.replace('_', '-')}")
        specification = {**request["Specification"], **members.get("Specification", {})}
        fields[what] = attempt("sagemaker", _CREATE, **request | members | {"Specification": specification})
        if fields[what] == "accepted":
            stage.settled(request["InferenceComponentName"])
    adapter = stage.name("ref-two")
    fields["copies_of_adapter"] = attempt(
        "sagemaker",
        "update_inference_component_runtime_config",
        InferenceComponentName=adapter,
        DesiredRuntimeConfig={"CopyCount": 1},
    )
    name = stage.name("none-base")
    stage.components.add(name)
    fields["base_without_copies"] = attempt(
        "sagemaker",
        _CREATE,
        InferenceComponentName=name,
        EndpointName=stage.endpoint,
        VariantName=VARIANT,
        Specification=stage.base_specification(),
        RuntimeConfig={"CopyCount": 0},
        Tags=stage.tags,
    )
    stage.settled(name)
    # A configuration costs nothing, and no endpoint is made of it.
    fields["no_instances"] = attempt(
        "sagemaker",
        "create_endpoint_config",
        EndpointConfigName=stage.name("no-instances"),
        ExecutionRoleArn=stage.role_arn,
        ProductionVariants=[stage.variant(least_instances=0)],
        Tags=stage.tags,
    )
    told = {fields["variant_name"] == "accepted", fields["runtime_config"] == "accepted"}
    base_members = {True: "ignored", False: "refused"}
    return Answer(
        fields=fields,
        settings={
            "adapter_with_base_members": [base_members[one] for one in told] if len(told) == 1 else [],
            "scale_to_zero": ["accepted" if fields["no_instances"] == "accepted" else "refused"],
        },
    )


@experiment(
    fact="ThrottlingException, Rate exceeded [V similar calls]; the rates are not published.",
    follows={"reads": ("read_rate",), "writes": ("write_rate",)},
)
def throttling(stage: Stage) -> Answer:
    """Are many calls in a short time refused, and in which words?"""
    name = stage.name("ref-two")
    arn = stage.described(name)["InferenceComponentArn"]
    reads = _burst(stage, _MOST_READS, "describe_inference_component", InferenceComponentName=name)
    # A write that changes nothing: the tags are there already.
    writes = _burst(stage, _MOST_WRITES, "add_tags", ResourceArn=arn, Tags=stage.tags)
    return Answer(
        fields={"reads": reads[0], "writes": writes[0]},
        settings={"read_rate": number(reads[0] != []), "write_rate": number(writes[0] != [])},
        measured={"reads_a_second": reads[1], "writes_a_second": writes[1]},
    )


def _burst(stage: Stage, most: int, operation: str, **request: Any) -> tuple[list[str], float]:
    """Call as fast as one may, until one is refused; return the refusals, and the calls a second before."""
    began = time.monotonic()
    refusals: list[str] = []
    done = 0

    def call(_: int) -> None:
        nonlocal done
        if refusals:
            return
        answer = stage.account.attempt("sagemaker", operation, patient=False, **request)
        if answer != "accepted":
            refusals.append(answer)
        done += 1

    with ThreadPoolExecutor(_BURST_THREADS) as pool:
        list(pool.map(call, range(most)))
    return sorted(set(refusals)), done / (time.monotonic() - began)

"""An adapter is updated while clients keep calling it, every other adapter and the base.

An engine may reuse attention by the adapter's name. With prefix caching off, as the product's containers have
it by default, no answer is ever a mixture of two versions. `make nightly` gives 10,000 answers over 50
updates; the suite gives fewer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import V1, V2, ByHand, changed_settings, prompts, repeated, until
from tests.nightly import NIGHTLY, long
from tests.profiles import PROFILE

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1200)]

UPDATED, NEXT = "summary", "summary-v2"
LABELS = ("base", "triage", UPDATED, "shout")
ANSWERS = {
    version: {prompt["prompt"]: prompt["answers"][version] for prompt in prompts()}
    for version in (*LABELS, NEXT)
}
FEW = (120, 3)
MANY = (10_000, 50) if NIGHTLY else FEW
CLIENTS = 8
# Under `hostile`, an updated adapter would answer from its predecessor's cache; the constructs switch it off.
PREFIX_CACHING_OFF = {"OPTION_ENABLE_PREFIX_CACHING": "--no-enable-prefix-caching"}
# No source gives the times, and these decide only how long the test takes.
QUICK = {"component_update_seconds": 0.1, "update_gap_seconds": 0.05}


@dataclass
class Caller:
    """Calls a component, and judges each answer.

    versions:
        Those that may answer.
    answered:
        The versions that answered, in the order of the answers; None for an answer of none of them.
    """

    endpoint: ByHand
    component: str
    versions: Sequence[str]
    answered: list[str | None] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def call(self) -> None:
        asked = [prompt["prompt"] for prompt in prompts()]
        prompt = asked[len(self.answered) % len(asked)]
        try:
            answer = self.endpoint.ask(self.component, prompt)
        except ClientError as error:
            self.failed.append(str(error))
            return
        says = (version for version in self.versions if ANSWERS[version][prompt] == answer)
        self.answered.append(next(says, None))


def wait_for_answers(callers: Sequence[Caller], count: int) -> None:
    """Wait until these callers have so many answers, however slow the machine is."""
    until(
        lambda: sum(len(caller.answered) for caller in callers) >= count, f"{count} answers came", seconds=600
    )


@pytest.fixture(scope="module")
def seen(cloud: LocalCloud) -> Mapping[str, Caller]:
    """What became of the calls to all while one was updated."""
    with ByHand(cloud, **PREFIX_CACHING_OFF) as made:
        callers = {
            label: Caller(
                made,
                made.base if label == "base" else made.adapter(label),
                (label, NEXT) if label == UPDATED else (label,),
            )
            for label in LABELS
        }
        with repeated(*(caller.call for caller in callers.values()), seconds=0.15):
            for caller in callers.values():
                wait_for_answers([caller], 6)
            made.update(callers[UPDATED].component, V2 / UPDATED)
            for caller in callers.values():
                wait_for_answers([caller], len(caller.answered) + 6)
    return callers


def test_updated_adapter_changes_its_answers_and_the_others_do_not(seen: Mapping[str, Caller]) -> None:
    assert {label: list(dict.fromkeys(caller.answered)) for label, caller in seen.items()} == {
        label: [UPDATED, NEXT] if label == UPDATED else [label] for label in LABELS
    }
    # No request to an unchanged component fails.
    assert [caller.failed for label, caller in seen.items() if label != UPDATED] == [[], [], []]


def test_updated_adapter_has_a_gap_only_where_the_service_makes_one(seen: Mapping[str, Caller]) -> None:
    assert bool(seen[UPDATED].failed) == (PROFILE == "hostile")


def mixed_answers(cloud: LocalCloud, answers_and_updates: tuple[int, int], **environment: str) -> int:
    """Update one adapter again and again while clients ask it; return how many answers mix two versions."""
    answers, updates = answers_and_updates
    # A copy has the prefix cache of the moment of its start. All else that is hostile begins afterwards.
    with (
        changed_settings(cloud, prefix_cache="by_name", update_path="same"),
        ByHand(cloud, **environment) as endpoint,
    ):
        component = endpoint.adapter("updated", V1 / UPDATED)
        callers = [Caller(endpoint, component, (UPDATED, NEXT)) for _ in range(CLIENTS)]
        calling = repeated(*(caller.call for caller in callers))
        with changed_settings(cloud, profile="hostile", **QUICK), calling:
            for update in range(updates):
                wait_for_answers(callers, (update + 1) * answers // (updates + 1))
                endpoint.update(component, (V1 if update % 2 else V2) / UPDATED)
            wait_for_answers(callers, answers)
    return sum(caller.answered.count(None) for caller in callers)


# The variables that the product's containers set by default: LMI up to 26, and the vLLM image.
@pytest.mark.parametrize(
    "variables",
    [
        PREFIX_CACHING_OFF,
        pytest.param(
            {
                "SM_VLLM_ENABLE_LORA": "true",
                "SM_VLLM_NO_ENABLE_PREFIX_CACHING": "true",
                "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "true",
            },
            marks=long,
        ),
    ],
    ids=["lmi", "vllm"],
)
def test_no_answer_mixes_two_versions_with_prefix_caching_off(
    cloud: LocalCloud, variables: dict[str, str]
) -> None:
    assert mixed_answers(cloud, MANY, **variables) == 0


@long
def test_answers_mix_two_versions_with_prefix_caching_on(cloud: LocalCloud) -> None:
    assert mixed_answers(cloud, FEW) > 0

"""An adapter is updated while a client keeps calling the base and every adapter."""

from __future__ import annotations

import pytest

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import V2, ByHand, prompts
from tests.integration.traffic import Record, Traffic
from tests.profiles import PROFILE

pytestmark = pytest.mark.integration

UPDATED = "summary"
LABELS = ("base", "triage", UPDATED, "shout")
# Under `hostile`, an updated adapter would answer from its predecessor's cache; the constructs switch it off.
PREFIX_CACHING_OFF = {"OPTION_ENABLE_PREFIX_CACHING": "--no-enable-prefix-caching"}


@pytest.fixture(scope="module")
def seen(cloud: LocalCloud) -> dict[str, Record]:
    """What became of the calls to all adapters while one was updated."""
    answers = {
        version: {prompt["prompt"]: prompt["answers"][version] for prompt in prompts()}
        for version in (*LABELS, "summary-v2")
    }
    with ByHand(cloud, **PREFIX_CACHING_OFF) as made:
        targets = {label: made.base if label == "base" else made.adapter(label) for label in LABELS}
        traffic = Traffic(
            made.ask,
            targets=targets,
            expected={
                label: {
                    version: answers[version]
                    for version in ((UPDATED, "summary-v2") if label == UPDATED else (label,))
                }
                for label in LABELS
            },
            rate=6,
        )
        with traffic:
            traffic.wait_for_calls(6)
            made.update(targets[UPDATED], V2 / UPDATED)
            traffic.wait_for_calls(6)
        return {label: traffic.record(label) for label in LABELS}


def test_no_answer_is_ever_of_another_adapter(seen: dict[str, Record]) -> None:
    assert {label: record.wrong for label, record in seen.items()} == {label: [] for label in LABELS}


def test_no_request_to_an_unchanged_component_fails(seen: dict[str, Record]) -> None:
    assert {label: record.failed for label, record in seen.items() if label != UPDATED} == {
        label: [] for label in LABELS if label != UPDATED
    }


def test_updated_adapter_changes_its_answers_and_the_others_do_not(seen: dict[str, Record]) -> None:
    assert {label: record.versions for label, record in seen.items()} == {
        label: [UPDATED, "summary-v2"] if label == UPDATED else [label] for label in LABELS
    }


def test_updated_adapter_has_a_gap_only_where_the_service_makes_one(seen: dict[str, Record]) -> None:
    assert (seen[UPDATED].gap > 0) == (PROFILE == "hostile")

"""An adapter is updated while clients keep calling the base and every adapter."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.integration.by_hand import V2, ByHand, prompts
from tests.profiles import PROFILE

pytestmark = pytest.mark.integration

UPDATED = "summary"
LABELS = ("base", "triage", UPDATED, "shout")
PAUSE_SECONDS = 0.15
# Under `hostile`, an updated adapter would answer from its predecessor's cache; the constructs switch it off.
PREFIX_CACHING_OFF = {"OPTION_ENABLE_PREFIX_CACHING": "--no-enable-prefix-caching"}


@dataclass
class Caller:
    """Calls a component again and again, and judges each answer.

    versions:
        Those that may answer, with their answers by prompt.
    answered:
        The versions that answered, in the order of the answers; None for an answer of none of them.
    """

    endpoint: ByHand
    component: str
    versions: Mapping[str, Mapping[str, str]]
    answered: list[str | None] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    def call_until(self, stop: threading.Event) -> None:
        asked = [prompt["prompt"] for prompt in prompts()]
        while not stop.wait(PAUSE_SECONDS):
            prompt = asked[len(self.answered) % len(asked)]
            try:
                answer = self.endpoint.ask(self.component, prompt)
            except ClientError as error:
                self.failed.append(str(error))
                continue
            says = (version for version, answers in self.versions.items() if answers[prompt] == answer)
            self.answered.append(next(says, None))

    def wait_for_answers(self, count: int) -> None:
        """Wait for so many further answers, however slow the machine is."""
        wanted, deadline = len(self.answered) + count, time.monotonic() + 120
        while len(self.answered) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture(scope="module")
def seen(cloud: LocalCloud) -> dict[str, Caller]:
    """What became of the calls to all while one was updated."""
    answers = {
        version: {prompt["prompt"]: prompt["answers"][version] for prompt in prompts()}
        for version in (*LABELS, "summary-v2")
    }
    stop = threading.Event()
    with ByHand(cloud, **PREFIX_CACHING_OFF) as made:
        callers = {}
        for label in LABELS:
            versions = (label, "summary-v2") if label == UPDATED else (label,)
            component = made.base if label == "base" else made.adapter(label)
            callers[label] = Caller(made, component, {version: answers[version] for version in versions})
        threads = [threading.Thread(target=one.call_until, args=(stop,)) for one in callers.values()]
        for thread in threads:
            thread.start()
        try:
            for caller in callers.values():
                caller.wait_for_answers(6)
            made.update(callers[UPDATED].component, V2 / UPDATED)
            for caller in callers.values():
                caller.wait_for_answers(6)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    return callers


def test_updated_adapter_changes_its_answers_and_the_others_do_not(seen: dict[str, Caller]) -> None:
    assert {label: list(dict.fromkeys(caller.answered)) for label, caller in seen.items()} == {
        label: [UPDATED, "summary-v2"] if label == UPDATED else [label] for label in LABELS
    }


def test_no_request_to_an_unchanged_component_fails(seen: dict[str, Caller]) -> None:
    assert [caller.failed for label, caller in seen.items() if label != UPDATED] == [[], [], []]


def test_updated_adapter_has_a_gap_only_where_the_service_makes_one(seen: dict[str, Caller]) -> None:
    assert bool(seen[UPDATED].failed) == (PROFILE == "hostile")

"""Who answers on the embedded cloud: asked once and for all, and over and over during a deployment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from adapter_rules.archives.packing import identity_of
from local_sagemaker.server import LocalCloud
from tests.evolutions.answers import Answers, prompts
from tests.integration.by_hand import ask
from tests.local.model_server.tickets import ADAPTERS

BASE = "base"
"""The label of a base component."""
_AT_ONCE = 4
_PAUSE_SECONDS = 0.2
_LOOK_SECONDS = 0.5
_PATIENT = Config(retries={"mode": "standard", "total_max_attempts": 10})
"""Calls again while SageMaker throttles, as the profile `hostile` does."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What has to answer once a deployment has ended.

    components:
        Labels by component, the base component's included: all that there is in the account.
    answers:
        What each label answers.
    copies:
        Copies of the base model, each of which answers for all.
    """

    endpoint: str
    components: Mapping[str, str]
    answers: Answers
    copies: int

    @property
    def base(self) -> str:
        """The name of the base component."""
        return next(name for name, label in self.components.items() if label == BASE)


class Witness:
    """Asks components, and finds what is not as expected."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._sagemaker: Any = cloud.client("sagemaker", config=_PATIENT)
        self.cloud = cloud
        self.seen: set[str] = set()
        """The names of all components that were ever expected."""

    def wrong(self, expected: Expected) -> dict[str, str]:
        """Return everything that is not as expected, by component or by what it is."""
        self.seen |= expected.components.keys()
        return {
            **self._wrong_resources(expected),
            **self._wrong_components(expected),
            **self._wrong_answers(expected),
        }

    def _wrong_resources(self, expected: Expected) -> dict[str, str]:
        compared: dict[str, tuple[Any, Any]] = {"endpoints": (self.endpoints(), [expected.endpoint])}
        base = self._described(expected.base)
        if base is not None:
            copies = base["RuntimeConfig"]
            compared |= {
                "desired copies": (copies["DesiredCopyCount"], expected.copies),
                "copies": (copies["CurrentCopyCount"], expected.copies),
            }
        return {
            what: f"should be {wanted!r}, is {found!r}"
            for what, (found, wanted) in compared.items()
            if found != wanted
        }

    def _wrong_components(self, expected: Expected) -> dict[str, str]:
        """Compare what there is and which version it has; a listing may lag behind."""
        page = self._sagemaker.list_inference_components(MaxResults=100)
        listed = {item["InferenceComponentName"] for item in page["InferenceComponents"]}
        found = {}
        for name in sorted(listed | self.seen | expected.components.keys()):
            described, label = self._described(name), expected.components.get(name)
            if described is None and label is not None:
                found[name] = f"should be there, as {label}"
            elif described is not None and label is None:
                found[name] = "should not be there"
            elif described is not None and label is not None:
                status = described["InferenceComponentStatus"]
                version = "" if label == BASE else identity_of(ADAPTERS[label])
                url = described["Specification"].get("Container", {}).get("ArtifactUrl", "")
                if status != "InService":
                    found[name] = f"is {status}"
                elif version not in url:
                    found[name] = f"should have {label}, whose version is {version[:12]}, has {url}"
        return found

    def _described(self, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._sagemaker.describe_inference_component(InferenceComponentName=name)
        except ClientError as error:
            if "Could not find" not in str(error):
                raise
            return None
        return found

    def _wrong_answers(self, expected: Expected) -> dict[str, str]:
        # Requests go to the copies by turns.
        times = 1 if expected.copies == 1 else 2 * expected.copies
        asked = [
            (name, label, at)
            for name, label in expected.components.items()
            for at in range(len(prompts()))
            for _ in range(times)
        ]

        def judge(question: tuple[str, str, int]) -> str | None:
            name, label, at = question
            try:
                answer = ask(self.cloud, expected.endpoint, name, prompts()[at])
            except ClientError as error:
                return str(error)
            return None if answer == expected.answers[label][at] else f"answers {answer!r}"

        with ThreadPoolExecutor(_AT_ONCE) as executor:
            judged = zip(asked, executor.map(judge, asked), strict=True)
        found = {name: what for (name, _, _), what in judged if what is not None}
        for name in sorted(self.seen - expected.components.keys()):
            try:
                found[name] = (
                    f"should not answer, answers {ask(self.cloud, expected.endpoint, name, prompts()[0])!r}"
                )
            except ClientError:
                continue
        return found

    def endpoints(self) -> list[str]:
        """Return the names of all endpoints."""
        listed = self._sagemaker.list_endpoints()
        return [item["EndpointName"] for item in listed["Endpoints"]]


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is watched: the base or one adapter, under the names that it has before and after.

    names:
        Those that are known by now: the names after a deployment are known once it is synthesized.
    answers:
        What it may answer to the first prompt.
    """

    names: Callable[[], Iterable[str]]
    answers: Collection[str]


class Watch:
    """Asks every target again and again from entering to leaving the context.

    A target is away while none of its names is answered on any endpoint.
    """

    def __init__(self, witness: Witness, targets: Mapping[str, Target]) -> None:
        self._witness, self._targets = witness, targets
        self._stop = threading.Event()
        self._endpoints: Sequence[str] = ()
        self._threads = [
            threading.Thread(target=self._look, daemon=True),
            *(threading.Thread(target=self._watch, args=(key,), daemon=True) for key in targets),
        ]
        self.away: set[str] = set()
        self.wrong: list[str] = []
        """Answers that no version gives."""

    def __enter__(self) -> Watch:
        self._endpoints = self._witness.endpoints()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _look(self) -> None:
        """Keep the list of endpoints, seldom, as reads are throttled."""
        while not self._stop.wait(_LOOK_SECONDS):
            self._endpoints = self._witness.endpoints()

    def _watch(self, key: str) -> None:
        while not self._stop.is_set():
            if not self._answers(key):
                self.away.add(key)
            self._stop.wait(_PAUSE_SECONDS)

    def _answers(self, key: str) -> bool:
        target = self._targets[key]
        for endpoint in self._endpoints:
            for name in target.names():
                try:
                    answer = ask(self._witness.cloud, endpoint, name, prompts()[0])
                except ClientError:
                    continue
                if answer not in target.answers:
                    self.wrong.append(f"{key} as {name} answers {answer!r}")
                return True
        return False

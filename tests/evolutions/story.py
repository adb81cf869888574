"""One app on one embedded cloud, from deployment to deployment."""

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from local_sagemaker.server import LocalCloud
from tests.evolutions.answers import another_base, answers_on
from tests.evolutions.declared import Declared, EvolvingStack
from tests.evolutions.evolutions import Effect, Effects
from tests.evolutions.witness import BASE, Expected, Target, Watch, Witness
from tests.integration.fleet_stack import Deployment, check_for_drift

_NOT_REGISTERED = re.compile(r"\(404\).*is not registered")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one deployment.

    wrong:
        What is not as expected once it has ended, except for those that are lost.
    lost:
        What is in service and does not answer, or does not on every copy.
    away:
        What did not answer for a while meanwhile.
    renamed:
        What has another name than before.
    wrong_answers:
        Answers meanwhile that neither version gives.
    writes:
        Calls that changed components, by operation.
    """

    deployment: Deployment
    wrong: Mapping[str, str]
    lost: frozenset[str]
    away: frozenset[str]
    renamed: frozenset[str]
    wrong_answers: list[str]
    writes: Mapping[str, int]

    @property
    def effects(self) -> Effects:
        """The worst that was seen of each kind."""
        return Effects(**{kind: self._effect(kind) for kind in ("base", "native", "fleet")})

    def _effect(self, kind: str) -> Effect:
        def of_kind(found: Iterable[str]) -> bool:
            return any(what.partition(" ")[0] == kind for what in found)

        if of_kind(self.lost):
            return Effect.LOST
        if of_kind(self.away):
            return Effect.AWAY_RENAMED if of_kind(self.renamed) else Effect.AWAY
        return Effect.RENAMED if of_kind(self.renamed) else Effect.NONE


class Story:
    """The deployed app and what it declares now."""

    def __init__(self, cloud: LocalCloud, folder: Path) -> None:
        self.cloud, self._folder = cloud, folder
        self.other_base: Path = another_base(folder)
        self._keys = itertools.count(1)
        self.witness = Witness(cloud)
        self.declared = Declared()
        self.stack = EvolvingStack(cloud, folder)
        self.outputs: Mapping[str, str] = {}
        self.names: Mapping[str, str] = {}
        self.sound = False
        """False from the start of a deployment until all is seen to be as expected."""

    def make_sound(self) -> None:
        """Deploy the app anew, if it is not there as it should be."""
        if self.sound:
            return
        if self.outputs:
            self.stack.delete().succeeded()
            self.stack = EvolvingStack(self.cloud, self._folder)
            self.declared = replace(self.declared, fleet_uid=None, moved_to=None)
        self._take(self.stack.deploy(self.declared).succeeded())
        assert self.wrong() == {}
        self.sound = True

    @property
    def fleet_uid(self) -> str:
        """The identifier of the fleet."""
        return self.outputs[f"{self.declared.fleet}Uid"]

    def send_natives_again(self) -> Outcome:
        """Deploy the native adapters from another key, as the guide says for those that are lost."""
        return self.deploy(replace(self.declared, native_key=f"copy-{next(self._keys)}"))

    def deploy(self, after: Declared, *, fails: str | None = None) -> Outcome:
        """Deploy another state of the app. If it fails somewhere, the app is to be as before."""
        self.sound = False
        before, names_before = self.declared, self.names
        labels = {**self._labels(before), **self._labels(after)}
        targets = {
            what: Target(
                # Callers learn of new names once the deployment has succeeded.
                names=lambda what=what: {  # type: ignore[misc]
                    names[what]
                    for names in (names_before, *([] if fails else [self.stack.names]))
                    if what in names
                },
                answers={answers_on(declared.base)[label][0] for declared in (before, after)},
            )
            for what, label in labels.items()
        }
        self.cloud.admin.reset_calls()
        with Watch(self.witness, targets) as watch:
            deployment = self.stack.deploy(after, fails=fails)
        writes = {
            operation: count
            for operation, count in self.cloud.admin.writes().items()
            if operation.endswith("InferenceComponent")
        }
        if deployment.status == "UPDATE_COMPLETE":
            self.declared = after
            self._take(deployment)
        wrong = self.wrong()
        lost = {
            what: name for what, name in self.names.items() if _NOT_REGISTERED.search(wrong.get(name, ""))
        }
        return Outcome(
            deployment=deployment,
            wrong={name: problem for name, problem in wrong.items() if name not in lost.values()},
            lost=frozenset(lost),
            away=frozenset(watch.away),
            renamed=frozenset(
                what for what in self.names if self.names[what] != names_before.get(what, self.names[what])
            ),
            wrong_answers=watch.wrong,
            writes=writes,
        )

    def wrong(self) -> dict[str, str]:
        """Return what is not as it is declared now."""
        return self.witness.wrong(self._expected(self.declared, self.names))

    def check_for_drift(self) -> None:
        """Run the fleet's drift check."""
        check_for_drift(self.cloud, self.outputs[f"{self.declared.fleet}Machine"])

    def _take(self, deployment: Deployment) -> None:
        self.outputs, self.names = deployment.outputs, dict(self.stack.names)

    def _labels(self, declared: Declared) -> dict[str, str]:
        """Return the labels of everything that answers, by what it is."""
        return {
            "base": BASE,
            **{f"native {label}": label for label in declared.natives.values()},
            **{f"fleet {name}": label for name, label in declared.adapters.items()},
        }

    def _expected(self, declared: Declared, names: Mapping[str, str]) -> Expected:
        return Expected(
            endpoint=self.outputs["EndpointName"],
            components={names[what]: label for what, label in self._labels(declared).items()},
            answers=answers_on(declared.base),
            copies=declared.copies,
        )

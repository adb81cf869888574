"""One stage for all questions: on the embedded cloud, or with ACCOUNT=1 in the account of the environment."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import PROFILES, Settings
from tests.aws.stage import ROOT, Stage
from tests.profiles import PROFILE

IN_ACCOUNT = os.environ.get("ACCOUNT") == "1"
CONTAINER = os.environ.get("CONTAINER", "lmi")
# With it the embedded cloud publishes metrics every second.
QUICK = {"time_scale": 0.02}


@dataclass(kw_only=True)
class Answers:
    """The answers of a run, in a file; the embedded cloud's have to be those of its settings.

    settings:
        Those of the embedded cloud; None for AWS, whose answers nobody knows.
    """

    path: Path
    settings: Settings | None
    told: dict[str, dict[str, Any]] = field(default_factory=dict)

    def tell(self, name: str, question: str, seen: dict[str, Any], settings: dict[str, Any]) -> None:
        """Record what was seen, and the outcome of each setting, None where it tells nothing."""
        self.told[name] = {"question": question, "seen": seen, "settings": settings}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(json.dumps(self.told, indent=2, default=str, ensure_ascii=False) + "\n")
        if self.settings is None:
            return
        for setting, value in settings.items():
            expected = getattr(self.settings, setting)
            # Of a number an answer says only whether it is above zero.
            assert value in (None, bool(expected) if isinstance(value, bool) else expected), setting


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The stage, which is taken away at the end."""
    out: Path = tmp_path_factory.mktemp("stage")
    with ExitStack() as stack:
        if IN_ACCOUNT:
            made = Stage(
                variables=os.environ, container=CONTAINER, out=out, poll_seconds=5, patience_seconds=300
            )
        else:
            cloud = stack.enter_context(LocalCloud(profile=PROFILE, settings=QUICK))
            made = Stage(
                variables=cloud.environment,
                container=CONTAINER,
                out=out,
                poll_seconds=0.1,
                patience_seconds=4,
            )
            made.bootstrap()
        # Also where the deployment fails: what it leaves costs money.
        stack.callback(made.destroy)
        made.deploy()
        made.learn()
        yield made


@pytest.fixture(scope="session")
def answers() -> Answers:
    """The file of this run's answers."""
    place = "aws" if IN_ACCOUNT else PROFILE
    return Answers(
        path=ROOT / "build" / "answers" / f"{place}-{CONTAINER}.json",
        settings=None if IN_ACCOUNT else PROFILES[PROFILE],
    )


@pytest.fixture
def tell(request: pytest.FixtureRequest, answers: Answers) -> Callable[..., None]:
    """Record the answer to the question that is the test's docstring."""

    def record(*, settings: dict[str, Any] | None = None, **seen: Any) -> None:
        question = " ".join((request.function.__doc__ or "").split())
        answers.tell(request.node.name, question, seen, settings or {})

    return record

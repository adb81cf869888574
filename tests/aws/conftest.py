"""One stage for all questions: on the embedded cloud, or with ACCOUNT=1 in the account of the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import PROFILES
from tests.aws.answers import Answers
from tests.aws.stage import ROOT, Stage
from tests.profiles import PROFILE

IN_ACCOUNT = os.environ.get("ACCOUNT") == "1"
CONTAINER = os.environ.get("CONTAINER", "lmi")
# With it the embedded cloud publishes metrics every second.
QUICK = {"time_scale": 0.02}


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

"""What the tests of evolutions share: an embedded cloud for each profile, and the app on it."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import Profile
from tests.evolutions.evolutions import EVOLUTIONS
from tests.evolutions.record import DONE, write
from tests.evolutions.story import Outcome, Story

PROFILES = ("kind", "hostile")
Outcomes = dict[tuple[str, str], dict[str, Outcome]]


@pytest.fixture(scope="session")
def outcomes(request: pytest.FixtureRequest) -> Iterator[Outcomes]:
    """What every deployment came to; written into the guide if `RECORD` is set and all went well."""
    found: Outcomes = defaultdict(dict)
    started = time.monotonic()
    yield found
    complete = sum(DONE in seen for seen in found.values()) == len(EVOLUTIONS) * len(PROFILES)
    if "RECORD" in os.environ and complete and not request.session.testsfailed:
        deployments = sum(len(seen) for seen in found.values())
        write(
            found, result=f"{deployments} deployments in {time.monotonic() - started:.0f} s, all as expected"
        )


@pytest.fixture(scope="session", params=PROFILES)
def profile(request: pytest.FixtureRequest) -> Profile:
    chosen: Profile = request.param
    return chosen


@pytest.fixture(scope="session")
def deployed(profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with LocalCloud(profile=profile) as cloud:
        cloud.admin.scale_waits(0.1)
        yield Story(cloud, tmp_path_factory.mktemp(profile))


@pytest.fixture
def story(deployed: Story) -> Story:
    """The app, as it is declared: what another test left otherwise is deployed anew."""
    deployed.make_sound()
    return deployed

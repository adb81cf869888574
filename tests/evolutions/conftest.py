"""What the tests of evolutions share: an embedded cloud for each profile, and the app on it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import Profile
from tests.evolutions.story import Story

PROFILES = ("kind", "hostile")


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

"""A deployed app evolves step by step, and who should answer is asked after each deployment."""

from collections.abc import Iterator

import pytest

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import Profile
from tests.evolutions.declared import EARLY, LATE
from tests.evolutions.evolutions import EVOLUTIONS, NOTHING, Effect, Effects, Evolution
from tests.evolutions.story import Outcome, Story

pytestmark = pytest.mark.slow

PROFILES = ("kind", "hostile")
KINDS = ("base", "native", "fleet")


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


@pytest.fixture(scope="module", params=EVOLUTIONS, ids=lambda evolution: evolution.name.replace(" ", "-"))
def evolution(request: pytest.FixtureRequest) -> Evolution:
    found: Evolution = request.param
    return found


@pytest.mark.parametrize("where", [EARLY, LATE], ids=["early", "late"])
def test_failure_leaves_everything_as_it_was(
    story: Story, evolution: Evolution, profile: str, where: str
) -> None:
    expected = evolution.expected(profile)
    if expected.refused is not None and where == LATE:
        pytest.skip("the base is not updated, so the deployment does not get that far")
    outcome = story.deploy(evolution.change(story.declared, story), fails=where)
    assert outcome.deployment.status == "UPDATE_ROLLBACK_COMPLETE", outcome.deployment.reason
    assert (expected.refused or "no-such-base") in outcome.deployment.reason
    assert_as_expected(outcome, expected.early if where == EARLY else expected.late)
    mend(story, outcome)


def test_evolution_is_what_answers_afterwards(story: Story, evolution: Evolution, profile: str) -> None:
    expected = evolution.expected(profile)
    outcome = story.deploy(evolution.change(story.declared, story))
    status = "UPDATE_COMPLETE" if expected.refused is None else "UPDATE_ROLLBACK_COMPLETE"
    assert outcome.deployment.status == status, outcome.deployment.reason
    assert_as_expected(outcome, expected.done)
    assert not (evolution.writes_nothing and outcome.writes), outcome
    mend(story, outcome)


def assert_as_expected(outcome: Outcome, expected: Effects) -> None:
    """Check that everyone answers as declared, and that nothing happened but the expected effects."""
    assert outcome.wrong == {}
    assert outcome.wrong_answers == []
    for kind in KINDS:
        seen, may_be = getattr(outcome.effects, kind), getattr(expected, kind)
        assert (seen is Effect.LOST) == (may_be is Effect.LOST), f"{kind}: {outcome}"
        assert seen.renames == may_be.renames, f"{kind}: {outcome}"
        assert not seen.interrupts or may_be.interrupts, f"{kind}: {outcome}"


def mend(story: Story, outcome: Outcome) -> None:
    """Do what the guide says for adapters that are lost, and see that all answer."""
    effects = outcome.effects
    if effects.fleet is Effect.LOST:
        story.check_for_drift()
    if effects.native is Effect.LOST:
        assert story.send_natives_again().deployment.status == "UPDATE_COMPLETE"
    if effects != NOTHING:
        assert story.wrong() == {}
    story.sound = True

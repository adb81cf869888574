"""The version: `pyproject.toml` and the changelog agree, and a tag of another one is refused."""

import pytest
from packaging.version import Version

from tests.release.tag import newest_release, problems, project_version


def test_version_is_the_newest_release_or_a_development_version_after_it() -> None:
    version, release = Version(project_version()), Version(newest_release())
    assert version == release or (version.is_devrelease and version > release)


@pytest.mark.parametrize(
    ("tag", "release", "problem"),
    [
        ("v0.3.0", "0.2.0", "the tag should be v0.2.0, got v0.3.0"),
        ("0.2.0", "0.2.0", "the tag should be v0.2.0, got 0.2.0"),
        ("v0.2.0", "0.1.0", "the newest release in CHANGELOG.md should be 0.2.0, got 0.1.0"),
    ],
)
def test_tag_of_another_version_is_refused(tag: str, release: str, problem: str) -> None:
    assert problems(tag, "0.2.0", release) == [problem]

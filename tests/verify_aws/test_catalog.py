"""The experiments ask about every setting of the embedded cloud, and their answers tell its profile."""

from __future__ import annotations

import ast
import dataclasses

import pytest

from local_sagemaker.settings import PROFILES, Profile, Settings
from tests.verify_aws.embedded import (
    CONTAINERS,
    PROFILES_ASKED,
    ROOT,
    SILENT,
    TRANSCRIPTS,
    committed,
    differing_settings,
    unexplained,
)
from verify_aws.experiments.catalog import EXPERIMENTS, NOT_ASKED
from verify_aws.summary import agrees, settings_of, summary
from verify_aws.transcript import Record, differences

SETTINGS = {field.name for field in dataclasses.fields(Settings)}
ASKED = {
    setting
    for container in CONTAINERS
    for outcome in Record.read(committed("kind", container)).outcomes.values()
    for setting in outcome.settings
}
every_transcript = pytest.mark.parametrize(
    ("profile", "container"),
    [(profile, container) for container in CONTAINERS for profile in PROFILES_ASKED],
)


def test_every_setting_is_asked_about_or_left_out_for_a_reason() -> None:
    assert SETTINGS - ASKED - NOT_ASKED.keys() == set()


def test_no_experiment_names_a_setting_that_is_none() -> None:
    followed = {name for one in EXPERIMENTS for names in one.follows.values() for name in names}
    assert (ASKED | followed | NOT_ASKED.keys()) - SETTINGS == set()


def test_no_setting_is_both_asked_about_and_left_out() -> None:
    assert ASKED & NOT_ASKED.keys() == set()


@every_transcript
def test_stored_transcript_has_an_answer_to_every_experiment(profile: Profile, container: str) -> None:
    record = Record.read(committed(profile, container))
    assert list(record.outcomes) == [one.name for one in EXPERIMENTS]
    assert record.header["against"] == f"the embedded cloud, profile {profile}"
    for one in EXPERIMENTS:
        assert one.follows.keys() <= record.outcomes[one.name].fields.keys(), one.name


@every_transcript
def test_stored_answers_tell_the_settings_of_the_profile(profile: Profile, container: str) -> None:
    record = Record.read(committed(profile, container))
    for name in sorted(SETTINGS - NOT_ASKED.keys()):
        values = record.values(name)
        if (container, name) in SILENT:
            assert values is None
        else:
            assert values is not None, name
            assert agrees(values, getattr(PROFILES[profile], name)), (name, values)


@pytest.mark.parametrize("container", CONTAINERS)
def test_stored_transcripts_differ_exactly_where_the_profiles_do(container: str) -> None:
    kind, hostile = (Record.read(committed(profile, container)) for profile in PROFILES_ASKED)
    assert unexplained(differences(kind, hostile)) == []
    told = {name for name in SETTINGS if kind.values(name) != hostile.values(name)}
    expected = differing_settings(PROFILES["kind"], PROFILES["hostile"])
    assert told == {name for name in expected if (container, name) not in SILENT}


def test_profile_kind_is_what_its_own_answers_ask_for() -> None:
    assert settings_of(Record.read(committed("kind", "lmi"))) == {}


def test_answers_of_the_other_profile_ask_for_its_settings() -> None:
    wanted = settings_of(Record.read(committed("hostile", "lmi")))
    expected = differing_settings(PROFILES["kind"], PROFILES["hostile"])
    assert wanted == {name: getattr(PROFILES["hostile"], name) for name in expected}


def test_summary_says_what_to_change() -> None:
    text = summary(Record.read(committed("hostile", "lmi")))
    assert "| `base_delete` | `refuse` | `cascade` | **change `kind`: `refuse`** |" in text
    assert "| `adapter_load` | `base` | `base` | confirmed |" in text
    for one in EXPERIMENTS:
        assert f"### {one.question}" in text


def test_page_says_whether_there_is_a_transcript_of_aws() -> None:
    page = (ROOT / "docs" / "guides" / "verify-aws.md").read_text()
    there_is_none = "There is no transcript of AWS yet" in page
    assert there_is_none == (list(TRANSCRIPTS.glob("aws-*.jsonl")) == [])


def test_only_the_summary_knows_of_the_embedded_cloud() -> None:
    importers = set()
    for path in (ROOT / "verify_aws").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("local_sagemaker"):
                importers.add((path.name, node.module))
    assert importers == {("summary.py", "local_sagemaker.settings")}

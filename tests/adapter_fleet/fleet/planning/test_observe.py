"""What a listing, a describe and tags mean for the record of a component."""

from dataclasses import replace

import pytest
from hypothesis import given

from adapter_fleet.common.naming import FLEET_TAG
from adapter_fleet.fleet.planning.observe import (
    known_foreign,
    merge_listing,
    next_tag_reading,
    with_description,
    with_known_spellings,
    with_tags,
)
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.configuration import LATE_TAGS_SECONDS
from adapter_fleet.fleet.state.records import AdapterRecord, Intent, Recheck, Write
from tests.adapter_fleet.fleet.planning.states import NAME, NOW, lives, records


@pytest.mark.slow
@given(records, lives)
def test_older_listing_changes_nothing_that_is_known(
    record: AdapterRecord, listed: ObservedComponent
) -> None:
    live = record.live
    seen = merge_listing({NAME: record}, {NAME: listed}, base="base")[NAME]
    if live is not None and (listed.created, listed.modified) < (live.created, live.modified):
        assert seen == replace(record, live=replace(live, doubtful=False))


LIVE = ObservedComponent(status=Status.IN_SERVICE, created=NOW, modified=NOW, arn="arn")
RECORD = AdapterRecord(name="a", component=NAME, live=LIVE)


def test_listing_with_another_status_of_the_same_second_counts() -> None:
    listed = replace(LIVE, status=Status.UPDATING)
    assert merge_listing({NAME: RECORD}, {NAME: listed}, base="base")[NAME].live == listed


def test_component_without_the_tag_is_foreign_with_the_fleet_that_has_it() -> None:
    record = replace(RECORD, owned=NOW, claimed=3, other_stack="Llm")
    found = with_tags(record, LIVE, {FLEET_TAG: "another"}, uid="fleet", now=NOW)
    assert found == replace(RECORD, other_fleet="another")


def test_component_with_the_tag_alone_is_adopted_with_its_other_tags_and_asked() -> None:
    tags = {FLEET_TAG: "fleet", "team": "x"}
    found = with_tags(replace(RECORD, other_stack="Llm"), LIVE, tags, uid="fleet", now=NOW)
    assert found == replace(RECORD, owned=NOW, adopted=True, tags={"team": "x"}, recheck=Recheck.ASK)


CREATION = Intent(write=Write.CREATE, at=NOW - 1, generation=1)


def test_creation_is_not_adopted_though_its_tags_came_late() -> None:
    early = with_tags(replace(RECORD, intent=CREATION), LIVE, {}, uid="fleet", now=NOW)
    found = with_tags(early, LIVE, {FLEET_TAG: "fleet"}, uid="fleet", now=NOW + 10)
    assert found == replace(RECORD, owned=NOW, intent=CREATION)


@pytest.mark.parametrize(
    ("intent", "tags"),
    [
        (CREATION, {FLEET_TAG: "another"}),
        (replace(CREATION, at=NOW + 60), {}),
        (replace(CREATION, write=Write.UPDATE), {}),
    ],
    ids=["another fleet's", "older than the creation", "an update"],
)
def test_write_in_flight_that_did_not_make_a_foreign_component_ends(
    intent: Intent, tags: dict[str, str]
) -> None:
    found = with_tags(replace(RECORD, intent=intent), LIVE, tags, uid="fleet", now=NOW)
    assert found.intent is None


@pytest.mark.parametrize(
    "record", [replace(RECORD, other_fleet="another"), replace(RECORD, other_stack="Llm")]
)
def test_tags_that_name_another_owner_are_not_read_again(record: AdapterRecord) -> None:
    assert next_tag_reading(record, LIVE, now=NOW) is None


def test_listed_component_has_the_name_that_the_fleet_knows_it_by() -> None:
    listing = {"p-ACME": LIVE, "p-b": LIVE, "Other": LIVE}
    known = {"p-acme", "p-b", "P-B"}
    assert list(with_known_spellings(listing, {}, known)) == ["p-acme", "p-b", "Other"]


def test_spelling_of_a_component_that_the_fleet_has_comes_before_a_declared_one() -> None:
    owned = replace(RECORD, component="p-Acme", owned=NOW)
    seen = with_known_spellings({"p-acme": LIVE}, {"p-Acme": owned}, {"p-Acme", "p-acme"})
    assert list(seen) == ["p-Acme"]


def test_deletion_that_a_listing_shows_ended_is_absent_and_no_other_write_is() -> None:
    for write in (Write.DELETE, Write.UPDATE):
        intent = Intent(write=write, at=NOW - 9, acknowledged=NOW - 8, generation=1)
        seen = merge_listing({NAME: replace(RECORD, intent=intent)}, {}, base="base")[NAME]
        assert seen.absent_at == (NOW - 8 if write is Write.DELETE else None)


def test_component_without_tags_is_known_to_be_foreign_once_they_cannot_come_late_any_more() -> None:
    foreign = {"old": NOW - LATE_TAGS_SECONDS, "young": NOW - LATE_TAGS_SECONDS + 1, "p-known": NOW - 9000}
    assert known_foreign(foreign, {"p-known"}, read_until=NOW) == {"old": NOW - LATE_TAGS_SECONDS}


def test_describe_that_finds_nothing_notes_when_the_component_was_absent() -> None:
    assert with_description(RECORD, None, now=NOW) == replace(RECORD, live=None, absent_at=NOW)
    assert with_description(replace(RECORD, live=None), LIVE, now=NOW) == RECORD

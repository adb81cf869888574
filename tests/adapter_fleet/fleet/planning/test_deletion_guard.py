"""What a generation may delete."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from adapter_fleet.fleet.planning.deletion_guard import count_deletions, refusal
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.records import AdapterRecord
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NOW, TARGET

LIVE = ObservedComponent(status=Status.IN_SERVICE, created=NOW, modified=NOW)


def named(numbers: Iterable[int]) -> list[str]:
    return [f"p-{number}" for number in numbers]


def records_of(numbers: Iterable[int]) -> dict[str, AdapterRecord]:
    """The records of adapters that serve."""
    return {
        name: AdapterRecord(name=name.removeprefix("p-"), component=name, live=LIVE, owned=NOW)
        for name in named(numbers)
    }


def wanting(components: Iterable[str]) -> dict[str, DesiredAdapter]:
    return {
        name: DesiredAdapter(name=name, component=name, artifact=Artifact(uri="s3://b/1.tar.gz"))
        for name in components
    }


@pytest.mark.parametrize(
    ("fleet", "deleted", "setting"),
    [
        (100, 20, None),
        (100, 21, "deletion_guard"),
        (10, 9, None),
        (11, 3, "deletion_guard"),
        (1, 1, "allow_empty"),
    ],
)
def test_deletions_above_the_share_are_refused(fleet: int, deleted: int, setting: str | None) -> None:
    records = records_of(range(fleet))
    reason = refusal(records, wanting(list(records)[deleted:]), TARGET, hour_ago=())
    assert (reason is None) == (setting is None)
    if setting is not None:
        assert reason is not None
        assert setting in reason


class TestWithinAnHour:
    """The manifest of an hour ago has the adapters 0 to 99; the fleet has lost 20 of them since."""

    HOUR_AGO = named(range(100))

    def test_deletions_count_together(self) -> None:
        reason = refusal(
            records_of(range(20, 100)), wanting(named(range(21, 100))), TARGET, hour_ago=self.HOUR_AGO
        )
        assert reason == (
            "within an hour, 21 of 100 adapters would be deleted, and 'deletion_guard' allows 20%;"
            " 'adapters plan FILE' shows which; a higher share lets them be deleted"
        )

    def test_what_came_and_went_does_not_count(self) -> None:
        records = records_of(range(20, 110))
        assert refusal(records, wanting(named(range(20, 100))), TARGET, hour_ago=self.HOUR_AGO) is None

    def test_manifest_that_deletes_none_of_them_is_not_blamed_for_the_others(self) -> None:
        # A person has allowed the deletion of half of them, and has taken the setting back.
        left = range(50, 100)
        assert refusal(records_of(left), wanting(named(left)), TARGET, hour_ago=self.HOUR_AGO) is None

    def test_adapter_that_never_came_into_being_does_not_count(self) -> None:
        failed = {name: AdapterRecord(name=name, component=name) for name in named(range(50))}
        records = records_of(range(50, 100)) | failed
        assert refusal(records, wanting(named(range(51, 100))), TARGET, hour_ago=self.HOUR_AGO) is None


@pytest.mark.parametrize("claimed", [None, 7], ids=["ordinary", "import that was taken back"])
def test_new_spelling_of_a_present_component_is_refused_with_both(claimed: int | None) -> None:
    present = AdapterRecord(name="Acme", component="p-Acme", live=LIVE, owned=NOW, claimed=claimed)
    reason = refusal({"p-Acme": present}, wanting(["p-acme"]), TARGET, hour_ago=())
    assert str(reason).startswith("p-Acme would become p-acme, and SageMaker ignores the case of names")
    gone = AdapterRecord(name="Acme", component="p-Acme")
    assert refusal({"p-Acme": gone}, wanting(["p-acme"]), TARGET, hour_ago=()) is None


@pytest.mark.parametrize(
    ("change", "counted"),
    [
        ({}, True),
        ({"owned": None}, False),
        ({"owned": None, "unreadable": "no JSON"}, True),
        ({"claimed": 3}, False),
    ],
    ids=["own", "foreign", "unreadable", "taken over and not yet in force"],
)
def test_unwanted_component_is_counted_if_the_fleet_has_it_for_good(
    change: dict[str, object], counted: bool
) -> None:
    record = replace(records_of([1])["p-1"], **change)  # type: ignore[arg-type]
    assert (count_deletions({"p-1": record}, {}, TARGET, generation=4) != {}) is counted


def test_wanted_component_is_counted_if_it_is_on_another_base() -> None:
    found = records_of([1, 2])
    records = {
        name: replace(record, endpoint="endpoint", base=base)
        for (name, record), base in zip(found.items(), ["base", "another"], strict=True)
    }
    assert count_deletions(records, wanting(records), TARGET, generation=4) == {
        "p-2": replace(records["p-2"], counted=4)
    }


def test_adopted_component_that_is_spared_is_marked_for_no_later_deletion() -> None:
    adopted = replace(records_of([1])["p-1"], adopted=True)
    marked = count_deletions({"p-1": adopted}, {}, TARGET, generation=4, spares_adopted=True)
    assert marked == {"p-1": replace(adopted, claimed=4)}

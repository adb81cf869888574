"""Which generation a fleet works on."""

from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.fleet.state.fleet_settings import FleetSettings
from adapter_fleet.fleet.state.generations import Generation, Outcome, Request, Source, Target
from adapter_fleet.fleet.state.lineage import Lineage

TARGET = Target(endpoint="endpoint", base="base", prefix="p", settings=FleetSettings())


def generation(number: int, outcome: Outcome, *, standing: int | None = None) -> Generation:
    """Return a generation that came when `standing` was the one that stood, the one before it by default."""
    request = Request(delivery=str(number), source=Source.OBJECT, target=TARGET, at=float(number))
    before = number - 1 if standing is None else standing
    return Generation(number=number, request=request, outcome=outcome, standing=before)


class Table:
    """Generations by number, made as a registry makes them, and how many were looked up."""

    def __init__(self) -> None:
        self.made: dict[int, Generation] = {}
        self.looked_up = 0
        self.lineage = Lineage(self.find)

    @property
    def newest(self) -> Generation:
        return self.made[max(self.made)]

    def find(self, number: int) -> Generation | None:
        self.looked_up += 1
        return self.made.get(number)

    def open(self, outcome: Outcome, source: Source = Source.OBJECT, **fields: Any) -> Generation:
        """Make a generation that ends like this as soon as it was made."""
        number = len(self.made) + 1
        request = Request(delivery=str(number), source=source, target=TARGET, at=float(number), **fields)
        made = self.lineage.new_generation(request, self.made.get(number - 1))
        self.made[number] = replace(made, outcome=outcome, ended=float(number))
        return self.made[number]


BEFORE = generation(1, Outcome.CONVERGED)


@pytest.mark.parametrize(
    ("newest", "active"),
    [
        (generation(2, Outcome.OPEN), 2),
        (generation(2, Outcome.CONVERGED), 2),
        (generation(2, Outcome.REFUSED), 1),
        (generation(2, Outcome.FAILED), None),
    ],
)
def test_newest_counts_unless_it_was_refused(newest: Generation, active: int | None) -> None:
    found = Lineage({1: BEFORE, 2: newest}.get).active(newest)
    assert (found.number if found is not None else None) == active


def test_what_was_under_way_goes_on_after_any_number_of_refused_ones() -> None:
    under_way = generation(2, Outcome.SUPERSEDED)
    # The third was refused when the fourth had come, the fifth came when both were.
    refused = [
        generation(number, Outcome.REFUSED, standing=standing)
        for number, standing in ((3, 2), (4, 3), (5, 2))
    ]
    known = {made.number: made for made in (BEFORE, under_way, *refused)}
    assert Lineage(known.get).active(refused[-1]) == under_way


@pytest.mark.parametrize("before", [None, generation(1, Outcome.FAILED)])
def test_first_manifest_that_is_refused_leaves_nothing_to_do(before: Generation | None) -> None:
    assert Lineage({1: before}.get).active(generation(2, Outcome.REFUSED)) is None


class TestInForce:
    def test_generation_before_thousands_of_superseded_ones_is_found_at_once(self) -> None:
        table = Table()
        first = table.open(Outcome.CONVERGED)
        for _ in range(3000):
            table.open(Outcome.SUPERSEDED)
        table.looked_up = 0
        assert table.lineage.previous_in_force(table.newest) == first
        assert table.looked_up == 1

    def test_generations_of_an_earlier_release_are_searched(self) -> None:
        table = Table()
        first = table.open(Outcome.CONVERGED)
        for _ in range(3):
            table.open(Outcome.SUPERSEDED)
        table.made = {number: replace(made, in_force=None) for number, made in table.made.items()}
        assert table.lineage.previous_in_force(table.newest) == replace(first, in_force=None)

    def test_deployment_that_timed_out_was_in_force(self) -> None:
        settings = FleetSettings(timeout_seconds=60)
        target = replace(TARGET, settings=settings)
        request = Request(delivery="1", source=Source.DEPLOYMENT, target=target, at=0.0)
        open_ = Generation(number=1, request=request, changes=1)
        after = Lineage({1: open_}.get).new_generation(replace(request, delivery="2", at=60.0), open_)
        assert after.in_force == 1


class TestUndo:
    """Each request as the digest that it wants and the one that it replaces."""

    THERE, BACK = ("new", "old"), ("old", "new")

    @pytest.mark.parametrize(
        ("requests", "undos"),
        [
            pytest.param([THERE, BACK], [False, True], id="back to what was replaced"),
            pytest.param([BACK], [False], id="the first deployment"),
            pytest.param([THERE, ("third", "new")], [False, False], id="another manifest"),
            pytest.param([("new", None), (None, "new")], [False, False], id="digests that are not known"),
            pytest.param([THERE, BACK, BACK], [False, True, True], id="a rollback that is continued"),
            pytest.param([THERE, BACK, THERE, BACK], [False, True, False, True], id="a second try"),
            pytest.param([THERE, None, BACK], [False, False, True], id="after a manifest from S3"),
        ],
    )
    def test_deployment_that_goes_back_is_an_undo(
        self, requests: list[tuple[str | None, str | None] | None], undos: list[bool]
    ) -> None:
        table = Table()
        for digests in requests:
            if digests is None:
                table.open(Outcome.OPEN, source_digest="manifest")
            else:
                wanted, replaced = digests
                table.open(Outcome.OPEN, Source.DEPLOYMENT, source_digest=wanted, previous_digest=replaced)
        assert [made.undo for made in table.made.values()] == undos

    def test_manifest_in_s3_that_goes_back_is_no_undo(self) -> None:
        table = Table()
        table.open(Outcome.OPEN, Source.DEPLOYMENT, source_digest="new", previous_digest="old")
        assert not table.open(Outcome.OPEN, source_digest="old", previous_digest="new").undo

    def test_rollback_that_is_continued_takes_back_the_same_deployment(self) -> None:
        table = Table()
        for wanted, replaced in (self.THERE, self.BACK, self.BACK):
            table.open(Outcome.OPEN, Source.DEPLOYMENT, source_digest=wanted, previous_digest=replaced)
        assert table.lineage.undone_number(table.newest) == 1

    def test_fleet_takes_back_the_newest_deployment_or_manifest_that_is_neither_an_undo_nor_refused(
        self,
    ) -> None:
        table = Table()
        for wanted, replaced in (self.THERE, self.BACK):
            table.open(Outcome.CONVERGED, Source.DEPLOYMENT, source_digest=wanted, previous_digest=replaced)
        table.open(Outcome.REFUSED)
        undo = table.open(Outcome.OPEN, Source.UNDO)
        assert table.lineage.undone_number(undo) == 1

    def test_rollback_of_a_deployment_without_a_generation_takes_none_back(self) -> None:
        table = Table()
        table.open(Outcome.CONVERGED, Source.DEPLOYMENT, source_digest="old")
        undo = table.open(
            Outcome.OPEN, Source.DEPLOYMENT, source_digest="old", previous_digest="new", rolling_back=True
        )
        assert undo.undo
        assert table.lineage.undone_number(undo) is None


class TestReferenced:
    """What a later pass or request may look up; everything else may expire."""

    def numbers(self, table: Table) -> set[int]:
        return set(table.lineage.referenced(table.newest))

    def test_superseded_generations_are_not_needed(self) -> None:
        table = Table()
        table.open(Outcome.CONVERGED, Source.DEPLOYMENT)
        table.open(Outcome.CONVERGED)
        for _ in range(5):
            table.open(Outcome.SUPERSEDED)
        table.open(Outcome.OPEN)
        # 7 goes on if 8 is refused; 0 stands for no generation.
        assert self.numbers(table) == {0, 1, 2, 7, 8}

    def test_what_a_rollback_goes_back_to_is_needed(self) -> None:
        table = Table()
        table.open(Outcome.CONVERGED, Source.DEPLOYMENT, source_digest="a")
        table.open(Outcome.FAILED, Source.DEPLOYMENT, source_digest="b", previous_digest="a")
        table.open(Outcome.OPEN, Source.DEPLOYMENT, source_digest="a", previous_digest="b")
        assert table.newest.undo
        assert self.numbers(table) >= {1, 2, 3}

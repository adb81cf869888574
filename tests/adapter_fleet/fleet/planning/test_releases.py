"""Releases: which components a fleet wants, which one a route names, and which ones leave."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from adapter_fleet.common.naming import ADAPTER_TAG
from adapter_fleet.fleet.planning.decide import Decision, Step
from adapter_fleet.fleet.planning.releases import (
    IN_PLACE_AGAIN,
    Versions,
    by_adapter,
    first_share,
    is_superseded,
    new_route,
    versions_of,
    without_failed_version,
)
from adapter_fleet.fleet.state.components import ObservedComponent, Status
from adapter_fleet.fleet.state.failures import Cause, Failure
from adapter_fleet.fleet.state.fleet_settings import CanarySettings, ReleaseSettings
from adapter_fleet.fleet.state.records import AdapterRecord, Intent, Write
from adapter_fleet.fleet.state.routes import Candidate, Route
from adapter_fleet.manifest.desired import Artifact, DesiredAdapter
from tests.adapter_fleet.fleet.planning.states import NOW

RELEASES = ReleaseSettings(keep=1, drain_seconds=100.0)
CANARY = replace(RELEASES, canary=CanarySettings(steps=(5, 25)))
KEEP = Decision(step=Step.KEEP)
CREATED = NOW - 1000


def version(number: int, **fields: Any) -> Artifact:
    digest = str(number) * 64
    return Artifact(uri=f"s3://bucket/sha256-{digest}.tar.gz", digest=digest, **fields)


def component(number: int) -> str:
    return f"p-a-{str(number) * 8}"


def want(number: int, **fields: Any) -> DesiredAdapter:
    return DesiredAdapter(name="a", component="p-a", artifact=version(number), **fields)


def record(name: str, number: int, /, **fields: Any) -> AdapterRecord:
    """A component of adapter a that serves a version, and has proven it."""
    live = ObservedComponent(
        status=Status.IN_SERVICE, created=CREATED, modified=CREATED, arn="arn",
        endpoint="endpoint", base="base", artifact_uri=version(number).uri, described=True,
    )  # fmt: skip
    made = AdapterRecord(
        name="a", component=name, live=live, owned=CREATED, serving=version(number), last_good=version(number)
    )
    return replace(made, **fields)


def route(*numbers: int, candidate: int | None = None, percent: int = 5, **fields: Any) -> Route:
    """A route to the first number, which went to the others before."""
    made = Route.first("a", component(numbers[-1]), version(numbers[-1]), RELEASES)
    for number in reversed(numbers[:-1]):
        made = made.to(component(number), version(number), now=NOW - 10, releases=RELEASES)
    if candidate is None:
        return replace(made, **fields)
    beside = Candidate(
        component=component(candidate), artifact=version(candidate), percent=percent, since=NOW - 10,
        declared=None, judged=NOW - 10,
    )  # fmt: skip
    return replace(made.with_candidate(beside), **fields)


def versions(
    declared: DesiredAdapter,
    *records: AdapterRecord,
    routes: Mapping[str, Route] | None = None,
    releases: ReleaseSettings | None = RELEASES,
    claimed: tuple[str, ...] = (),
    unreadable: Mapping[str, str] | None = None,
) -> Versions:
    return versions_of(
        [declared],
        routes or {},
        {each.component: each for each in records},
        releases,
        claimed=claimed,
        now=NOW,
        unreadable=unreadable or {},
    )


class TestWhatIsWanted:
    def test_first_version_gets_a_component_of_its_own_with_the_adapter_in_its_tags(self) -> None:
        found = versions(want(1, percent=20))
        assert found.declared == {"a": component(1)}
        (wanted,) = found.wanted.values()
        assert (wanted.component, wanted.tags, wanted.percent) == (component(1), {ADAPTER_TAG: "a"}, 20)

    def test_version_that_answers_stays_beside_the_declared_one_without_its_smoke_request(self) -> None:
        found = versions(want(2), record(component(1), 1), routes={"a": route(1)})
        assert list(found.wanted) == [component(2), component(1)]
        assert (found.wanted[component(1)].artifact, found.wanted[component(1)].smoke) == (version(1), None)
        assert found.named == {component(1)}

    def test_earlier_version_stays_for_a_rollback_and_one_before_it_leaves_once_it_is_drained(self) -> None:
        there = [record(component(number), number) for number in (1, 2, 3)]
        drained = route(3, 2, 1).left_at(NOW - 200, after=0.0)
        long_ago = replace(drained, versions=tuple(replace(one, until=NOW - 200) for one in drained.versions))
        assert set(versions(want(3), *there, routes={"a": route(3, 2, 1)}).wanted) == {
            *map(component, (1, 2, 3))
        }
        assert set(versions(want(3), *there, routes={"a": long_ago}).wanted) == {component(3), component(2)}

    def test_earlier_version_that_is_gone_is_not_created_for_a_rollback_alone(self) -> None:
        found = versions(want(2), record(component(2), 2), routes={"a": route(2, 1)})
        assert set(found.wanted) == {component(2)}

    def test_fleet_that_was_updated_in_place_goes_on_answering_from_there(self) -> None:
        found = versions(want(2), record("p-a", 1))
        assert list(found.wanted) == [component(2), "p-a"]
        assert found.routes["a"].live.component == "p-a"

    def test_version_that_is_there_in_place_needs_no_component_of_its_own(self) -> None:
        found = versions(want(1), record("p-a", 1))
        assert found.declared == {"a": "p-a"}

    def test_what_is_not_proven_in_place_stays_until_a_route_says_who_answers(self) -> None:
        found = versions(want(2), record("p-a", 1, last_good=None))
        assert found.wanted["p-a"].artifact == version(1)
        assert found.routes == {}

    def test_component_that_is_to_be_taken_over_keeps_its_name(self) -> None:
        assert versions(want(1), claimed=("p-a",)).declared == {"a": "p-a"}

    def test_in_place_again_the_versions_that_callers_may_still_reach_stay(self) -> None:
        found = versions(want(2), record(component(1), 1), routes={"a": route(1)}, releases=None)
        assert found.declared == {"a": "p-a"}
        assert set(found.wanted) == {"p-a", component(1)}
        assert found.releases is IN_PLACE_AGAIN

    def test_candidate_that_the_manifest_does_not_declare_any_more_is_abandoned(self) -> None:
        there = [record(component(number), number) for number in (1, 2)]
        found = versions(want(3), *there, routes={"a": route(1, candidate=2)})
        assert found.routes["a"].candidate is None
        assert [one.component for one in found.routes["a"].versions if one.abandoned] == [component(2)]

    def test_adapter_whose_route_cannot_be_read_is_left_as_it_is(self) -> None:
        found = versions(want(2), record(component(1), 1), unreadable={"a": "no JSON"})
        assert found.left_alone == dict.fromkeys(("p-a", component(1)), "no JSON")

    def test_adapter_that_would_take_the_component_of_another_one_is_left_alone_with_its_name(self) -> None:
        other = DesiredAdapter(name="b", component="p-b", artifact=version(2))
        there = replace(record(component(1), 2), name="b")
        found = versions_of(
            [want(1), other], {}, {there.component: there}, RELEASES, claimed=(), now=NOW, unreadable={}
        )
        assert found.clash is not None
        assert f"adapter 'a' would take {component(1)} from adapter 'b'" in found.clash
        assert set(found.left_alone) == {"p-a"}

    def test_in_place_each_adapter_has_the_component_of_the_manifest(self) -> None:
        found = Versions.in_place({"p-a": want(1)})
        assert (found.has_routes, found.declared, found.wanted) == (False, {"a": "p-a"}, {"p-a": want(1)})


class TestRoute:
    @staticmethod
    def after(
        found: Versions, there: AdapterRecord, decision: Decision = KEEP, **options: Any
    ) -> Route | None:
        return new_route(found, there, decision, now=NOW, **({"has_copies": True} | options))

    def test_first_version_in_service_gets_the_first_route_even_without_a_copy(self) -> None:
        found, there = versions(want(1), record(component(1), 1)), record(component(1), 1)
        for decision in (KEEP, Decision(step=Step.ASLEEP)):
            made = self.after(found, there, decision, has_copies=False)
            assert made is not None
            assert (made.live.component, made.revision) == (component(1), 0)

    def test_proven_version_takes_all_callers_and_the_one_before_drains(self) -> None:
        there = record(component(2), 2)
        made = self.after(versions(want(2), record(component(1), 1), there, routes={"a": route(1)}), there)
        assert made is not None
        assert (made.live.component, made.versions[1].until) == (component(2), NOW)

    @pytest.mark.parametrize(
        ("fields", "decision", "options"),
        [
            ({}, Decision(step=Step.SMOKE), {}),
            ({}, KEEP, {"has_copies": False}),
            ({"live": None}, KEEP, {}),
            ({"serving": None}, KEEP, {}),
        ],
        ids=["not proven", "no copy", "gone", "serves nothing"],
    )
    def test_route_stays_until_the_declared_version_can_answer(
        self, fields: dict[str, Any], decision: Decision, options: dict[str, Any]
    ) -> None:
        found = versions(want(2), record(component(1), 1), record(component(2), 2), routes={"a": route(1)})
        assert self.after(found, record(component(2), 2, **fields), decision, **options) is None

    def test_declared_version_answers_at_once_where_nothing_else_does(self) -> None:
        there = record(component(2), 2)
        found = versions(want(2), there, routes={"a": route(1)})
        made = self.after(found, there, has_copies=False, answers=False)
        assert made is not None
        assert made.live.component == component(2)

    def test_version_that_is_not_declared_gets_no_route(self) -> None:
        found = versions(want(2), record(component(1), 1), routes={"a": route(2)})
        assert self.after(found, record(component(1), 1)) is None

    def test_fleet_in_place_has_none(self) -> None:
        assert self.after(Versions.in_place({"p-a": want(1)}), record("p-a", 1)) is None

    @pytest.mark.parametrize(("advances", "percent"), [(False, None), (True, 25)])
    def test_candidate_gets_the_next_share_once_its_step_has_ended_well(
        self, advances: bool, percent: int | None
    ) -> None:
        there = record(component(2), 2)
        found = versions(
            want(2), record(component(1), 1), there, routes={"a": route(1, candidate=2)}, releases=CANARY
        )
        made = self.after(found, there, advances=advances)
        assert (made and made.candidate and made.candidate.percent) == percent

    def test_last_step_gives_it_all_callers(self) -> None:
        there = record(component(2), 2)
        routes = {"a": route(1, candidate=2, percent=25)}
        found = versions(want(2), record(component(1), 1), there, routes=routes, releases=CANARY)
        made = self.after(found, there, advances=True)
        assert made is not None
        assert (made.live.component, made.candidate) == (component(2), None)

    @pytest.mark.parametrize(
        "fields", [{"live": None}, {"owned": CREATED - 1}, {}], ids=["gone", "new", "failed"]
    )
    def test_candidate_that_is_gone_or_failed_for_good_loses_its_callers(
        self, fields: dict[str, Any]
    ) -> None:
        failure = Failure(cause=Cause.ARTIFACT, reason="why", artifact=version(2), at=NOW, attempts=1)
        there = record(component(2), 2, failure=failure, **fields)
        found = versions(
            want(2), record(component(1), 1), record(component(2), 2), routes={"a": route(1, candidate=2)},
            releases=CANARY,
        )  # fmt: skip
        made = self.after(found, there, Decision(step=Step.FAILED))
        assert made is not None
        assert (made.candidate, made.versions[-1].abandoned) == (None, True)


class TestFirstShare:
    @pytest.mark.parametrize(
        ("releases", "percent", "there", "share"),
        [
            (RELEASES, None, route(1), 100),
            (RELEASES, 30, route(1), 30),
            (CANARY, None, route(1), 5),
            (CANARY, 30, route(1), 30),
            (CANARY, None, route(1, candidate=2, percent=25), 25),
            # People have raised it; the manifest says the same as when it began.
            (CANARY, None, route(1, candidate=2, percent=60), 60),
            # It answered all callers before, so that a rollback waits for nothing.
            (CANARY, None, route(1, 2), 100),
        ],
        ids=["no canary", "declared", "canary", "declared first", "stays", "raised by people", "goes back"],
    )
    def test_is_what_manifest_canary_and_people_say(
        self, releases: ReleaseSettings, percent: int | None, there: Route, share: int
    ) -> None:
        found = versions(
            want(2, percent=percent), record(component(2), 2), routes={"a": there}, releases=releases
        )
        assert first_share(found, there, component(2), version(2)) == share


class TestLeaving:
    def test_component_that_no_route_names_is_superseded_and_others_are_not(self) -> None:
        there = [record(component(number), number) for number in (1, 2, 3)]
        found = versions(want(3), *there[1:], routes={"a": route(3, 2)})
        assert [is_superseded(found, each) for each in there] == [True, False, False]

    @pytest.mark.parametrize(
        "fields",
        [{"counted": 3}, {"adopted": True}, {"owned": None}, {"name": "gone"}],
        ids=["counted already", "made by hand", "another team's", "of no declared adapter"],
    )
    def test_component_that_is_not_the_fleet_s_to_clean_up_is_not_superseded(
        self, fields: dict[str, Any]
    ) -> None:
        found = versions(want(3), record(component(3), 3), routes={"a": route(3)})
        assert not is_superseded(found, record(component(1), 1, **fields))

    def test_in_place_nothing_is_superseded(self) -> None:
        assert not is_superseded(Versions.in_place({"p-a": want(1)}), record(component(1), 1))

    FAILED = Decision(step=Step.FAILED, why="bad tensors")
    FAILURE = Failure(cause=Cause.ARTIFACT, reason="bad tensors", artifact=version(2), at=NOW, attempts=1)

    def test_declared_version_that_failed_for_good_is_deleted_where_nobody_is_sent_to_it(self) -> None:
        found = versions(want(2), record(component(1), 1), record(component(2), 2), routes={"a": route(1)})
        decision = without_failed_version(found, record(component(2), 2, failure=self.FAILURE), self.FAILED)
        assert decision == Decision(step=Step.DELETE, why="bad tensors")

    @pytest.mark.parametrize(
        ("routed", "fields", "decision"),
        [
            (route(1), {}, KEEP),
            (route(1), {"failure": None}, FAILED),
            (route(1), {"failure": replace(FAILURE, retry_at=NOW + 9, cause=Cause.CAPACITY)}, FAILED),
            (route(1), {"live": None}, FAILED),
            (route(1), {"owned": CREATED - 1}, FAILED),
            (route(1, 2), {}, FAILED),
        ],
        ids=["in service", "no failure", "to be tried again", "gone", "somebody's", "callers are sent there"],
    )
    def test_any_other_one_stays(self, routed: Route, fields: dict[str, Any], decision: Decision) -> None:
        there = record(component(2), 2, **({"failure": self.FAILURE} | fields))
        found = versions(want(2), record(component(1), 1), record(component(2), 2), routes={"a": routed})
        assert without_failed_version(found, there, decision) is decision


class TestByAdapter:
    def test_versions_of_an_adapter_count_once_by_the_name_that_the_manifest_has(self) -> None:
        there = {each.component: each for each in (record(component(1), 1), record(component(2), 2))}
        found = versions(want(2), *there.values(), routes={"a": route(1)})
        assert list(by_adapter(found, there, ())) == ["p-a"]

    @pytest.mark.parametrize(
        "fields",
        [
            {"serving": None, "versions": (version(1),)},
            {
                "serving": None,
                "intent": Intent(write=Write.CREATE, at=NOW, generation=1, artifact=version(1)),
            },
            {"serving": None, "tags": {ADAPTER_TAG: "a"}},
        ],
        ids=["served before", "on its way", "by its tag alone"],
    )
    def test_version_is_known_by_what_it_served_is_to_serve_or_by_its_tag(
        self, fields: dict[str, Any]
    ) -> None:
        there = record(component(1), 1, **({"last_good": None} | fields))
        found = versions(want(2), there, routes={"a": route(1)})
        assert list(by_adapter(found, {there.component: there}, ())) == ["p-a"]

    def test_component_whose_name_only_looks_like_a_version_s_is_its_own(self) -> None:
        """`component: p-a-1` and eight digits of another version, or in a fleet in place."""
        foreign = record("p-a-99999999", 1)
        found = versions(want(2), routes={"a": route(1)})
        assert list(by_adapter(found, {foreign.component: foreign}, ())) == ["p-a-99999999"]
        in_place = {component(1): record(component(1), 1)}
        assert by_adapter(Versions.in_place({}), in_place, ()) is in_place

    def test_component_that_the_manifest_names_is_its_adapter_s_own(self) -> None:
        """`component: p-a-11111111`, which has served the version of these digits."""
        there = record(component(1), 1)
        found = versions(replace(want(2), component=there.component), there)
        assert list(by_adapter(found, {there.component: there}, {there.component})) == [there.component]

    def test_fleet_s_own_record_goes_before_a_stranger_s(self) -> None:
        own, strange = record(component(1), 1), record(component(2), 2, owned=None)
        found = versions(want(1), own, routes={"a": route(1)})
        for records in ([own, strange], [strange, own]):
            assert by_adapter(found, {each.component: each for each in records}, ()) == {"p-a": own}

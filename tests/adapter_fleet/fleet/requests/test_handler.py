"""Events of CloudFormation and new manifests in S3 become generations."""

from dataclasses import replace

import pytest

from adapter_fleet.fleet.requests.is_complete import FleetError
from adapter_fleet.fleet.state.generations import Outcome, Source
from tests.adapter_fleet.fleet.requests.conftest import OBJECT, UID, Deployment, manifest


def test_creation_stores_the_desired_state_and_starts_the_machine(deployment: Deployment) -> None:
    answer = deployment.handler.on_event(deployment.event("Create", Manifest=deployment.asset("one", "a")))
    assert answer == {"PhysicalResourceId": UID, "Generation": 1}
    (wanted,) = deployment.registry.generations.desired(1).adapters
    assert (wanted.name, wanted.component) == ("a", "p-a")
    assert len(deployment.started) == 1
    assert deployment.newest().request.target.tags == {"team": "x"}


def test_place_of_the_base_is_the_same_text_in_any_order(deployment: Deployment) -> None:
    for hosting in ({"Type": "ml.g5", "Count": 1}, {"Count": 1, "Type": "ml.g5"}):
        deployment.create("a", Hosting=hosting)
        assert deployment.newest().request.target.hosting == '{"Count": 1, "Type": "ml.g5"}'
        deployment.converge(deployment.newest().number)
    one, other = map(deployment.generation, (1, 2))
    assert one.request.source_digest == other.request.source_digest


def test_same_request_id_with_another_response_url_is_another_event(deployment: Deployment) -> None:
    event = deployment.create("a")
    answer = deployment.handler.on_event({**event, "ResponseURL": "https://response/another"})
    assert answer["Generation"] == 2


def test_components_get_the_stack_s_tags_and_the_fleet_s_tags_win(deployment: Deployment) -> None:
    deployment.rolling_back = False
    deployment.stack_tags = {"cost-center": "42", "team": "of the stack"}
    deployment.stack_tags |= dict.fromkeys(["aws:cloudformation:stack-name", "fleet-uid", "Fleet-UID"], "x")
    deployment.create("a")
    assert deployment.newest().request.target.tags == {"cost-center": "42", "team": "x"}


def test_stack_tags_stay_if_cloudformation_does_not_answer(deployment: Deployment) -> None:
    deployment.rolling_back = False
    deployment.stack_tags = {"cost-center": "42"}
    first = deployment.create("a")["ResourceProperties"]
    deployment.rolling_back = None
    second = deployment.properties(Manifest=deployment.asset("two", "b"), Tags={})
    deployment.update(second, old=first)
    assert deployment.newest().request.target.tags == {"cost-center": "42", "team": "x"}


def test_deployment_with_a_missing_manifest_fails(deployment: Deployment) -> None:
    event = deployment.event("Create", Manifest={"Bucket": "assets", "Key": "one", "Digest": "x"})
    with pytest.raises(FleetError, match="the manifest s3://assets/one is not there"):
        deployment.handler.on_event(event)


def test_fleet_can_be_created_after_its_deletion(deployment: Deployment) -> None:
    deployment.create("a")
    deployment.save(1, outcome=Outcome.FAILED)
    deployment.send(deployment.event("Delete"))
    create = deployment.event("Create", Manifest=deployment.asset("two", "a"))
    with pytest.raises(ValueError, match="is being deleted"):
        deployment.handler.on_event(create)
    deployment.converge(2)
    assert deployment.handler.on_event(create)["Generation"] == 3
    assert deployment.newest().outcome is Outcome.OPEN


RANKED = manifest("a").replace(b'"name"', b'"rank": 16, "name"')


@pytest.mark.parametrize(
    ("text", "tags", "refusal"),
    [
        (b"adapters: [{name: a}]", 0, "adapter 'a'"),
        (manifest("a"), 50, "adapter 'a': tags: should be at most 50"),
        (RANKED, 0, "lora-rank"),
    ],
    ids=["invalid", "too many tags with the fleet's", "rank above the limit of the endpoint"],
)
def test_invalid_manifest_is_refused(deployment: Deployment, text: bytes, tags: int, refusal: str) -> None:
    deployment.settings = replace(deployment.settings, max_lora_rank=8)
    deployment.bucket.put("one", text)
    asset = {"Bucket": "assets", "Key": "one", "Digest": "x"}
    event = deployment.event("Create", Manifest=asset, Tags={f"tag{number}": "x" for number in range(tags)})
    deployment.handler.on_event(event)
    assert refusal in str(deployment.newest().request.refusal)


def test_another_fleet_uid_is_refused(deployment: Deployment) -> None:
    with pytest.raises(FleetError, match="'FleetUid' should be 'fleet-1', that of the function, got 'anoth"):
        deployment.handler.on_event(deployment.event("Create", FleetUid="another"))


def test_update_that_would_change_the_fleet_uid_is_refused(deployment: Deployment) -> None:
    first = deployment.create("a")
    # CloudFormation updates the functions of a moved fleet first.
    moved = replace(deployment.handler, uid="fleet-2")
    update = deployment.event("Update", old=first["ResourceProperties"], FleetUid="fleet-2")
    with pytest.raises(
        FleetError,
        match="'FleetUid' should be 'fleet-1' as long as the fleet is there, got 'fleet-2': its construct"
        " was moved or renamed; give it fleet_uid='fleet-1', or bring",
    ):
        moved.on_event(update)
    assert deployment.newest().number == 1


class TestManifestInS3:
    def test_version_in_force_is_not_read_and_makes_no_generation(self, watched: Deployment) -> None:
        watched.bucket.read = None  # type: ignore[method-assign,assignment]
        assert watched.handler.manifest_changed("1") is None

    def test_new_version_makes_a_generation_after_a_move_out_of_s3_was_refused(
        self, watched: Deployment
    ) -> None:
        watched.converge(1)
        watched.send(watched.event("Update", Manifest=watched.asset("one", "c")))
        watched.save(2, outcome=Outcome.REFUSED)
        assert watched.put_manifest(manifest("a", "b")) is not None
        assert watched.names(3) == ["a", "b"]

    def test_deleted_manifest_leaves_the_last_one_in_force(self, watched: Deployment) -> None:
        watched.end_a_pass(converged=1)
        watched.bucket.objects.clear()
        watched.send(watched.event("Update", ManifestObject=OBJECT, old={}))
        assert watched.names(2) == ["a"]

    def test_manifest_written_while_a_deployment_reads_the_previous_one_is_not_lost(
        self, watched: Deployment
    ) -> None:
        read = watched.bucket.read

        def read_late(bucket: str, key: str) -> tuple[bytes, str] | None:
            found = read(bucket, key)
            watched.bucket.read = read  # type: ignore[method-assign]
            watched.put_manifest(manifest("a", "b"))
            return found

        watched.bucket.read = read_late  # type: ignore[method-assign]
        watched.update_setting(700)
        assert watched.names() == ["a", "b"]
        assert watched.newest().request.target.settings.timeout_seconds == 700

    def test_undone_manifest_can_be_applied_again(self, watched: Deployment) -> None:
        watched.converge(1)
        watched.put_manifest(manifest("a", "b"))
        watched.undo(2, to=1)
        assert watched.handler.manifest_changed("1") is None
        again = watched.handler.manifest_changed("2")
        assert again is not None
        assert (again.number, again.outcome) == (4, Outcome.OPEN)
        assert watched.names(4) == ["a", "b"]

    def test_repeated_event_starts_the_machine_after_a_failed_start(self, watched: Deployment) -> None:
        watched.converge(1)
        watched.bucket.put("live", manifest("a", "b"))
        started: list[str] = []

        def start(_trigger: str, key: str) -> None:
            started.append(key)
            if len(started) == 1:
                raise RuntimeError("ThrottlingException: StartExecution")

        handler = replace(watched.handler, start_machine=start)
        with pytest.raises(RuntimeError):
            handler.manifest_changed("1")
        handler.manifest_changed("1")
        assert started == [started[0]] * 2
        assert watched.newest().number == 2

    def test_fleet_in_deletion_applies_no_manifest_and_rereads_none(self, watched: Deployment) -> None:
        watched.send(watched.event("Delete", ManifestObject=OBJECT))
        assert watched.put_manifest(manifest("b")) is None
        assert watched.handler.reread() is None


class TestLostEvent:
    """A manifest in S3 whose event was lost is applied later; one that was rejected is not."""

    @pytest.fixture(autouse=True)
    def in_force(self, watched: Deployment) -> None:
        watched.converge(1)

    def test_manifest_with_a_lost_event_is_applied(self, watched: Deployment) -> None:
        watched.bucket.put("live", manifest("a", "b"))
        made = watched.handler.reread()
        assert made is not None
        assert (made.request.source, made.exempt) == (Source.OBJECT, False)
        assert watched.names() == ["a", "b"]
        assert watched.started[-1][0] == "object"

    def test_first_manifest_with_a_lost_event_is_applied(self) -> None:
        deployment = Deployment()
        deployment.handler.on_event(deployment.event("Create", ManifestObject=OBJECT))
        assert deployment.handler.reread() is None
        deployment.bucket.put("live", manifest("a"))
        assert deployment.handler.reread() is not None
        assert deployment.names() == ["a"]

    def test_reread_of_a_known_manifest_is_one_call_and_no_generation(self, watched: Deployment) -> None:
        watched.bucket.read = None  # type: ignore[method-assign,assignment]
        assert watched.handler.reread() is None
        assert watched.newest().number == 1
        assert watched.bucket.looks == 1

    def test_earlier_manifest_that_was_written_again_is_applied(self, watched: Deployment) -> None:
        # In a bucket without versioning, the content is the version.
        texts = {"one": manifest("a"), "two": manifest("a", "b")}
        for name in ("two", "one", "two", "one"):
            watched.bucket.objects["live"] = (texts[name], name)
            assert watched.handler.reread() is not None
        assert watched.names() == ["a"]

    @pytest.mark.parametrize("text", [manifest("a", "b"), b"adapters: ["], ids=["good", "bad"])
    @pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED])
    def test_rejected_manifest_is_not_applied_again(
        self, watched: Deployment, outcome: Outcome, text: bytes
    ) -> None:
        watched.bucket.put("live", text)
        watched.handler.reread()
        watched.save(2, outcome=outcome)
        assert watched.handler.reread() is None
        assert watched.newest().number == 2

    @pytest.mark.parametrize("outcome", [Outcome.REFUSED, Outcome.FAILED])
    def test_rejected_manifest_is_not_applied_after_a_rollback(
        self, watched: Deployment, outcome: Outcome
    ) -> None:
        one = watched.update_setting(700)
        two = watched.update_setting(800, old=one)
        watched.converge(3)
        watched.bucket.put("live", manifest("a", "broken"))
        watched.handler.reread()
        watched.save(4, outcome=outcome)
        watched.rolling_back = True
        watched.update(one, old=two)
        assert watched.newest().undo
        assert watched.handler.reread() is None
        assert watched.newest().number == 5
        assert watched.names() == ["a"]

    def test_fleet_with_a_deployed_manifest_rereads_nothing(self) -> None:
        deployment = Deployment()
        assert deployment.handler.reread() is None
        deployment.create("a")
        assert deployment.handler.reread() is None
        assert deployment.bucket.looks == 0

"""The steps of a copy, called as the state machine does, on S3 in memory and a stand-in of the hub."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from adapter_fleet.common.serialization import converter
from adapter_fleet.hub import copy as hub_copy
from adapter_fleet.hub.client import Hub, HubBusyError, HubError
from adapter_fleet.hub.copy import MAX_ROUNDS, CopyError, CopyRequest, FileCopy, refusal
from adapter_fleet.hub.files import ModelFile
from tests.fakes.errors import client_error
from tests.fakes.s3 import FakeS3, Object
from tests.hub import COMMIT, CONFIGURATION, File, Generated, HubStandIn, small_model

MODEL = "acme/tiny"
PART = 100_000
SIZE = 350_001
BASE = f"models/acme--tiny/{COMMIT}"


@pytest.fixture
def standin() -> Iterator[HubStandIn]:
    with HubStandIn(MODEL, small_model(model=File(Generated(SIZE, 1)))) as running:
        yield running


class Machine:
    """Does what the state machine does, one thing after the other."""

    def __init__(self, standin: HubStandIn, s3: FakeS3, revision: str = COMMIT) -> None:
        self.standin, self.s3 = standin, cast(Any, s3)
        self.hub = Hub(standin.url, sleep=lambda _: None)
        self.request = CopyRequest(
            model_id=MODEL, revision=revision, bucket="b", prefix="models/", who="me", part_bytes=PART
        )
        self.before_part: Callable[[int], None] = lambda _part: None

    def run(self) -> Any:
        outcomes: list[Any] = []
        number = 0
        while not (found := self.plan(outcomes, number))["done"]:
            outcomes = [self.bring(self.file_copy(entry)) for entry in found["files"]]
            number += 1
        return found

    def plan(self, outcomes: list[Any], number: int = 0) -> Any:
        return hub_copy.plan(self.request, outcomes, number, hub=self.hub, s3=self.s3)

    def file_copy(self, entry: Any) -> FileCopy:
        return FileCopy(request=self.request, commit=COMMIT, file=converter.structure(entry, ModelFile))

    def advance(self, copy: FileCopy, outcomes: list[Any] | None = None, looks: int = 0) -> Any:
        return hub_copy.advance(copy, outcomes or [], looks, s3=self.s3)

    def bring(self, copy: FileCopy) -> Any:
        outcomes: list[Any] = []
        looks = 0
        while not (found := self.advance(copy, outcomes, looks))["done"]:
            outcomes = [self.copy(copy, found["upload"], part) for part in found["parts"]]
            looks += 1
        return found

    def copy(self, copy: FileCopy, upload: str, part: int) -> Any:
        self.before_part(part)
        try:
            hub_copy.copy_range(copy, upload, part, hub=self.hub, s3=self.s3)
        except Exception as error:
            told = refusal(error, last=True)
            if told is None:
                raise
            return told
        return {}

    def weights(self) -> FileCopy:
        (entry,) = [entry for entry in self.plan([])["files"] if entry["path"] == "model.safetensors"]
        return self.file_copy(entry)


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3("b", page_size=3)


@pytest.fixture
def machine(standin: HubStandIn, s3: FakeS3) -> Machine:
    return Machine(standin, s3)


def content(standin: HubStandIn, path: str = "model.safetensors") -> bytes:
    return b"".join(bytes(piece) for piece in standin.files[path].content.read(0, SIZE))


def test_copy_is_the_wanted_files_and_a_marker_beside_them(
    machine: Machine, standin: HubStandIn, s3: FakeS3
) -> None:
    found = machine.run()
    paths = sorted(["model.safetensors", *CONFIGURATION])
    assert sorted(s3.bodies("b")) == sorted([f"{BASE}.complete.json", *(f"{BASE}/{path}" for path in paths)])
    assert s3.objects["b", f"{BASE}/model.safetensors"].body == content(standin)
    marker = json.loads(s3.objects["b", f"{BASE}.complete.json"].body)
    assert [file["path"] for file in marker["files"]] == paths
    assert (marker["model"], marker["commit"], marker["bytes"]) == (MODEL, COMMIT, found["bytes"])
    assert (found["prefix"], found["files"], s3.uploads) == (f"{BASE}/", 6, {})


def test_whole_copy_is_not_copied_again_nor_is_the_hub_asked(
    machine: Machine, standin: HubStandIn, s3: FakeS3
) -> None:
    machine.run()
    standin.requests.clear()
    assert Machine(standin, s3).run()["done"]
    assert not standin.requests


def test_file_that_was_changed_since_is_copied_again(
    machine: Machine, standin: HubStandIn, s3: FakeS3
) -> None:
    machine.run()
    standin.ranges.clear()
    s3.put("b", f"{BASE}/config.json", b"x" * len(s3.objects["b", f"{BASE}/config.json"].body))
    machine.run()
    assert s3.objects["b", f"{BASE}/config.json"].body == b'{"model_type": "llama"}'
    assert standin.sent.keys() == {"config.json"}


def test_ranges_that_are_there_are_not_copied_again(
    machine: Machine, standin: HubStandIn, s3: FakeS3
) -> None:
    weights = machine.weights()
    look = machine.advance(weights)
    assert look["parts"] == [1, 2, 3, 4]
    machine.copy(weights, look["upload"], 2)
    machine.copy(weights, look["upload"], 4)
    assert machine.advance(weights) == {"done": False, "upload": look["upload"], "parts": [1, 3]}
    machine.run()
    assert standin.sent["model.safetensors"] == SIZE


def test_part_of_another_size_is_copied_again(machine: Machine, s3: FakeS3) -> None:
    weights = machine.weights()
    look = machine.advance(weights)
    s3.uploads[look["upload"]].parts[1] = Object(b"short")
    assert machine.advance(weights)["parts"] == [1, 2, 3, 4]


def test_file_that_is_whole_and_not_verified_is_verified_and_not_copied(
    machine: Machine, standin: HubStandIn, s3: FakeS3
) -> None:
    weights = machine.weights()
    s3.put("b", f"{BASE}/model.safetensors", content(standin))
    assert machine.advance(weights) == {"done": True}
    assert not standin.sent["model.safetensors"]
    reads = len(s3.calls)
    assert machine.advance(weights) == {"done": True}
    # It looks for the marker, and does not read the file again.
    assert s3.calls[reads:].count("get_object") == 1


def test_bytes_that_are_not_the_hubs_do_not_stay(machine: Machine, standin: HubStandIn, s3: FakeS3) -> None:
    standin.files["model.safetensors"].digest = "0" * 64
    with pytest.raises(CopyError, match=r"bytes of 'model\.safetensors' that the hub sent are not those of"):
        machine.run()
    assert ("b", f"{BASE}/model.safetensors") not in s3.objects
    assert ("b", f"{BASE}.complete.json") not in s3.objects
    assert standin.sent["model.safetensors"] == MAX_ROUNDS * SIZE


def test_small_file_is_verified_before_it_is_written(
    machine: Machine, standin: HubStandIn, s3: FakeS3
) -> None:
    standin.files["config.json"].digest = "0" * 40
    with pytest.raises(CopyError, match=r"'config\.json' that the hub sent are not those of its git-sha1"):
        machine.run()
    assert ("b", f"{BASE}/config.json") not in s3.objects


def test_upload_that_someone_has_aborted_is_begun_anew(
    machine: Machine, standin: HubStandIn, s3: FakeS3
) -> None:
    aborted: list[str] = []

    def abort_once(part: int) -> None:
        if part == 3 and not aborted:
            aborted.extend(s3.uploads)
            s3.uploads.clear()

    machine.before_part = abort_once
    machine.run()
    assert aborted
    assert s3.objects["b", f"{BASE}/model.safetensors"].body == content(standin)


def test_copy_that_another_one_has_made_whole_meanwhile_does_nothing(
    machine: Machine, standin: HubStandIn, s3: FakeS3
) -> None:
    weights = machine.weights()
    Machine(standin, s3).run()
    before = dict(s3.objects)
    assert machine.advance(weights) == {"done": True}
    assert s3.objects == before


def test_two_copies_at_once_share_an_upload(machine: Machine, standin: HubStandIn, s3: FakeS3) -> None:
    weights, other = machine.weights(), Machine(standin, s3)
    assert machine.advance(weights)["upload"] == other.advance(weights)["upload"]


def test_uploads_that_are_left_are_aborted_in_the_end(machine: Machine, s3: FakeS3) -> None:
    s3.create_multipart_upload(Bucket="b", Key=f"{BASE}/config.json", ChecksumAlgorithm="CRC32")
    machine.run()
    assert s3.uploads == {}


def test_refusal_by_the_hub_ends_the_copy_with_its_reason_and_nothing_half_uploaded(
    machine: Machine, standin: HubStandIn, s3: FakeS3
) -> None:
    def forbid(part: int) -> None:
        if part == 3:
            standin.token, standin.gated = "hf_secret", True

    machine.before_part = forbid
    with pytest.raises(CopyError, match=r"'acme/tiny' could not be copied: 'acme/tiny' is gated.*of 6 files"):
        machine.run()
    assert s3.uploads == {}


def test_copy_that_fails_leaves_the_uploads_that_another_stack_goes_on_with(
    machine: Machine, standin: HubStandIn, s3: FakeS3
) -> None:
    other = Machine(standin, s3)
    other.request = replace(other.request, who="another")
    weights = other.weights()
    upload = other.advance(weights)["upload"]
    with pytest.raises(CopyError):
        machine.plan([{"reason": "no", "final": True}])
    assert list(s3.uploads) == [upload]
    other.run()
    assert s3.uploads == {}


def test_good_file_that_came_while_a_bad_one_was_read_is_not_deleted(
    machine: Machine, standin: HubStandIn, s3: FakeS3, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = machine.weights()
    key = f"{BASE}/model.safetensors"
    s3.put("b", key, bytes(SIZE))
    get = s3.get_object

    def get_and_replace(**arguments: Any) -> Any:
        answer = get(**arguments)
        if arguments["Key"] == key:
            s3.put("b", key, content(standin))
        return answer

    monkeypatch.setattr(s3, "get_object", get_and_replace)
    assert "are not those of its sha256" in machine.advance(weights)["reason"]
    assert s3.objects["b", key].body == content(standin)


def test_hub_that_stays_away_ends_the_copy_after_some_rounds(machine: Machine, standin: HubStandIn) -> None:
    standin.files["tokenizer.json"].fails = 10_000
    with pytest.raises(CopyError, match=r"503 for 'tokenizer\.json'.* 5 of 6 files .* the next deployment"):
        machine.run()


def test_model_without_safetensors_ends_the_copy(standin: HubStandIn, machine: Machine) -> None:
    del standin.files["model.safetensors"]
    with pytest.raises(CopyError, match="should have its weights as safetensors at the root, got"):
        machine.run()


def test_branch_stays_at_the_commit_that_it_was_resolved_to(standin: HubStandIn, s3: FakeS3) -> None:
    machine = Machine(standin, s3, "main")
    assert machine.run()["commit"] == COMMIT
    standin.branches["main"] = "f" * 40
    assert machine.run()["commit"] == COMMIT


def test_file_of_many_ranges_is_said_in_several_looks(machine: Machine) -> None:
    large = ModelFile(path="large.safetensors", size=1200 * PART, digest="sha256:00")
    copy = FileCopy(request=machine.request, commit=COMMIT, file=large)
    assert len(machine.advance(copy)["parts"]) == 500
    assert copy.parts[-1] == 1200


def test_missing_rights_are_told_at_once_and_other_errors_of_aws_in_the_end() -> None:
    assert refusal(client_error("AccessDenied"), last=False) == {
        "reason": "An error occurred (AccessDenied) when calling the Operation operation: AccessDenied",
        "final": True,
    }
    assert refusal(client_error("SlowDown"), last=False) is None
    assert refusal(client_error("SlowDown"), last=True) is not None
    assert refusal(HubBusyError("busy"), last=False) is None
    cut = refusal(HubError("\U0001f600 " * 200), last=False)
    assert cut is not None
    assert (len(json.dumps(cut["reason"])) <= 202, cut["final"]) == (True, True)
    assert refusal(ValueError("a mistake"), last=True) is None


def test_rights_that_are_missing_right_after_a_role_was_changed_are_asked_for_again() -> None:
    denied = client_error("AccessDenied")
    assert refusal(denied, last=False, early=True) is None
    told = refusal(denied, last=True, early=True)
    assert told is not None
    assert "final" not in told

import gzip
import json
import os
import tarfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from adapter_fleet.manifest.manifest import Manifest
from adapter_rules.archives.packing import AdapterFiles, identity_of, pack
from adapters_cli.artifacts import archive_store
from adapters_cli.aws.account import Account
from adapters_cli.manifests.editable_manifest import EditableManifest
from adapters_cli.output import folder_lock
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.cli.fleet_account import rows
from tests.cli.publishing import BUCKET, STORED, World
from tests.fakes import Object, client_error, sha256


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


class TestUploading:
    def test_each_adapter_goes_under_its_name_and_identity_and_is_told(self, world: World) -> None:
        world.add("acme", "beta")
        result = world.publish()
        assert result.exit_code == 0
        assert sorted(world.s3.bodies(BUCKET)) == [world.key("acme"), world.key("beta")]
        size = str(len(world.s3.bodies(BUCKET)[world.key("acme")]))
        identity = identity_of(world.adapters / "acme")
        assert rows(result)[0] == ["acme", "uploaded", identity[:12], "8", size, ""]
        world.publish(destination="s3://my-adapters")
        assert world.key("acme").removeprefix("prod/") in world.s3.bodies(BUCKET)

    @pytest.mark.parametrize("packed", [False, True], ids=["directory", "archive"])
    def test_second_run_uploads_and_reads_nothing(self, world: World, tmp_path: Path, packed: bool) -> None:
        path = world.add("acme")
        canonical = gzip.decompress(pack(path, tmp_path / "canonical.tar.gz").path.read_bytes())
        if packed:
            archive = tmp_path / "acme.tar.gz"
            with tarfile.open(archive, "w:gz") as tar:
                tar.add(path, arcname=".")
            path = archive
        assert rows(world.publish(path))[0][1] == "uploaded"
        stored = world.s3.bodies(BUCKET)
        assert {key: gzip.decompress(body) for key, body in stored.items()} == {world.key("acme"): canonical}
        world.s3.calls.clear()
        result = world.publish(path, "--manifest", world.manifest)
        assert rows(result)[0][:2] == ["acme", "skipped"]
        # S3 vouches for the archive, so it is not read.
        assert world.s3.calls == ["list_objects_v2", "head_object"]
        assert world.parsed().adapters[0].checksum == world.checksum("acme")

    def test_archives_are_looked_for_one_by_one_where_a_listing_would_take_long(self, world: World) -> None:
        world.s3.page_size = 1
        for name in ("a", "b"):
            world.s3.objects[BUCKET, f"prod/{name}"] = Object(b"")
        world.add("acme", "beta")
        assert [row[1] for row in rows(world.publish())] == ["uploaded", "uploaded"]
        assert [row[1] for row in rows(world.publish())] == ["skipped", "skipped"]
        assert world.s3.calls.count("list_objects_v2") == 2
        assert world.s3.calls.count("head_object") == 4

    def test_one_that_another_publisher_uploads_meanwhile_is_left_as_it_is(self, depot: World) -> None:
        depot.publish()
        [theirs] = depot.s3.objects.values()
        depot.s3.objects.clear()

        def race(now: str) -> None:
            if now == "put_object":
                depot.s3.objects[BUCKET, depot.key("acme")] = theirs

        depot.s3.before = race
        result = depot.publish()
        assert (result.exit_code, rows(result)[0][1]) == (0, "skipped")
        assert depot.s3.objects[BUCKET, depot.key("acme")] is theirs

    def test_archive_that_is_too_large_for_one_request_fails(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(archive_store, "LARGEST_PUT", 4000)
        world.add("acme")
        result = world.publish()
        assert (result.exit_code, world.s3.objects) == (1, {})
        assert "the archive should have at most 4000 bytes, got" in result.stderr

    @pytest.mark.parametrize("content", ["no archive", "another adapter", "half", "half with a checksum"])
    def test_other_content_under_that_key_fails_the_adapter(
        self, world: World, content: str, tmp_path: Path
    ) -> None:
        world.add("acme", "beta")
        world.publish(world.adapters / "acme")
        stored = world.s3.objects[BUCKET, world.key("acme")]
        half = stored.body[: len(stored.body) // 2]
        beta = pack(world.adapters / "beta", tmp_path / "beta.tar.gz").path.read_bytes()
        world.s3.objects[BUCKET, world.key("acme")] = {
            "no archive": Object(b"something"),
            "another adapter": Object(beta),
            "half": Object(half, stored.metadata),
            "half with a checksum": Object(half, stored.metadata, sha256(half)),
        }[content]
        result = world.publish(world.adapters / "acme", "--manifest", world.manifest)
        assert (result.exit_code, rows(result)[0][1]) == (1, "failed")
        assert "should be the adapter of its name" in result.stderr
        assert not world.manifest.exists()

    def test_adapter_that_changes_while_it_is_published_fails(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        config = world.add("acme") / "adapter_config.json"
        write = AdapterFiles.write_archive

        def train_on(*arguments: Any) -> str:
            config.write_text(config.read_text().replace("16", "32"))
            return write(*arguments)

        monkeypatch.setattr(AdapterFiles, "write_archive", train_on)
        result = world.publish()
        assert (result.exit_code, world.s3.objects) == (1, {})
        assert "it changed while it was published" in result.stderr

    def test_dry_run_writes_nothing(self, depot: World) -> None:
        depot.publish()
        depot.add("beta")
        before = depot.s3.bodies(BUCKET)
        result = depot.publish("--dry-run", "--manifest", depot.manifest)
        assert "unchanged" not in result.stderr
        assert [row[:2] for row in rows(result)] == [["acme", "skipped"], ["beta", "new"]]
        assert (depot.s3.bodies(BUCKET), depot.manifest.exists()) == (before, False)

    def test_json_has_everything(self, depot: World) -> None:
        document = json.loads(depot.publish("--json", "--manifest", depot.manifest).stdout)
        assert document == {
            "adapters": [
                {
                    "name": "acme",
                    "path": str(depot.adapters / "acme"),
                    "state": "uploaded",
                    "digest": f"sha256:{identity_of(depot.adapters / 'acme')}",
                    "uri": depot.uri("acme"),
                    "checksum": depot.checksum("acme"),
                    "rank": 8,
                    "size": len(depot.s3.bodies(BUCKET)[depot.key("acme")]),
                    "base_model": "acme/tiny-base",
                    "evaluation": None,
                    "probe": None,
                    "reasons": [],
                }
            ],
            "manifest": {"where": str(depot.manifest), "changed": True},
        }


class TestSources:
    def test_what_a_training_run_leaves_is_left_behind_and_told(self, world: World) -> None:
        directory = world.add("acme")
        told = identity_of(directory)
        for name in ("training_args.bin", "README.md"):
            (directory / name).write_bytes(b"left")
        (directory / "checkpoint-100").mkdir()
        result = world.publish()
        assert result.exit_code == 0
        assert list(world.s3.bodies(BUCKET)) == [f"prod/acme/sha256-{told}.tar.gz"]
        assert "left behind, as no part of an adapter: checkpoint-100, training_args.bin" in result.stderr

    def test_run_with_nothing_but_checkpoints_is_no_folder_of_adapters(self, world: World) -> None:
        checkpoint = SyntheticAdapter().save(world.folder / "run" / "checkpoint-100")
        result = world.publish(world.folder / "run")
        assert result.exit_code == 1
        assert "name the one that is meant, of checkpoint-100" in result.stderr
        assert rows(world.publish(checkpoint, "--name", "acme"))[0][:2] == ["acme", "uploaded"]

    def test_folder_with_adapters_further_below_names_them(self, world: World) -> None:
        below = SyntheticAdapter().save(world.folder / "all" / "runs" / "2024" / "acme")
        result = world.publish(world.folder / "all")
        assert (result.exit_code, f"further below: name {below}\n" in result.stderr) == (1, True)

    def test_archives_of_other_forms_beside_adapters_are_told(self, depot: World) -> None:
        (depot.adapters / "beta.tgz").touch()
        result = depot.publish(depot.adapters)
        assert result.exit_code == 0
        assert "not read, as an archive ends with .tar.gz: beta.tgz" in result.stderr

    @pytest.mark.parametrize(
        ("path", "told"),
        [
            ("s3:/bucket/acme.tar.gz", "an object in S3 is s3://<bucket>/<key>"),
            ("https://huggingface.co/acme/lora", "download it first"),
            ("acme/lora", "hf download acme/lora --local-dir lora"),
            ("adapters\\acme", "write its folders with /"),
            ("arn:aws:s3:::bucket/acme", "write s3://bucket/acme"),
        ],
    )
    def test_address_that_is_no_path_says_what_one_is(self, world: World, path: str, told: str) -> None:
        result = world.publish(path)
        assert (result.exit_code, told in result.stderr) == (2, True)

    def test_without_paths_those_that_the_manifest_has_here_are_published(self, world: World) -> None:
        world.add("acme-v7", "beta")
        world.manifest.write_text(
            "adapters:\n"
            "  - {name: acme, artifact: ./adapters/acme-v7}\n"
            f"  - {{name: other, artifact: s3://elsewhere/sha256-{'0' * 64}.tar.gz}}\n"
        )
        result = world.publish("--manifest", world.manifest, all_=False)
        assert [row[:2] for row in rows(result)] == [["acme", "uploaded"]]
        told = identity_of(world.adapters / "acme-v7")
        assert world.parsed().adapters[0].known_digest == told
        assert list(world.s3.bodies(BUCKET)) == [f"prod/acme/sha256-{told}.tar.gz"]

    def test_nothing_to_publish_and_one_name_for_several_adapters_are_refused(self, world: World) -> None:
        result = world.publish("--manifest", world.manifest, all_=False)
        assert (result.exit_code, "there is nothing to publish" in result.stderr) == (1, True)
        world.add("acme", "beta")
        result = world.publish("--name", "x")
        assert (result.exit_code, "--name is for one adapter, got 2" in result.stderr) == (2, True)

    def test_two_adapters_of_one_name_are_refused_whatever_the_case(self, world: World) -> None:
        one = world.add("acme")
        other = SyntheticAdapter().save(world.folder / "Acme")
        result = world.publish(world.adapters, other)
        assert (result.exit_code, world.s3.calls) == (1, [])
        assert "name: should be its own, whatever the case" in result.stderr
        assert "; rename one of them" in result.stderr
        # Nothing says whether a directory or the archive beside it is meant.
        pack(one, world.adapters / "acme.tar.gz")
        result = world.publish()
        assert (result.exit_code, world.s3.calls) == (1, [])
        assert f"{one} has it, got 'acme'; name the one that is meant, or remove the other" in result.stderr
        assert world.publish(one).exit_code == 0

    @pytest.mark.parametrize("typed", ["customer-a", "customer-a/", ".", ".."])
    def test_link_is_published_by_its_own_name(
        self, world: World, monkeypatch: pytest.MonkeyPatch, typed: str
    ) -> None:
        release = world.add("2025-11-01")
        link = world.folder / "customers" / "customer-a"
        link.parent.mkdir()
        link.symlink_to(release)
        inside = {".": link, "..": link / "checkpoint-10"}.get(typed, link.parent)
        inside.mkdir(exist_ok=True)
        monkeypatch.chdir(inside)
        monkeypatch.setenv("PWD", str(inside))
        result = world.publish(typed, "--manifest", world.manifest)
        assert [row[:2] for row in rows(result)] == [["customer-a", "uploaded"]]
        assert [adapter.name for adapter in world.parsed().adapters] == ["customer-a"]

    def test_name_that_no_component_may_have_fails_that_adapter(self, world: World) -> None:
        world.add("my_adapter", "beta")
        result = world.publish()
        assert "; rename it, or publish it alone with another --name" in result.stderr
        assert [row[:2] for row in rows(result)] == [["beta", "uploaded"], ["my_adapter", "failed"]]
        assert "should be letters, digits and hyphens" in result.stderr

    @pytest.mark.parametrize(
        ("path", "code", "words"),
        [
            ("nowhere", 2, "there is no such file"),
            ("notes.txt", 1, "should be a directory, or an archive"),
            ("browser", 1, "adapter_config.json is missing; rename 'adapter_config (1).json'"),
        ],
    )
    def test_path_that_leads_to_no_adapter_is_refused(
        self, world: World, path: str, code: int, words: str
    ) -> None:
        (world.folder / "notes.txt").write_text("")
        (world.folder / "browser").mkdir()
        (world.folder / "browser" / "adapter_config (1).json").touch()
        result = world.publish(world.folder / path)
        assert (result.exit_code, words in result.stderr) == (code, True)

    @pytest.mark.parametrize(
        ("destination", "code", "words"),
        [
            ("s3://other/prod", 4, "there is no bucket 'other'"),
            ("s3://", 2, "should be 's3://<bucket>/<prefix>'"),
        ],
    )
    def test_destination_that_is_no_place_is_told_once(
        self, world: World, destination: str, code: int, words: str
    ) -> None:
        world.add("acme", "beta")
        result = world.publish(destination=destination)
        assert (result.exit_code, result.stderr.count(words)) == (code, 1)


class TestFailures:
    @pytest.mark.parametrize(
        ("code", "states"),
        [
            # What failed is the last line.
            ("AccessDenied", {"beta": "uploaded", "acme": "failed"}),
            # The upload beside a deletion is tried again.
            ("ConditionalRequestConflict", {"acme": "uploaded", "beta": "uploaded"}),
        ],
    )
    def test_upload_that_fails_does_not_stop_the_others(
        self, world: World, code: str, states: dict[str, str]
    ) -> None:
        world.add("acme", "beta")
        refused = [client_error(code, "no")]

        def refuse(operation: str) -> None:
            if operation == "put_object" and refused:
                raise refused.pop()

        world.s3.before = refuse
        result = world.publish("--manifest", world.manifest, jobs=1)
        assert [row[:2] for row in rows(result)] == [[*state] for state in states.items()]
        assert len(world.parsed().adapters) == list(states.values()).count("uploaded")
        assert (f"acme: no ({code})" in result.stderr) is ("failed" in states.values())


class TestManifest:
    def test_new_one_has_artifact_rank_and_base_and_may_be_json(self, depot: World) -> None:
        depot.publish("--manifest", depot.manifest)
        entry = {"name": "acme", "artifact": depot.uri("acme"), "checksum": depot.checksum("acme")}
        lines = "\n    ".join(f"{key}: {value}" for key, value in entry.items())
        assert depot.manifest.read_text() == (
            f"base_model: acme/tiny-base\nadapters:\n  - {lines}\n    rank: 8\n"
        )
        path = depot.folder / "fleet.json"
        depot.publish("--manifest", path)
        document = {"base_model": "acme/tiny-base", "adapters": [entry | {"rank": 8}]}
        assert json.loads(path.read_text()) == document

    def test_share_of_the_callers_is_declared_with_the_version(self, depot: World) -> None:
        assert depot.publish("--manifest", depot.manifest, "--percent", "5").exit_code == 0
        (entry,) = Manifest.parse(depot.manifest.read_bytes(), where="", folder=None).adapters
        assert entry.percent == 5
        assert depot.publish("--percent", "5").exit_code == 2

    def test_mistakes_of_it_and_of_the_new_entry_are_told_before_anything_is_uploaded(
        self, depot: World
    ) -> None:
        result = depot.publish("--manifest", depot.manifest, destination=f"s3://my-adapters/{'x' * 940}")
        assert (result.exit_code, depot.s3.objects, depot.manifest.exists()) == (1, {}, False)
        assert "adapter 'acme': artifact: should have at most 1024 characters" in result.stderr
        depot.s3.calls.clear()
        depot.manifest.write_text("adapters: [{name: acme, rnak: 8}]")
        result = depot.publish("--manifest", depot.manifest)
        assert (result.exit_code, depot.s3.calls) == (1, [])
        assert "[manifest-keys]" in result.stderr

    @pytest.mark.parametrize("options", [[], ["--dry-run"]])
    def test_change_that_it_cannot_take_is_refused_before_anything_is_uploaded(
        self, depot: World, options: list[str]
    ) -> None:
        entry = '{"name": "acme", "artifact": "./adapters/acme", "smoke": {"prompt": "\x80"}}'
        depot.manifest.write_text(f'{{"adapters": [{entry}]}}')
        result = depot.publish(depot.adapters / "acme", "--manifest", depot.manifest, *options)
        assert (result.exit_code, depot.s3.objects) == (1, {})
        assert "it cannot be changed, as where YAML" in result.stderr

    def test_folder_that_takes_no_file_is_told_before_anything_is_uploaded(
        self, depot: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Path) -> None:
            raise PermissionError(13, "Permission denied", str(path))

        monkeypatch.setattr(Path, "touch", refuse)  # root, as which tests may run, may write everywhere
        result = depot.publish("--manifest", depot.manifest)
        assert (result.exit_code, depot.s3.calls) == (1, [])
        assert f"{depot.manifest}: it cannot be written: Permission denied" in result.stderr

    def test_one_that_is_written_meanwhile_is_read_again(self, depot: World) -> None:
        depot.s3.objects[BUCKET, "fleet.yaml"] = Object(b"adapters: []\n")
        theirs = [b"adapters: [{name: theirs, artifact: s3://elsewhere/sha256-%s.tar.gz}]" % (b"a" * 64)]

        def race(operation: str) -> None:
            if operation == "put_object" and (BUCKET, depot.key("acme")) in depot.s3.objects and theirs:
                depot.s3.objects[BUCKET, "fleet.yaml"] = Object(theirs.pop())

        depot.s3.before = race
        assert depot.publish("--manifest", STORED).exit_code == 0
        told = Manifest.parse(depot.s3.objects[BUCKET, "fleet.yaml"].body, where="", folder=None)
        assert [adapter.name for adapter in told.adapters] == ["theirs", "acme"]

    def test_one_that_others_write_all_the_time_is_given_up(self, depot: World) -> None:
        count = 0

        def race(operation: str) -> None:
            nonlocal count
            if operation == "put_object":
                count += 1
                depot.s3.objects[BUCKET, "fleet.yaml"] = Object(b"adapters: [] # %d" % count)

        depot.s3.before = race
        result = depot.publish("--manifest", STORED)
        assert result.exit_code == 1
        assert "others have written it 20 times" in result.stderr
        assert rows(result)[0][:2] == ["acme", "uploaded"]

    def test_link_to_a_manifest_stays_one_and_its_mode_as_well(self, depot: World) -> None:
        depot.manifest.write_text("adapters: []")
        depot.manifest.chmod(0o640)
        link = depot.folder / "link.yaml"
        link.symlink_to(depot.manifest)
        depot.publish("--manifest", link)
        assert link.is_symlink()
        assert depot.manifest.stat().st_mode & 0o777 == 0o640
        assert [adapter.name for adapter in depot.parsed().adapters] == ["acme"]

    def test_what_a_dead_writer_has_left_is_cleared(self, depot: World) -> None:
        left = depot.folder / ".fleet.yaml.next"
        left.write_text("half")
        os.utime(left, (1, 1))
        assert depot.publish("--manifest", depot.manifest).exit_code == 0
        assert not left.exists()

    @pytest.mark.parametrize("platform", ["POSIX", "Windows"])
    def test_slow_writer_loses_nothing_to_another(
        self, tmp_path: Path, platform: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if platform == "Windows":
            monkeypatch.setattr(folder_lock, "fcntl", None)
        place = EditableManifest.of(str(tmp_path / "fleet.yaml"), Account())
        began, may_end = threading.Event(), threading.Event()

        def slowly(before: bytes) -> bytes:
            began.set()
            assert may_end.wait(10)
            return before + b"# slow\n"

        with ThreadPoolExecutor(2) as threads:
            slow = threads.submit(place.update, slowly)
            assert began.wait(10)
            quick = threads.submit(place.update, lambda before: before + b"# quick\n")
            time.sleep(0.1)
            assert not quick.done()
            may_end.set()
            assert slow.result(10)
            assert quick.result(10)
        assert place.read() == b"adapters: []\n# slow\n# quick\n"

    @pytest.mark.parametrize(
        ("place", "code"), [("no/such/folder/fleet.yaml", 1), ("s3://my-adapters", 2), ("adapters", 1)]
    )
    def test_place_that_can_hold_none_is_refused(self, depot: World, place: str, code: int) -> None:
        if not place.startswith("s3:"):
            place = str(depot.folder / place)
        result = depot.publish("--manifest", place)
        assert (result.exit_code, depot.s3.calls) == (code, [])


class TestBaseModel:
    def test_manifest_of_another_base_fails_the_adapter_unless_that_base_is_given(self, depot: World) -> None:
        depot.manifest.write_text("base_model: org/other\nadapters: []\n")
        result = depot.publish("--manifest", depot.manifest)
        assert (result.exit_code, depot.s3.objects) == (1, {})
        assert "it was trained for 'acme/tiny-base', and is to run on 'org/other'" in result.stderr
        result = depot.publish("--manifest", depot.manifest, "--base-model", "acme/tiny-base")
        assert (result.exit_code, depot.s3.objects) == (1, {})
        assert "base_model: should be 'acme/tiny-base' ('--base-model'), got 'org/other'" in result.stderr
        result = depot.publish("--manifest", depot.manifest, "--base-model", "org/other")
        assert (result.exit_code, "[base-model-name]" in result.stderr) == (0, True)

    @pytest.mark.parametrize("base", [" ", ".", "s3://bucket/base"])
    def test_base_that_is_no_name_is_wrong_usage(self, depot: World, base: str) -> None:
        result = depot.publish("--manifest", depot.manifest, "--base-model", base)
        assert (result.exit_code, depot.s3.calls) == (2, [])
        assert f"'--base-model' should be the name of a model and no path, got {base!r}" in result.stderr

    def test_adapters_of_two_bases_are_not_for_one_manifest(self, depot: World) -> None:
        other = SyntheticAdapter()
        other.config["base_model_name_or_path"] = "org/other"
        other.save(depot.adapters / "beta")
        result = depot.publish("--manifest", depot.manifest)
        assert (result.exit_code, depot.s3.objects) == (1, {})
        assert "'acme/tiny-base': acme" in result.stderr
        assert "'org/other': beta" in result.stderr

    @pytest.mark.parametrize(
        ("options", "text"),
        [(["--base-model", "meta-llama/Llama-3.1-8B"], ""), ([], "base_model: meta-llama/Llama-3.1-8B\n")],
    )
    def test_dimensions_are_compared_with_those_of_a_well_known_base(
        self, world: World, options: list[str], text: str
    ) -> None:
        adapter = SyntheticAdapter()
        adapter.config["base_model_name_or_path"] = "meta-llama/Llama-3.1-8B"
        adapter.save(world.adapters / "acme")
        world.manifest.write_text(f"{text}adapters: []\n")
        result = world.publish("--manifest", world.manifest, *options)
        assert (result.exit_code, world.s3.objects) == (1, {})
        assert "[base-model-module]" in result.stderr

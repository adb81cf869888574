"""Publishing that is interrupted at any of its steps, and run again."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapter_fleet.artifacts import tar
from adapter_fleet.fleet.state.archive_version import checksum_text
from adapter_fleet.manifest.manifest import Manifest
from adapter_fleet.manifest.manifest_adapter import S3Artifact
from adapter_rules.archives import packing
from adapter_rules.archives.packing import identity_of
from tests.cli.publishing import BUCKET, STORED, World
from tests.fakes import Object

pytestmark = pytest.mark.slow

OLD = "s3://my-adapters/old/sha256-" + "0" * 64 + ".tar.gz"
MANIFEST = f"# ours\nadapters:\n  - name: beta  # a customer\n    artifact: {OLD}\n".encode()


class Steps:
    """Counts what a run does on the way, and ends it at one of the steps as a Ctrl-C or a kill would.

    Steps are before and after each call of S3 and the end of each adapter that is packed, and before and
    after what replaces a file.
    """

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch, end: int | None = None) -> None:
        self.count = 0
        self._end = end
        world.s3.before = world.s3.after = self._step
        monkeypatch.setattr(packing, "canonical_end", self._stepping(tar.canonical_end))
        monkeypatch.setattr(os, "fsync", self._stepping(os.fsync))
        monkeypatch.setattr(Path, "replace", self._stepping(Path.replace))

    def _step(self, _: str = "") -> None:
        self.count += 1
        if self.count == self._end:
            raise KeyboardInterrupt

    def _stepping(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            self._step()
            result = function(*arguments)
            self._step()
            return result

        return wrapped


class Story:
    """Adapters to publish, and a manifest that names an old version of one, in a file or in S3."""

    def __init__(self, folder: Path, *, stored: bool) -> None:
        self.world = World(folder)
        self.world.add("acme", "beta", "delta", "gamma")
        self._place = STORED if stored else str(self.world.manifest)
        self.world.s3.objects[BUCKET, OLD.removeprefix("s3://my-adapters/")] = Object(b"old")
        if stored:
            self.world.s3.objects[BUCKET, "fleet.yaml"] = Object(MANIFEST)
        else:
            self.world.manifest.write_bytes(MANIFEST)

    def run(self, monkeypatch: pytest.MonkeyPatch, end: int | None = None) -> int:
        """Publish up to a step; return how many there were."""
        with monkeypatch.context() as patch:
            steps = Steps(self.world, patch, end)
            self.world.publish("--manifest", self._place, jobs=1)
        return steps.count

    @property
    def manifest(self) -> bytes:
        if self._place == STORED:
            return self.world.s3.objects[BUCKET, "fleet.yaml"].body
        return self.world.manifest.read_bytes()

    @property
    def result(self) -> tuple[dict[str, str], bytes, list[str]]:
        """The adapters in the bucket by key, the manifest, and the files of its folder.

        The bytes of an archive may differ from run to run, so it counts as the adapter that it holds, and its
        checksum in the manifest as this adapter's identity.
        """
        manifest, held = self.manifest, {}
        for (_, key), stored in self.world.s3.objects.items():
            if stored.body not in (b"old", manifest):
                held[key] = identity_of(io.BytesIO(stored.body))
                checksum = checksum_text(stored.checksum)
                assert checksum is not None
                assert checksum.encode() in manifest
                manifest = manifest.replace(checksum.encode(), held[key].encode())
        return held, manifest, sorted(path.name for path in self.world.folder.iterdir())

    def missing(self) -> list[str]:
        """Return what the manifest names that is not there."""
        manifest = Manifest.parse(self.manifest, where="", folder=None)
        uris = [
            adapter.artifact.uri for adapter in manifest.adapters if isinstance(adapter.artifact, S3Artifact)
        ]
        stored = {f"s3://{BUCKET}/{key}" for key in self.world.s3.bodies(BUCKET)}
        return [uri for uri in uris if uri not in stored]


@pytest.mark.parametrize("stored", [False, True], ids=["manifest in a file", "manifest in S3"])
def test_run_after_an_interruption_ends_like_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: bool
) -> None:
    undisturbed = Story(tmp_path / "undisturbed", stored=stored)
    steps = undisturbed.run(monkeypatch)
    assert steps >= 20
    for step in range(1, steps + 1):
        story = Story(tmp_path / f"{step}", stored=stored)
        assert story.run(monkeypatch, end=step) >= step
        assert story.manifest in (MANIFEST, undisturbed.manifest)
        assert story.missing() == []
        story.run(monkeypatch)
        assert story.result == undisturbed.result, f"interrupted at step {step} of {steps}"

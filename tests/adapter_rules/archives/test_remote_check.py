import gzip
import io
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from botocore.exceptions import ClientError

from adapter_fleet.serving.base_model import BaseModelFacts
from adapter_rules.archives.packing import PackedAdapter, pack
from adapter_rules.archives.remote_check import StoredCheck, check_object
from tests.adapter_fleet.artifacts.test_foreign_content import tarred
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.adapter_rules.findings_of import findings_of
from tests.fakes import FakeS3


@pytest.fixture
def s3() -> FakeS3:
    return FakeS3()


@pytest.fixture
def large(adapter: SyntheticAdapter) -> SyntheticAdapter:
    """An adapter of two megabytes."""
    return replace(adapter, layers=500)


def published(s3: FakeS3, directory: Path, *, key: str | None = None) -> str:
    """Put an adapter where `adapters publish` puts it."""
    packed: PackedAdapter = pack(directory, directory.parent / "packed.tar.gz")
    key = key or f"ectsum/sha256-{packed.identity}.tar.gz"
    s3.put("bucket", key, packed.path.read_bytes())
    return key


def check(s3: FakeS3, key: str, **options: Any) -> StoredCheck:
    return check_object(cast(Any, s3), "bucket", key, **options)


def foreign(directory: Path) -> bytes:
    """Pack as `tar -czf` does."""
    return gzip.compress(tarred(directory), 1)


class TestOurs:
    def test_published_archive_is_checked_from_its_first_bytes(
        self, s3: FakeS3, large: SyntheticAdapter
    ) -> None:
        key = published(s3, large.save())
        done = check(s3, key, base=BaseModelFacts(name="tiny-base"))
        assert [finding.rule for finding in done.findings] == ["base-model-compared"]
        assert done.size == len(s3.objects["bucket", key].body) > 1_000_000
        assert done.bytes_read == s3.bytes_read < 0.1 * done.size
        assert len(s3.calls) == 2

    def test_findings_are_those_of_the_archive(self, s3: FakeS3, large: SyntheticAdapter) -> None:
        large.config |= {"use_dora": True, "r": 4}
        key = published(s3, large.save())
        done = check(s3, key)
        archive = io.BytesIO(s3.objects["bucket", key].body)
        assert done.findings == findings_of(archive, where=f"s3://bucket/{key}")
        assert len(done.findings) > 2
        assert done.bytes_read < 0.1 * done.size

    @pytest.mark.slow
    def test_header_longer_than_the_first_bytes_is_read_in_a_few_more(
        self, s3: FakeS3, adapter: SyntheticAdapter
    ) -> None:
        adapter = replace(adapter, layers=1)
        random = np.random.default_rng(0)
        names = ["".join(map(chr, random.integers(97, 123, 60))) for _ in range(4000)]
        adapter.config["target_modules"] = names
        for name in names:
            adapter.tensors[f"base_model.model.{name}.lora_A.weight"] = np.zeros((8, 1), np.float32)
            adapter.tensors[f"base_model.model.{name}.lora_B.weight"] = np.zeros((1, 8), np.float32)
        adapter.tensors["base_model.model.z.lora_A.weight"] = random.standard_normal((8, 200_000), np.float32)
        adapter.tensors["base_model.model.z.lora_B.weight"] = np.zeros((1, 8), np.float32)
        adapter.config["target_modules"] += ["z", "q_proj", "v_proj"]
        done = check(s3, published(s3, adapter.save()))
        assert done.findings == []
        assert 64 * 1024 < done.bytes_read < 0.3 * done.size
        assert len(s3.calls) < 10

    @pytest.mark.slow
    @pytest.mark.parametrize(("whole", "rules"), [(False, []), (True, ["tensor-finite"])])
    def test_weights_are_read_where_that_is_asked_for(
        self, s3: FakeS3, adapter: SyntheticAdapter, whole: bool, rules: list[str]
    ) -> None:
        adapter = replace(adapter, layers=1000)
        adapter.tensors["base_model.model.model.layers.999.self_attn.v_proj.lora_B.weight"][0, 1] = np.nan
        key = published(s3, adapter.save())
        done = check(s3, key, whole=whole)
        assert [finding.rule for finding in done.findings] == rules
        assert done.bytes_read == s3.bytes_read
        assert (done.bytes_read < 0.1 * done.size) is not whole

    @pytest.mark.parametrize("part", [0.5, 0.999])
    def test_archive_that_is_cut_off_is_not_taken_for_ours(
        self, s3: FakeS3, large: SyntheticAdapter, part: float
    ) -> None:
        key = published(s3, large.save())
        whole = s3.objects["bucket", key].body
        s3.put("bucket", key, whole[: int(part * len(whole))])
        assert [finding.rule for finding in check(s3, key).findings] == ["archive-damaged"]

    def test_archive_with_another_file_behind_the_weights_is_not_taken_for_ours(
        self, s3: FakeS3, adapter: SyntheticAdapter
    ) -> None:
        directory = adapter.save()
        key = published(s3, directory)
        (directory / "model.py").write_text("import os" * 10_000)
        tar = gzip.decompress(s3.objects["bucket", key].body)
        extended = io.BytesIO(tar)
        with tarfile.open(fileobj=extended, mode="a") as archive:
            archive.add(directory / "model.py", "model.py")
        data = gzip.compress(extended.getvalue(), mtime=0)
        s3.put("bucket", key, data[:9] + b"\xff" + data[10:])
        assert [finding.rule for finding in check(s3, key).findings] == ["file-code", "archive-digest"]

    def test_whole_archive_is_compared_with_the_digest_in_its_key(
        self, s3: FakeS3, adapter: SyntheticAdapter
    ) -> None:
        key = published(s3, adapter.save())
        adapter.config["init_lora_weights"] = "pissa"
        published(s3, adapter.save(), key=key)
        assert [finding.rule for finding in check(s3, key).findings] == ["lora-initialisation"]
        found = check(s3, key, whole=True).findings
        assert [finding.rule for finding in found] == ["lora-initialisation", "archive-digest"]


class TestForeign:
    KEY = "ectsum.tar.gz"

    def test_foreign_archive_is_read_once_in_ranges_that_grow(
        self, s3: FakeS3, large: SyntheticAdapter
    ) -> None:
        s3.put("bucket", self.KEY, foreign(large.save()))
        done = check(s3, self.KEY)
        assert done.findings == []
        assert done.bytes_read == s3.bytes_read == done.size
        assert s3.closed == len(s3.calls) <= 8

    @pytest.mark.slow
    def test_foreign_archive_under_a_key_of_ours_is_not_what_the_key_says(
        self, s3: FakeS3, large: SyntheticAdapter
    ) -> None:
        directory = large.save()
        key = published(s3, directory)
        s3.put("bucket", key, foreign(directory))
        assert [finding.rule for finding in check(s3, key).findings] == ["archive-digest"]

    @pytest.mark.slow
    def test_connection_that_is_cut_is_taken_up_where_it_was(
        self, s3: FakeS3, large: SyntheticAdapter
    ) -> None:
        s3.put("bucket", self.KEY, foreign(large.save()))
        check(s3, self.KEY)
        calls, s3.cuts = len(s3.calls), 2
        done = check(s3, self.KEY)
        assert (done.findings, done.bytes_read) == ([], done.size)
        assert len(s3.calls) == 2 * calls + 2

    def test_object_that_changes_meanwhile_is_an_error(
        self, s3: FakeS3, large: SyntheticAdapter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        s3.put("bucket", self.KEY, foreign(large.save()))
        get = s3.get_object

        def get_and_change(**request: Any) -> dict[str, Any]:
            answer = get(**request)
            s3.objects["bucket", self.KEY].body += b"\0"
            return answer

        monkeypatch.setattr(s3, "get_object", get_and_change)
        with pytest.raises(ClientError, match="PreconditionFailed"):
            check(s3, self.KEY)

    @pytest.mark.parametrize("content", [b"", b"\x1f", b"hello", bytes(100_000)])
    def test_anything_else_is_refused_after_its_first_bytes(self, s3: FakeS3, content: bytes) -> None:
        s3.put("bucket", self.KEY, content)
        done = check(s3, self.KEY)
        assert [finding.rule for finding in done.findings] == ["archive-gzip"]
        assert done.bytes_read <= 32 * 1024

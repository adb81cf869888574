"""Files that are no adapters, as the programs that the tests name write them."""

import bz2
import gzip
import io
import json
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.adapter_rules.findings_of import findings_of, the_only

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 13648688\n"


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", b"x")
    return buffer.getvalue()


def tarred(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(directory / CONFIG, CONFIG)
        archive.add(directory / WEIGHTS, WEIGHTS)
    return buffer.getvalue()


def assert_named(place: Path, what: str, remedy: str = "") -> None:
    finding = the_only(findings_of(place))
    assert finding.rule == "file-content"
    assert what in finding.message
    assert remedy in finding.message


@pytest.mark.parametrize(
    ("content", "what", "remedy"),
    [
        (LFS, "a Git LFS pointer", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>Sign in", "an HTML page", "download it again"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied', "an XML document", "download it again"),
        (b"GGUF\x03\0\0\0\x10", "a GGUF file", "save_pretrained"),
        (pickle.dumps({"lora_A": [1.0] * 99}), "a pickle", "save_pretrained"),
        (zipped(), "torch.save", "save_pretrained"),
        (gzip.compress(b"x" * 99, mtime=0), "a gzip file", "unpack"),
        (b'{"error": "not found"}', "a JSON text", "the weights"),
        (b"Invalid username or password.", "a text that begins with 'Invalid u'", "hf auth login"),
    ],
)
def test_weights_that_are_something_else_are_named(
    adapter: SyntheticAdapter, content: bytes, what: str, remedy: str
) -> None:
    directory = adapter.save()
    (directory / WEIGHTS).write_bytes(content)
    assert_named(directory, what, remedy)


@pytest.mark.parametrize(
    ("packed", "what", "remedy"),
    [
        (lambda _: zipped(), "a zip", "tar -czf"),
        (tarred, "a plain tar", "gzip -c FILE >"),
        (lambda directory: bz2.compress(tarred(directory)), "a bzip2 file", "tar -czf"),
        (lambda directory: (directory / WEIGHTS).read_bytes(), "a safetensors file", "tar -czf"),
        (lambda _: LFS, "a Git LFS pointer", "git lfs pull"),
    ],
)
def test_archive_that_is_something_else_is_named(
    adapter: SyntheticAdapter, tmp_path: Path, packed: Callable[[Path], bytes], what: str, remedy: str
) -> None:
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(packed(adapter.save()))
    assert_named(archive, what, remedy)


def test_archive_of_no_bytes_is_empty(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").touch()
    assert the_only(findings_of(tmp_path / "a.tar.gz")).message == "it is empty"


@pytest.mark.parametrize(
    ("names", "what"),
    [
        (["config.json", "model-00001-of-00004.safetensors", "tokenizer.json"], "a whole model"),
        (["pytorch_model.bin", "config.json"], "a whole model"),
        ([CONFIG, "adapters.safetensors"], "an adapter of MLX"),
        (["pytorch_lora_weights.safetensors"], "an adapter of diffusers"),
        (["model-q4_k_m.gguf", "README.md"], "a GGUF file"),
        (["checkpoint-500/", "checkpoint-1000/", "README.md"], "checkpoint-500, checkpoint-1000"),
        (["blobs/", "refs/", "snapshots/"], "a folder of the Hugging Face cache: name"),
        (["refs/", "snapshots/"], "cache, without the blobs that its links lead to: copy"),
        ([CONFIG, f"{WEIGHTS}.index.json", "adapter_model-00001-of-00003.safetensors"], "into 3 pieces"),
        ([f"{WEIGHTS}.index.json"], "into several pieces"),
    ],
)
def test_folder_of_something_else_is_named_in_one_finding(
    tmp_path: Path, names: list[str], what: str
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in names:
        (folder / name).mkdir() if name.endswith("/") else (folder / name).write_text("x")
    with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as tar:
        tar.add(folder, ".")
    for place in (folder, tmp_path / "model.tar.gz"):
        assert_named(place, what)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        (WEIGHTS, "adapter_model (1).safetensors"),
        (WEIGHTS, "adapter_model.safetensors.part"),
        (CONFIG, "adapter_config.json.txt"),
        (CONFIG, "Adapter_Config.json"),
    ],
)
def test_file_that_a_browser_or_windows_renamed_is_named(
    adapter: SyntheticAdapter, name: str, called: str
) -> None:
    directory = adapter.save()
    (directory / name).rename(directory / called)
    messages = [finding.message for finding in findings_of(directory)]
    assert f"the file {name} is missing; rename {called!r}" in messages


def test_copy_beside_the_files_of_an_adapter_is_not_to_be_renamed(adapter: SyntheticAdapter) -> None:
    directory = adapter.save()
    (directory / "adapter_config.json.bak").write_text("{}")
    assert the_only(findings_of(directory)).rule == "file-unexpected"


def test_piece_beside_the_weights_is_named(adapter: SyntheticAdapter) -> None:
    directory = adapter.save()
    (directory / "adapter_model-00001-of-00002.safetensors").touch()
    assert "it is one of several pieces" in the_only(findings_of(directory)).message


def test_comment_in_a_configuration_is_named(adapter: SyntheticAdapter) -> None:
    directory = adapter.save()
    text = json.dumps(adapter.config, indent=1).replace("{\n", "{\n // rank\n", 1)
    (directory / CONFIG).write_text(text)
    assert the_only(findings_of(directory)).message.endswith("; JSON has no comments")


def test_whole_model_under_the_name_of_an_adapter_is_named_in_one_finding(adapter: SyntheticAdapter) -> None:
    layers = "model.layers.0.self_attn.{}_proj.weight"
    adapter.tensors.clear()
    adapter.tensors.update({layers.format(name): np.ones((8, 8), np.float32) for name in "qkvo"})
    adapter.tensors["lm_head.weight"] = np.ones((8, 8), np.float32)
    assert "the weights of a whole model" in the_only(findings_of(adapter.save())).message


def test_what_desktops_leave_is_no_part_of_an_adapter(adapter: SyntheticAdapter) -> None:
    directory = adapter.save()
    (directory / "__MACOSX").mkdir()
    for name in ("._adapter_config.json", "Thumbs.db", "desktop.ini"):
        (directory / name).write_text("x")
    assert findings_of(directory) == []


def test_archive_of_the_folder_has_one_finding_a_file(adapter: SyntheticAdapter, tmp_path: Path) -> None:
    nested = adapter.save()
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for file in sorted(nested.iterdir()):
            tar.add(file, f"acme/{file.name}")
    assert [finding.rule for finding in findings_of(archive)] == ["file-at-root"] * 2


def test_another_method_than_lora_is_all_that_is_told(adapter: SyntheticAdapter) -> None:
    adapter.config.clear()
    adapter.config["peft_type"] = "PROMPT_TUNING"
    assert the_only(findings_of(adapter.save())).message == (
        "'peft_type' should be 'LORA', got 'PROMPT_TUNING': it is another method, and the engines serve LoRA"
        " alone"
    )


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (
            b"Access to model acme/lora is restricted.",
            "begins with 'Access to model acme/lora is restricted.'",
        ),
        (b'{"base_model": "acme/base", "lora_r": 8, "output_dir": "out"}', "of a training run, not PEFT's"),
        ('{"peft_type": "LORA"}'.encode("utf-16"), "UTF-16"),
    ],
)
def test_configuration_that_is_something_else_is_named(
    adapter: SyntheticAdapter, content: bytes, what: str
) -> None:
    directory = adapter.save()
    (directory / CONFIG).write_bytes(content)
    assert what in the_only(findings_of(directory)).message


@pytest.mark.parametrize(
    ("wrapper", "what"),
    [
        ("_orig_mod.", "the names have '_orig_mod.', which torch.compile puts there: save the unwrapped"),
        ("_fsdp_wrapped_module.", "the names have '_fsdp_wrapped_module.', which FSDP puts there"),
        ("", "it has 8 tensors without elements, as DeepSpeed ZeRO-3 leaves them: gather the weights"),
    ],
)
def test_weights_that_a_trainer_wraps_or_shards_are_named_in_one_finding(
    adapter: SyntheticAdapter, wrapper: str, what: str
) -> None:
    adapter.tensors = {
        name.replace("self_attn", f"{wrapper}self_attn"): tensor if wrapper else tensor[:0, 0]
        for name, tensor in adapter.tensors.items()
    }
    assert what in the_only(findings_of(adapter.save())).message


def test_byte_order_mark_is_read_in_a_folder_and_refused_in_an_archive(
    adapter: SyntheticAdapter, tmp_path: Path
) -> None:
    directory = adapter.save()
    (directory / CONFIG).write_text(json.dumps(adapter.config), "utf-8-sig")
    assert findings_of(directory) == []
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(tarred(directory)))
    finding = the_only(findings_of(archive))
    assert "byte order mark" in finding.message
    assert "publish its folder" in finding.message

"""Makes a corpus of bad adapters, each to be refused by the rule it is filed under.

    python -m tests.adapter_fleet.bad_adapters DIRECTORY

Writes an adapter or an archive for each, `corpus.json` with the rule of each, and `base/config.json`, the
base model that they are to be checked for. Some are what goes wrong by mistake, others were made to cost as
much as can be: time in the square of their size, or memory.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import struct
import sys
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
HIDDEN, RANK, MAX_RANK = 32, 8, 16
MIB = 1024 * 1024
BASE = {
    "_name_or_path": "acme/tiny-base",
    "model_type": "llama",
    "hidden_size": HIDDEN,
    "intermediate_size": 4 * HIDDEN,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "vocab_size": 100,
}
MODULE = "base_model.model.model.layers.0.self_attn.q_proj"

Make = Callable[[Path], object]
Shapes = dict[str, tuple[int, ...]]

CORPUS: dict[str, tuple[str, Make]] = {}
"""What makes each, and its rule, by name. It is given the path that it is to fill."""


def filed(rule: str) -> Callable[[Make], Make]:
    """Add what a function makes, under the function's name."""

    def add(make: Make) -> Make:
        name = make.__name__
        is_archive = name.startswith("archive_")
        CORPUS[name.removeprefix("archive_") + (".tar.gz" if is_archive else "")] = (rule, make)
        return make

    return add


def config(**changes: Any) -> bytes:
    sound = {
        "peft_type": "LORA",
        "base_model_name_or_path": "acme/tiny-base",
        "r": RANK,
        "lora_alpha": 16,
        "target_modules": ["q_proj"],
    }
    return json.dumps({key: value for key, value in (sound | changes).items() if value != "absent"}).encode()


PAIR: Shapes = {f"{MODULE}.lora_A.weight": (RANK, HIDDEN), f"{MODULE}.lora_B.weight": (HIDDEN, RANK)}


def header_of(shapes: Mapping[str, tuple[int, ...]], dtype: str = "F32") -> dict[str, Any]:
    header: dict[str, Any] = {}
    position = 0
    for name, shape in shapes.items():
        size = 4
        for number in shape:
            size *= number
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [position, position + size]}
        position += size
    return header


def weights(header: Any, data: bytes | int | None = None, *, length: int | None = None) -> bytes:
    """A safetensors file. `data` are the bytes behind the header or their number, `length` what it claims."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    if data is None:
        data = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    content = data if isinstance(data, bytes) else bytes(data)
    return struct.pack("<Q", len(text) if length is None else length) + text + content


SOUND_CONFIG, SOUND_WEIGHTS = config(), weights(header_of(PAIR))


def directory(path: Path, files: dict[str, bytes] | None = None, **more: bytes) -> Path:
    path.mkdir()
    for name, content in {CONFIG: SOUND_CONFIG, WEIGHTS: SOUND_WEIGHTS, **(files or {})}.items():
        (path / name).write_bytes(content)
    return path


def with_config(path: Path, content: bytes) -> None:
    directory(path, {CONFIG: content})


def with_weights(path: Path, content: bytes) -> None:
    directory(path, {WEIGHTS: content})


Entry = tuple[tarfile.TarInfo, bytes]


def entry(
    name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, link: str = "", **pax: str
) -> Entry:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, len(content)
    made.pax_headers = pax
    return made, content


SOUND: tuple[Entry, ...] = (entry(CONFIG, SOUND_CONFIG), entry(WEIGHTS, SOUND_WEIGHTS))


def tar_of(entries: Iterable[Entry]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for made, content in entries:
            tar.addfile(made, io.BytesIO(content))
    return buffer.getvalue()


def without_end(entries: Iterable[Entry]) -> bytes:
    return b"".join(made.tobuf() + padded(content) for made, content in entries)


def archive(path: Path, *more: Entry, sound: tuple[Entry, ...] = SOUND) -> None:
    path.write_bytes(gzip.compress(tar_of((*sound, *more)), 1))


def raw_header(name: bytes, size: int, kind: bytes, *, field: bytes | None = None) -> bytes:
    """A tar header that `tarfile` would not write."""
    block = bytearray(512)
    block[: len(name[:100])] = name[:100]
    block[100:108] = b"0000644\0"
    block[124:136] = field if field is not None else b"%011o\0" % size
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % 512)


def zeros(head: bytes, mebibytes: int) -> bytes:
    """A gzip file of `head` and zeros, a thousandth of their size. Its trailer is missing."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = compressor.compress(head) + compressor.flush(zlib.Z_FULL_FLUSH)
    plain = zlib.compressobj(9, zlib.DEFLATED, -15)
    return start + (plain.compress(bytes(MIB)) + plain.flush(zlib.Z_FULL_FLUSH)) * mebibytes


# Files of a directory.


@filed("path-readable")
def directory_that_is_not_there(path: Path) -> None:
    pass


@filed("file-missing")
def config_missing(path: Path) -> None:
    (directory(path) / CONFIG).unlink()


@filed("file-missing")
def weights_missing(path: Path) -> None:
    (directory(path) / WEIGHTS).unlink()


@filed("file-link")
def link(path: Path) -> None:
    config_of = directory(path) / CONFIG
    config_of.unlink()
    config_of.symlink_to("/etc/passwd")


@filed("file-unexpected")
def pipe(path: Path) -> None:
    os.mkfifo(directory(path) / "README.md")


@filed("file-unexpected")
def folder(path: Path) -> None:
    (directory(path) / "other-adapter").mkdir()


@filed("file-pickle")
def pickle(path: Path) -> None:
    directory(path, {"weights.bin": b"\x80\x04N."})


@filed("file-code")
def code(path: Path) -> None:
    directory(path, {"model.py": b"import os"})


@filed("file-code")
def requirements(path: Path) -> None:
    directory(path, {"requirements.txt": b"evil"})


@filed("file-unexpected")
def other_file(path: Path) -> None:
    directory(path, {"notes.json": b"{}"})


@filed("file-unexpected")
def many_files(path: Path) -> None:
    directory(path, {f"{number}.txt": b"" for number in range(2000)})


# The configuration.


@filed("config-json")
def config_of_many_bytes(path: Path) -> None:
    with_config(path, SOUND_CONFIG + b" " * 20 * MIB)


@filed("config-json")
def config_that_is_no_json(path: Path) -> None:
    with_config(path, b"r: 8\n")


@filed("config-json")
def config_nested_deeply(path: Path) -> None:
    with_config(path, b'{"r":' * 100_000)


@filed("config-json")
def config_with_a_number_of_a_million_digits(path: Path) -> None:
    with_config(path, b'{"r": ' + b"9" * 1_000_000 + b"}")


@filed("config-json")
def config_with_nan(path: Path) -> None:
    with_config(path, b'{"r": 8, "lora_alpha": NaN, "target_modules": ["q_proj"]}')


@filed("config-json")
def config_with_two_ranks(path: Path) -> None:
    with_config(path, SOUND_CONFIG.replace(b'"r": 8', b'"r": 8, "r": 512'))


@filed("config-json")
def config_with_many_keys_and_one_twice(path: Path) -> None:
    keys = [b'"%d":1' % number for number in range(80_000)]
    with_config(path, b"{" + b",".join([*keys, keys[-1]]) + b"}")


@filed("config-json")
def config_that_is_a_list(path: Path) -> None:
    with_config(path, b"[" + SOUND_CONFIG + b"]")


@filed("config-key")
def config_without_rank(path: Path) -> None:
    with_config(path, config(r="absent"))


@filed("config-key")
def config_with_alpha_as_a_string(path: Path) -> None:
    with_config(path, config(lora_alpha="16"))


@filed("config-key")
def config_with_a_nested_value(path: Path) -> None:
    with_config(path, SOUND_CONFIG.replace(b"16", b"[" * 700 + b"]" * 700))


@filed("config-key")
def rank_zero(path: Path) -> None:
    with_config(path, config(r=0))


@filed("lora-rank")
def rank_above_the_limit(path: Path) -> None:
    shapes = {f"{MODULE}.lora_A.weight": (32, HIDDEN), f"{MODULE}.lora_B.weight": (HIDDEN, 32)}
    directory(path, {CONFIG: config(r=32), WEIGHTS: weights(header_of(shapes))})


@filed("lora-method")
def loha(path: Path) -> None:
    with_config(path, config(peft_type="LOHA"))


@filed("lora-method")
def dora(path: Path) -> None:
    with_config(path, config(use_dora=True))


@filed("lora-bias")
def bias(path: Path) -> None:
    with_config(path, config(bias="all"))


@filed("lora-method")
def modules_to_save(path: Path) -> None:
    with_config(path, config(modules_to_save=["lm_head"] * 10_000))


@filed("lora-method")
def trainable_tokens(path: Path) -> None:
    with_config(path, config(trainable_token_indices=[1, 2]))


@filed("lora-method")
def layer_replication(path: Path) -> None:
    with_config(path, config(layer_replication=[[0, 1], [0, 1]]))


@filed("lora-scaling")
def module_of_another_scale(path: Path) -> None:
    with_config(path, config(alpha_pattern={"q_proj": 64}))


@filed("lora-method")
def activated_lora(path: Path) -> None:
    with_config(path, config(alora_invocation_tokens=[1, 2, 3]))


# The weights' file.


@filed("weights-truncated")
def weights_empty(path: Path) -> None:
    with_weights(path, b"")


@filed("weights-truncated")
def weights_cut_off(path: Path) -> None:
    with_weights(path, SOUND_WEIGHTS[:-1])


@filed("weights-header")
def header_of_terabytes(path: Path) -> None:
    with_weights(path, weights(b"{}", 0, length=2**42))


@filed("weights-header")
def header_of_gigabytes_that_are_there(path: Path) -> None:
    with_weights(path, weights(b"{}", 0, length=2**33))
    os.truncate(path / WEIGHTS, 2**34)


@filed("weights-header")
def header_that_is_no_json(path: Path) -> None:
    with_weights(path, weights(b"\x80\x04pickle", 0))


@filed("weights-header")
def header_nested_deeply(path: Path) -> None:
    with_weights(path, weights(b"[" * 15 * MIB, 0))


@filed("weights-header")
def header_of_millions_of_lists(path: Path) -> None:
    with_weights(path, weights(b'{"t":[' + b"[]," * 5_000_000 + b"1]}", 0))


@filed("weights-header")
def header_of_wide_characters(path: Path) -> None:
    with_weights(path, weights(b'{"t":"' + "😀".encode() * 4_000_000, 0))


@filed("weights-header")
def tensor_twice(path: Path) -> None:
    text = json.dumps(header_of(PAIR))[:-1] + "," + json.dumps(header_of(PAIR))[1:]
    with_weights(path, weights(text.encode(), 2048))


@filed("weights-header")
def many_tensors_and_one_twice(path: Path) -> None:
    keys = [b'"%d":0' % number for number in range(590_000)]
    with_weights(path, weights(b"{" + b",".join([*keys, keys[-1]]) + b"}", 0))


@filed("weights-header")
def metadata_that_is_no_text(path: Path) -> None:
    with_weights(path, weights({"__metadata__": {"step": 5}, **header_of(PAIR)}, 2048))


@filed("weights-header")
def tensor_without_offsets(path: Path) -> None:
    with_weights(path, weights({"t": {"dtype": "F32", "shape": [1]}}, 4))


@filed("weights-header")
def tensor_of_many_long_dimensions(path: Path) -> None:
    """Multiplying these takes hours."""
    shape = b",".join([b"9" * 4000] * 3900)
    with_weights(path, weights(b'{"t":{"dtype":"F32","shape":[' + shape + b'],"data_offsets":[0,4]}}', 4))


@filed("weights-header")
def unknown_dtype(path: Path) -> None:
    with_weights(path, weights(header_of(PAIR, "F4"), 2048))


@filed("weights-header")
def shape_that_does_not_fill_its_bytes(path: Path) -> None:
    header = header_of(PAIR)
    header[f"{MODULE}.lora_B.weight"]["shape"] = [HIDDEN, 4 * RANK]
    with_weights(path, weights(header, 2048))


@filed("weights-header")
def tensors_that_overlap(path: Path) -> None:
    header = header_of(PAIR)
    header[f"{MODULE}.lora_B.weight"]["data_offsets"] = [512, 1536]
    with_weights(path, weights(header, 1536))


@filed("weights-header")
def bytes_hidden_behind_the_tensors(path: Path) -> None:
    with_weights(path, SOUND_WEIGHTS + b"MZ" * 1000)


# The tensors.


def with_tensors(path: Path, shapes: Shapes, **changes: Any) -> None:
    directory(path, {CONFIG: config(**changes), WEIGHTS: weights(header_of(shapes))})


@filed("tensor-none")
def no_tensors(path: Path) -> None:
    with_tensors(path, {})


@filed("tensor-name")
def tensor_of_another_name(path: Path) -> None:
    with_tensors(path, {**PAIR, f"{MODULE}.lora_A.default.weight": (RANK, HIDDEN)})


@filed("tensor-name")
def tensor_of_a_name_of_a_million_parts(path: Path) -> None:
    with_tensors(path, {**PAIR, f"base_model.model.{'a.' * 1_000_000}lora_A.weight": (RANK, HIDDEN)})


@filed("lora-method")
def magnitudes_of_dora(path: Path) -> None:
    with_tensors(path, {**PAIR, f"{MODULE}.lora_magnitude_vector": (HIDDEN,)})


@filed("lora-bias")
def bias_among_the_tensors(path: Path) -> None:
    with_tensors(path, {**PAIR, f"{MODULE}.lora_B.bias": (HIDDEN,)})


@filed("tensor-of-base")
def layer_of_the_base(path: Path) -> None:
    with_tensors(path, {**PAIR, "base_model.model.lm_head.weight": (100, HIDDEN)})


@filed("tensor-dtype")
def integers(path: Path) -> None:
    with_weights(path, weights(header_of(PAIR, "I32"), 2048))


@filed("tensor-shape")
def half_a_pair(path: Path) -> None:
    with_tensors(path, {f"{MODULE}.lora_A.weight": (RANK, HIDDEN)})


@filed("tensor-shape")
def matrices_that_do_not_multiply(path: Path) -> None:
    with_tensors(path, {**PAIR, f"{MODULE}.lora_B.weight": (RANK, HIDDEN)})


@filed("tensor-config")
def tensors_of_another_rank(path: Path) -> None:
    with_tensors(path, PAIR, r=4)


@filed("tensor-config")
def many_tensors_of_another_rank_than_many(path: Path) -> None:
    shapes: Shapes = {}
    for number in range(40_000):
        shapes[f"base_model.model.{number}.q_proj.lora_A.weight"] = (1, 0)
        shapes[f"base_model.model.{number}.q_proj.lora_B.weight"] = (0, 1)
    with_tensors(path, shapes, rank_pattern={str(rank): rank for rank in range(2, 60_000)})


@filed("lora-scaling")
def many_modules_of_many_parts_with_many_patterns(path: Path) -> None:
    shapes: Shapes = {}
    for number in range(40_000):
        module = f"base_model.model.{number}" + ".a" * 25
        shapes |= {f"{module}.lora_A.weight": (RANK, 0), f"{module}.lora_B.weight": (0, RANK)}
    keys = [f"{number}" + ".a" * 5 for number in range(20_000)]
    pattern = dict.fromkeys(keys, 16) | {"39999" + ".a" * 25: 64}
    with_tensors(path, shapes, target_modules=["a"], rank_pattern={"q_proj": RANK}, alpha_pattern=pattern)


@filed("lora-scaling")
def pattern_that_never_ends(path: Path) -> None:
    with_tensors(path, PAIR, alpha_pattern={"(([a-z0-9_.])+.)+!": 64})


@filed("tensor-config")
def module_that_is_no_target(path: Path) -> None:
    with_tensors(path, PAIR, target_modules=["v_proj"])


@filed("tensor-config")
def many_modules_of_many_parts_that_are_no_targets(path: Path) -> None:
    shapes: Shapes = {}
    for number in range(40_000):
        deep = f"{number}" + ".a" * 25
        shapes[f"base_model.model.{deep}.lora_A.weight"] = (RANK, 0)
        shapes[f"base_model.model.{deep}.lora_B.weight"] = (0, RANK)
    with_tensors(path, shapes, target_modules=[f"b.{number}" for number in range(80_000)])


@filed("base-model-module")
def as_many_tensors_as_a_header_may_have(path: Path) -> None:
    shapes: Shapes = {}
    for number in range(49_000):
        shapes[f"base_model.model.{number}.q_proj.lora_A.weight"] = (RANK, 0)
        shapes[f"base_model.model.{number}.q_proj.lora_B.weight"] = (0, RANK)
    with_tensors(path, shapes)


@filed("base-model-module")
def layer_that_the_base_does_not_have(path: Path) -> None:
    with_tensors(path, {name.replace("layers.0", "layers.2"): shape for name, shape in PAIR.items()})


@filed("base-model-module")
def widths_of_another_base(path: Path) -> None:
    with_tensors(path, {f"{MODULE}.lora_A.weight": (RANK, 64), f"{MODULE}.lora_B.weight": (64, RANK)})


# Archives.


@filed("archive-gzip")
def archive_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as made:
        made.writestr(CONFIG, SOUND_CONFIG)


@filed("archive-gzip")
def archive_plain_tar(path: Path) -> None:
    path.write_bytes(tar_of(SOUND))


@filed("archive-gzip")
def archive_gzip_of_text(path: Path) -> None:
    path.write_bytes(gzip.compress(b"no tar" * 1000))


@filed("archive-gzip")
def archive_gzip_in_gzip(path: Path) -> None:
    path.write_bytes(gzip.compress(gzip.compress(tar_of(SOUND))))


@filed("archive-gzip")
def archive_pax_header_of_digits(path: Path) -> None:
    """Searching this takes `tarfile` the square of its length (CVE-2024-6232)."""
    digits = b"1" * 900_000
    path.write_bytes(gzip.compress(raw_header(b"pax", len(digits), b"x") + padded(digits), 1))


@filed("archive-gzip")
def archive_pax_record_that_has_no_length(path: Path) -> None:
    """A reader that goes on by the length of what it has not found goes on for ever."""
    records = b"10 a=bcde\n" + b"x" * 40
    path.write_bytes(gzip.compress(raw_header(b"pax", len(records), b"x") + padded(records)))


@filed("archive-gzip")
def archive_entry_of_negative_size(path: Path) -> None:
    path.write_bytes(gzip.compress(raw_header(b"a", 0, b"0", field=b"\xff" * 12)))


@filed("archive-damaged")
def archive_that_ends_after_a_long_name(path: Path) -> None:
    header = raw_header(b"././@LongLink", 5, b"L") + padded(b"model")
    path.write_bytes(gzip.compress(without_end(SOUND) + header + bytes(1024)))


@filed("archive-damaged")
def archive_cut_off(path: Path) -> None:
    archive(path)
    path.write_bytes(path.read_bytes()[:-20])


@filed("archive-damaged")
def archive_with_a_flipped_bit(path: Path) -> None:
    archive(path)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)


@filed("archive-damaged")
def archive_with_another_length_in_its_trailer(path: Path) -> None:
    archive(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@filed("archive-damaged")
def archive_with_something_behind_it(path: Path) -> None:
    archive(path)
    path.write_bytes(path.read_bytes() + b"#!/bin/sh")


@filed("archive-form")
def archive_with_a_file_behind_its_end(path: Path) -> None:
    """GNU's tar goes on behind a single block of zeros."""
    content = without_end(SOUND) + bytes(512)
    path.write_bytes(gzip.compress(content + tar_of([entry("model.py", b"import os")])))


@filed("archive-form")
def archive_of_a_million_empty_members(path: Path) -> None:
    path.write_bytes(gzip.compress(b"") * 500_000)


@filed("archive-size")
def archive_bomb(path: Path) -> None:
    path.write_bytes(zeros(tarfile.TarInfo(CONFIG).tobuf(), 10_000))


@filed("archive-size")
def archive_bomb_in_a_readme(path: Path) -> None:
    head = raw_header(b"README.md", 8 * 1024**3 - 1, b"0")
    path.write_bytes(zeros(without_end(SOUND) + head, 8192))


@filed("archive-size")
def archive_entry_that_claims_exabytes(path: Path) -> None:
    field = b"\x80" + (2**62).to_bytes(11, "big")
    path.write_bytes(gzip.compress(raw_header(WEIGHTS.encode(), 0, b"0", field=field) + bytes(10_000)))


@filed("archive-form")
def archive_header_that_claims_gigabytes(path: Path) -> None:
    path.write_bytes(gzip.compress(raw_header(b"pax", 4 * 1024**3, b"x") + os.urandom(10_000)))


@filed("archive-form")
def archive_of_headers_of_headers(path: Path) -> None:
    path.write_bytes(gzip.compress(raw_header(b"pax", 0, b"x") * 100_000 + tar_of(SOUND), 1))


@filed("archive-form")
def archive_name_of_megabytes(path: Path) -> None:
    archive(path, entry("a" * 5 * MIB))


@filed("file-path")
def archive_path_to_a_parent(path: Path) -> None:
    archive(path, entry("../../etc/cron.d/evil", b"* * * * *"))


@filed("file-path")
def archive_path_from_the_root(path: Path) -> None:
    archive(path, entry("/etc/passwd", b"root"))


@filed("file-path")
def archive_path_of_thousands_of_parents(path: Path) -> None:
    archive(path, entry("../" * 200_000 + "etc"))


@filed("file-at-root")
def archive_of_a_folder(path: Path) -> None:
    archive(path, *(entry(f"ectsum/{made.name}", content) for made, content in SOUND))


@filed("file-link")
def archive_symbolic_link(path: Path) -> None:
    archive(path, entry("README.md", kind=tarfile.SYMTYPE, link="/etc/shadow"))


@filed("file-link")
def archive_hard_link(path: Path) -> None:
    archive(path, entry("README.md", kind=tarfile.LNKTYPE, link="/etc/shadow"))


@filed("file-unexpected")
def archive_device(path: Path) -> None:
    archive(path, entry("README.md", kind=tarfile.BLKTYPE))


@filed("archive-form")
def archive_sparse_file_of_gnu(path: Path) -> None:
    archive(path, entry("README.md", kind=tarfile.GNUTYPE_SPARSE))


@filed("archive-form")
def archive_sparse_file_of_pax(path: Path) -> None:
    pax: dict[str, Any] = {"GNU.sparse.major": "1", "GNU.sparse.realsize": "9" * 19}
    archive(path, entry("README.md", **pax))


@filed("archive-form")
def archive_configuration_twice(path: Path) -> None:
    archive(path, entry(CONFIG, config(r=512)))


@filed("file-pickle")
def archive_pickle(path: Path) -> None:
    archive(path, entry("adapter_model.bin", b"\x80\x04N."))


@filed("file-code")
def archive_shared_object(path: Path) -> None:
    archive(path, entry("libevil.so", b"\x7fELF"))


@filed("file-unexpected")
def archive_of_many_entries(path: Path) -> None:
    archive(path, *(entry(f"{number}.txt") for number in range(5000)))


@filed("config-json")
def archive_configuration_with_two_meanings(path: Path) -> None:
    text = SOUND_CONFIG.replace(b'"r": 8', b'"r": 8, "r": 512')
    archive(path, sound=(entry(CONFIG, text), entry(WEIGHTS, SOUND_WEIGHTS)))


@filed("weights-header")
def archive_weights_that_claim_terabytes(path: Path) -> None:
    content = weights(b"{}", 0, length=2**42)
    archive(path, sound=(entry(CONFIG, SOUND_CONFIG), entry(WEIGHTS, content)))


@filed("config-json")
def archive_configuration_of_many_megabytes_before_the_weights(path: Path) -> None:
    """As the publisher writes it, so that a reader of its first bytes goes on reading."""
    made = tarfile.TarInfo(CONFIG)
    noise, mebibytes = os.urandom(MIB), 150
    made.size = mebibytes * MIB
    compressor = zlib.compressobj(0, zlib.DEFLATED, 31)
    with path.open("wb") as file:
        file.write(compressor.compress(made.tobuf()))
        for _ in range(mebibytes):
            file.write(compressor.compress(noise))
        file.write(compressor.compress(without_end(SOUND[1:]) + bytes(1024)) + compressor.flush())


@filed("archive-form")
def archive_of_millions_of_empty_blocks(path: Path) -> None:
    """Deflate may go on without giving a byte."""
    path.write_bytes(gzip.compress(b"")[:10] + b"\0\0\0\xff\xff" * 8 * MIB)


def full_of(path: Path, number: bytes, dtype: str, module: str = MODULE, rows: int = RANK) -> None:
    shapes = {f"{module}.lora_A.weight": (rows, HIDDEN), f"{module}.lora_B.weight": (HIDDEN, rows)}
    header = {
        name: {
            **entry,
            "dtype": dtype,
            "data_offsets": [place * len(number) // 4 for place in entry["data_offsets"]],
        }
        for name, entry in header_of(shapes).items()
    }
    with_weights(path, weights(header, number * (2 * rows * HIDDEN)))


@filed("tensor-finite")
def weights_of_nan(path: Path) -> None:
    full_of(path, b"\xff\xff", "BF16")


@filed("tensor-finite")
def weights_of_infinity(path: Path) -> None:
    full_of(path, b"\0\x7c", "F16")


@filed("tensor-finite")
def weights_that_overflow_in_the_last_number(path: Path) -> None:
    full_of(path, b"\0\0\x80\x3f", "F32")
    file = path / WEIGHTS
    file.write_bytes(file.read_bytes()[:-4] + b"\0\0\x80\xff")


@filed("tensor-config")
def weights_of_a_gigabyte_just_below_infinity(path: Path) -> None:
    """The numbers that are looked at twice, in a file with a hole of zeros."""
    full_of(path, b"\x7f\x7f", "BF16", rows=RANK)
    rows = 2**23
    shapes = {f"{MODULE}.lora_A.weight": (rows, HIDDEN), f"{MODULE}.lora_B.weight": (HIDDEN, rows)}
    text = json.dumps(header_of(shapes)).encode()
    with (path / WEIGHTS).open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"\xff\xff\x7f\x7f" * 1000)
        file.truncate(8 + len(text) + 2 * 4 * rows * HIDDEN)


@filed("tensor-finite")
def weights_of_a_hundred_thousand_tensors_of_nan(path: Path) -> None:
    header = {
        f"base_model.model.m{number // 2}.lora_{'AB'[number % 2]}.weight": {
            "dtype": "BF16",
            "shape": [1, 1],
            "data_offsets": [2 * number, 2 * number + 2],
        }
        for number in range(99_000)
    }
    directory(path, {CONFIG: config(r=1), WEIGHTS: weights(header, b"\xff\x7f" * 99_000)})


@filed("tensor-finite")
def archive_of_nan(path: Path) -> None:
    content = weights(header_of(PAIR), b"\xff" * (2 * 4 * RANK * HIDDEN))
    archive(path, sound=(entry(CONFIG, SOUND_CONFIG), entry(WEIGHTS, content)))


def sound(path: Path) -> None:
    directory(path, {"README.md": b"# An adapter"})


def generate(target: Path) -> dict[str, str]:
    """Write the corpus below a new directory; return the rule of each by its name, "" for sound ones."""
    target.mkdir(parents=True)
    (target / "base").mkdir()
    (target / "base" / "config.json").write_text(json.dumps(BASE))
    for name, (_, make) in CORPUS.items():
        make(target / name)
    sound(target / "sound")
    archive(target / "sound.tar.gz")
    rules = {name: rule for name, (rule, _) in CORPUS.items()} | {"sound": "", "sound.tar.gz": ""}
    (target / "corpus.json").write_text(json.dumps(rules, indent=2))
    return rules


if __name__ == "__main__":
    made = generate(Path(sys.argv[1]))
    print(f"{len(made) - 2} bad adapters for {len(set(made.values())) - 1} rules, and 2 sound ones")  # noqa: T201

"""Makes a corpus of adapters that cost time or memory to check, or that another reader takes for sound.

    python -m tests.adapter_rules.bad_adapters DIRECTORY

Each is to be refused by the rule it is filed under, soon and in little memory. Writes an adapter or an
archive for each, `corpus.json` with the rule of each, and `base/config.json`, the base model that they are to
be checked for. What goes wrong by mistake is in the tests of the rules.
"""

import gzip
import io
import json
import os
import struct
import sys
import tarfile
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
        "layers_to_transform": [0],
    }
    return json.dumps(sound | changes).encode()


PAIR: Shapes = {f"{MODULE}.lora_A.weight": (RANK, HIDDEN), f"{MODULE}.lora_B.weight": (HIDDEN, RANK)}


def header_of(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    header: dict[str, Any] = {}
    position = 0
    for name, shape in shapes.items():
        size = 4
        for number in shape:
            size *= number
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [position, position + size]}
        position += size
    return header


def weights(header: Any, data: bytes | int | None = None, *, length: int | None = None) -> bytes:
    """A safetensors file. `data` are the bytes behind the header or their number, `length` what it claims."""
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    if data is None:
        data = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    content = data if isinstance(data, bytes) else bytes(data)
    return struct.pack("<Q", len(text) if length is None else length) + text + content


ONES = struct.pack("<f", 1) * (2 * RANK * HIDDEN)
SOUND_CONFIG, SOUND_WEIGHTS = config(), weights(header_of(PAIR), ONES)


def directory(path: Path, files: dict[str, bytes] | None = None) -> None:
    path.mkdir()
    for name, content in {CONFIG: SOUND_CONFIG, WEIGHTS: SOUND_WEIGHTS, **(files or {})}.items():
        (path / name).write_bytes(content)


def with_config(path: Path, content: bytes) -> None:
    directory(path, {CONFIG: content})


def with_weights(path: Path, content: bytes) -> None:
    directory(path, {WEIGHTS: content})


Entry = tuple[tarfile.TarInfo, bytes]


def entry(name: str, content: bytes = b"", *, kind: bytes = tarfile.REGTYPE, **pax: str) -> Entry:
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, len(content)
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


def archive(path: Path, *more: Entry) -> None:
    path.write_bytes(gzip.compress(tar_of((*SOUND, *more)), 1))


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


@filed("file-unexpected")
def many_files(path: Path) -> None:
    directory(path, {f"{number}.txt": b"" for number in range(2000)})


@filed("config-json")
def config_nested_deeply(path: Path) -> None:
    with_config(path, b'{"r":' * 100_000)


@filed("config-json")
def config_with_many_keys_and_one_twice(path: Path) -> None:
    keys = [b'"%d":1' % number for number in range(80_000)]
    with_config(path, b"{" + b",".join([*keys, keys[-1]]) + b"}")


@filed("config-key")
def config_with_a_nested_value(path: Path) -> None:
    with_config(path, SOUND_CONFIG.replace(b"16", b"[" * 700 + b"]" * 700))


@filed("weights-header")
def header_of_gigabytes_that_are_there(path: Path) -> None:
    with_weights(path, weights(b"{}", 0, length=2**33))
    os.truncate(path / WEIGHTS, 2**34)


@filed("weights-header")
def header_of_millions_of_lists(path: Path) -> None:
    with_weights(path, weights(b'{"t":[' + b"[]," * 5_000_000 + b"1]}", 0))


@filed("weights-header")
def header_of_wide_characters(path: Path) -> None:
    with_weights(path, weights(b'{"t":"' + "😀".encode() * 4_000_000, 0))


@filed("weights-header")
def many_tensors_and_one_twice(path: Path) -> None:
    keys = [b'"%d":0' % number for number in range(590_000)]
    with_weights(path, weights(b"{" + b",".join([*keys, keys[-1]]) + b"}", 0))


@filed("weights-header")
def tensor_of_many_long_dimensions(path: Path) -> None:
    """Multiplying these takes hours."""
    shape = b",".join([b"9" * 4000] * 3900)
    with_weights(path, weights(b'{"t":{"dtype":"F32","shape":[' + shape + b'],"data_offsets":[0,4]}}', 4))


def matrices(modules: Iterable[str], *, rank: int = RANK) -> Shapes:
    """Return the shapes of both matrices of each module."""
    return {
        f"base_model.model.{module}.lora_{matrix}.weight": shape
        for module in modules
        for matrix, shape in (("A", (rank, 0)), ("B", (0, rank)))
    }


def with_tensors(path: Path, shapes: Shapes, **changes: Any) -> None:
    directory(path, {CONFIG: config(**changes), WEIGHTS: weights(header_of(shapes))})


@filed("tensor-config")
def many_tensors_of_another_rank_than_many(path: Path) -> None:
    shapes = matrices((f"{number}.q_proj" for number in range(40_000)), rank=1)
    with_tensors(path, shapes, rank_pattern={str(rank): rank for rank in range(2, 60_000)})


@filed("lora-scaling")
def many_modules_of_many_parts_with_many_patterns(path: Path) -> None:
    shapes = matrices(f"{number}" + ".a" * 25 for number in range(40_000))
    keys = [f"{number}" + ".a" * 5 for number in range(20_000)]
    pattern = dict.fromkeys(keys, 16) | {"14999" + ".a" * 25: 64}
    with_tensors(path, shapes, target_modules=["a"], rank_pattern={"q_proj": RANK}, alpha_pattern=pattern)


@filed("tensor-config")
def many_modules_of_many_parts_that_are_no_targets(path: Path) -> None:
    shapes = matrices(f"{number}" + ".a" * 25 for number in range(40_000))
    with_tensors(path, shapes, target_modules=[f"b.{number}" for number in range(80_000)])


@filed("base-model-module")
def as_many_tensors_as_a_header_may_have(path: Path) -> None:
    with_tensors(path, matrices(f"{number}.q_proj" for number in range(49_000)))


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


@filed("archive-form")
def archive_of_a_million_empty_members(path: Path) -> None:
    path.write_bytes(gzip.compress(b"") * 500_000)


@filed("archive-size")
def archive_bomb(path: Path) -> None:
    path.write_bytes(zeros(tarfile.TarInfo(CONFIG).tobuf(), 10_000))


@filed("archive-size")
def archive_entry_that_claims_exabytes(path: Path) -> None:
    field = b"\x80" + (2**62).to_bytes(11, "big")
    path.write_bytes(gzip.compress(raw_header(WEIGHTS.encode(), 0, b"0", field=field) + bytes(10_000)))


@filed("archive-form")
def archive_of_headers_of_headers(path: Path) -> None:
    path.write_bytes(gzip.compress(raw_header(b"pax", 0, b"x") * 100_000 + tar_of(SOUND), 1))


@filed("file-path")
def archive_path_of_thousands_of_parents(path: Path) -> None:
    archive(path, entry("../" * 200_000 + "etc"))


@filed("archive-form")
def archive_sparse_file_of_gnu(path: Path) -> None:
    archive(path, entry("README.md", kind=tarfile.GNUTYPE_SPARSE))


@filed("archive-form")
def archive_sparse_file_of_pax(path: Path) -> None:
    pax: dict[str, Any] = {"GNU.sparse.major": "1", "GNU.sparse.realsize": "9" * 19}
    archive(path, entry("README.md", **pax))


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


@filed("tensor-config")
def weights_just_below_infinity(path: Path) -> None:
    """The numbers that are looked at twice, in a file of 256 MiB with a hole of zeros."""
    directory(path)
    rows = 2**20
    shapes = {f"{MODULE}.lora_A.weight": (rows, HIDDEN), f"{MODULE}.lora_B.weight": (HIDDEN, rows)}
    text = json.dumps(header_of(shapes)).encode()
    with (path / WEIGHTS).open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"\xff\xff\x7f\x7f" * 1000)
        file.truncate(8 + len(text) + 2 * 4 * rows * HIDDEN)


@filed("tensor-finite")
def weights_of_many_tensors_of_nan(path: Path) -> None:
    header = {
        f"base_model.model.m{number // 2}.lora_{'AB'[number % 2]}.weight": {
            "dtype": "BF16",
            "shape": [1, 1],
            "data_offsets": [2 * number, 2 * number + 2],
        }
        for number in range(99_000)
    }
    directory(path, {CONFIG: config(r=1), WEIGHTS: weights(header, b"\xff\x7f" * 99_000)})


def sound(path: Path) -> None:
    directory(path, {"README.md": b"# An adapter"})


def generate(target: Path, names: Iterable[str] = CORPUS) -> dict[str, str]:
    """Write adapters of the corpus, and sound ones, below a new directory; return their rules by name."""
    target.mkdir(parents=True)
    (target / "base").mkdir()
    (target / "base" / "config.json").write_text(json.dumps(BASE))
    rules = {"sound": "", "sound.tar.gz": ""}
    for name in names:
        rules[name], make = CORPUS[name]
        make(target / name)
    sound(target / "sound")
    archive(target / "sound.tar.gz")
    (target / "corpus.json").write_text(json.dumps(rules, indent=2))
    return rules


if __name__ == "__main__":
    made = generate(Path(sys.argv[1]))
    print(f"{len(made) - 2} bad adapters for {len(set(made.values())) - 1} rules, and 2 sound ones")  # noqa: T201

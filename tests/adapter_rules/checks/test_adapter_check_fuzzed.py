"""Whatever a configuration, a header or an archive is made of, a check ends with findings and reads little.

`make test` tries the same few every time, `make nightly` thousands of others.
"""

import gzip
import io
import json
import struct
import tarfile
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from safetensors import deserialize

from adapter_fleet.common.findings import Finding
from adapter_fleet.serving.base_model import BaseModelFacts, Dimensions, parse_model_config
from adapter_rules.checks.config_check import read_config
from adapter_rules.checks.requirements_and_remedies import RULES
from adapter_rules.checks.safetensors_header import (
    MAX_HEADER_BYTES,
    HeaderError,
    Tensor,
    read_tensors,
)
from adapter_rules.checks.tensor_check import not_compared, tensor_findings
from adapter_rules.engines.container_releases import LmiVersion
from adapter_rules.engines.engine_settings import EngineSettings
from adapter_rules.engines.lora_limits import LoraServing
from adapter_rules.hardware.memory import linear_slot_bytes, problem_of_split, weight_bytes
from adapter_rules.hardware.model_shape import ModelShape
from tests.adapter_rules.bad_adapters import (
    BASE,
    CONFIG,
    PAIR,
    SOUND_CONFIG,
    SOUND_WEIGHTS,
    WEIGHTS,
    config,
    header_of,
    padded,
    raw_header,
)
from tests.adapter_rules.findings_of import findings_of
from tests.nightly import NIGHTLY

pytestmark = pytest.mark.slow

LORA = LoraServing(max_loras=1, max_cpu_loras=1, max_lora_rank=16)
BASE_MODEL = BaseModelFacts(name="acme/tiny-base", dimensions=Dimensions.from_config(BASE))
READ_CONFIG, _ = read_config(config(), "config")
NAMES = [CONFIG, WEIGHTS, "README.md", "README.md", "./", "../x", "a/b"]
KINDS = [b"0", b"0", b"0", b"\0", b"1", b"2", b"5", b"x", b"g", b"L", b"K", b"S"]
MOST_ASKED = 64 * 1024


class Watched:
    """Bytes that are read, with the largest piece asked for and how many were given."""

    def __init__(self, content: bytes) -> None:
        self._stream = io.BytesIO(content)
        self.most = self.given = 0

    def read(self, size: int) -> bytes:
        assert size >= 0
        self.most = max(self.most, size)
        data = self._stream.read(size)
        self.given += len(data)
        return data


fuzzed = settings(
    max_examples=5000 if NIGHTLY else 80,
    derandomize=not NIGHTLY,
    database=None,
    deadline=None,
    # Explaining a failure traces every line, which takes ten times as long.
    phases=[Phase.explicit, Phase.generate, *([Phase.target, Phase.shrink] if NIGHTLY else [])],
    suppress_health_check=list(HealthCheck),
)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, -1, 2**31, 2**63, 2**64, 10**4000])
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["BF16", "F32", "all-linear", "q_proj", "\ud800", "x" * 10_000])
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def damaged(draw: st.DrawFn, content: bytes) -> bytes:
    """Some bytes, with pieces overwritten, cut out, doubled or put in."""
    made = bytearray(content)
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(made)))
        end = min(len(made), begin + draw(st.sampled_from([0, 1, 2, 8, 100, 512, 5000])))
        made[begin:end] = draw(
            st.binary(max_size=16)
            | st.just(bytes(made[begin:end] * 2))
            | st.sampled_from(
                [b"\0" * 512, b"\xff" * 8, b"[" * 3000, b'"a":', b"1e999", b"NaN", b"-0", rb"\ud800"]
            )
        )
    return bytes(made)


def text_of(document: Any) -> bytes:
    # Surrogates and infinities go in as Python writes them, and are refused.
    return json.dumps(document).encode("utf-8", "surrogatepass")


@st.composite
def configs(draw: st.DrawFn) -> bytes:
    known = [*json.loads(SOUND_CONFIG), "rank_pattern", "alpha_pattern", "bias", "use_dora", "lora_bias"]
    known += ["target_parameters", "init_lora_weights", "use_qalora", "arrow_config", "modules_to_save"]
    changes = draw(st.dictionaries(st.sampled_from(known) | st.text(max_size=10), values, max_size=4))
    document = {**json.loads(SOUND_CONFIG), **changes}
    return draw(damaged(text_of(document)))


@st.composite
def safetensors(draw: st.DrawFn) -> bytes:
    header: Any = header_of(PAIR)
    for name in draw(st.lists(st.sampled_from([*header, "__metadata__", "t"]), max_size=3)):
        found = header.get(name)
        entry = dict(found) if isinstance(found, dict) else {}
        field = draw(st.sampled_from(["dtype", "shape", "data_offsets", "more"]))
        numbers = st.lists(st.integers(-1, 2**66) | scalars, max_size=10)
        entry[field] = draw(values | numbers)
        header[name] = draw(st.just(entry) | values)
    text = draw(damaged(text_of(header)))
    length = draw(st.just(len(text)) | st.integers(0, 2**64 - 1))
    return struct.pack("<Q", length) + text + bytes(draw(st.sampled_from([0, 1, 2047, 2048])))


@st.composite
def base_configs(draw: st.DrawFn) -> dict[str, Any]:
    """A model's configuration, of a kind that is known or not, with a text model in it or without."""
    kinds = ["llama", "phi3", "gemma3_text", "mistral", "qwen3", "qwen3_moe", "gpt_oss", "phimoe"]
    numbers = st.integers(-1, 300) | scalars
    quantization = st.fixed_dictionaries(
        {
            "quant_method": st.sampled_from(["awq", "gptq", "fp8", "bitsandbytes", "compressed-tensors"])
            | values
        },
        optional={
            "bits": numbers,
            "group_size": numbers,
            "weight_block_size": st.lists(numbers, max_size=3) | values,
            "config_groups": st.fixed_dictionaries(
                {"group_0": st.fixed_dictionaries({"weights": st.dictionaries(st.text(), values) | values})}
            )
            | values,
        },
    )
    config = {**BASE, "model_type": draw(st.sampled_from(kinds))}
    for key in draw(st.lists(st.sampled_from([*BASE, "num_key_value_heads", "head_dim"]), max_size=4)):
        config[key] = draw(numbers)
    config["quantization_config"] = draw(quantization | values)
    if draw(st.booleans()):
        config = {"model_type": draw(scalars), "text_config": draw(st.just(config) | values)}
    return config


MODULE_NAMES = [
    "model.layers.0.self_attn.q_proj",
    "model.layers.1.self_attn.qkv_proj",
    "model.language_model.layers.1.mlp.down_proj",
    "language_model.model.layers.9.mlp.gate_up_proj",
    "model.layers.0.mlp.experts",
    "model.embed_tokens",
    "lm_head",
]


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    """A tar of entries, some of them strange, in gzip, some of it damaged."""
    parts = [sound_tar()] if draw(st.booleans()) else []
    for _ in range(draw(st.integers(0, 6))):
        name = draw(st.sampled_from(NAMES) | st.text(max_size=9))
        kind = draw(st.sampled_from(KINDS))
        content = draw(
            st.sampled_from(
                [
                    SOUND_CONFIG,
                    SOUND_WEIGHTS,
                    b"",
                    b"20 path=README.md..\n",
                    b"11 size=99\n",
                    b"10 a=bcde\n" + b"x" * 40,
                ]
            )
            | st.binary(max_size=600)
            | configs()
            | safetensors()
        )
        field = draw(st.none() | st.binary(min_size=12, max_size=12))
        size = draw(st.just(len(content)) | st.integers(0, 2**33 - 1))
        block = raw_header(name.encode("utf-8", "surrogatepass"), size, kind, field=field)
        parts.append(block + padded(content))
    tar = draw(damaged(b"".join(parts) + bytes(draw(st.sampled_from([0, 512, 1024, 10_240])))))
    cut = draw(st.integers(0, len(tar)))
    whole = draw(st.sampled_from([True, True, False]))
    packed = gzip.compress(tar, 1) if whole else gzip.compress(tar[:cut], 1) + gzip.compress(tar[cut:], 1)
    return draw(st.just(packed) | damaged(packed))


def sound_tar() -> bytes:
    entries = ((CONFIG, SOUND_CONFIG), (WEIGHTS, SOUND_WEIGHTS))
    return b"".join(
        raw_header(name.encode(), len(content), b"0") + padded(content) for name, content in entries
    )


def is_told(findings: list[Finding]) -> bool:
    return all(
        finding.rule in RULES and str(finding).isprintable() and len(str(finding)) < 1500
        for finding in findings
    )


@fuzzed
@given(configs(), st.sampled_from(LmiVersion))
def test_no_configuration_makes_a_check_fail(text: bytes, version: LmiVersion) -> None:
    read, findings = read_config(text, "config", version=version)
    if read is not None:
        findings += read.findings("config", lora=LORA, base=BASE_MODEL)
    assert read is not None or findings
    assert is_told(findings)


@fuzzed
@given(safetensors(), st.integers(0, 2**65))
def test_no_header_makes_a_check_fail_or_read_much(content: bytes, claimed: int) -> None:
    for size in (len(content), claimed):
        stream = Watched(content)
        try:
            tensors = read_tensors(stream, size)
            if size == len(content):
                assert_the_library_reads_the_same(content, tensors)
            findings = [*tensor_findings(tensors, "weights", config=READ_CONFIG, base=BASE_MODEL)]
        except HeaderError as error:
            findings = [error.rule.finding("weights", str(error))]
        assert is_told(findings)
        assert stream.most <= MAX_HEADER_BYTES


def assert_the_library_reads_the_same(content: bytes, tensors: list[Tensor]) -> None:
    """What is a sound header for the check has to be one for the reader of the engine."""
    read = deserialize(content)  # type: ignore[no-untyped-call]
    found = {name: (item["dtype"], tuple(item["shape"])) for name, item in read}
    assert found == {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors}


@fuzzed
@given(base_configs(), st.lists(st.sampled_from(MODULE_NAMES) | st.text(max_size=20), max_size=3))
def test_no_base_model_makes_a_check_fail(document: dict[str, Any], modules: list[str]) -> None:
    text = json.dumps(document).encode("utf-8", "surrogatepass")
    try:
        base = BaseModelFacts.from_config(parse_model_config(text, "config.json"), folder="base")
    except ValueError:
        return  # it is not JSON to every reader
    tensors = [
        Tensor(name=f"base_model.model.{module}.lora_{matrix}.weight", dtype="F32", shape=(8, 8))
        for module in modules
        for matrix in "AB"
    ]
    missing = list(not_compared(tensors, "weights", base))
    assert is_told([*tensor_findings(tensors, "weights", config=READ_CONFIG, base=base), *missing])
    # A model that is compared with is one that has been understood, and the other way round.
    assert base.dimensions is not None or missing
    shape = ModelShape.from_config(json.loads(text))
    if shape is not None:
        assert base.dimensions is not None
        assert problem_of_split(shape, 1) is None
        for parallel in (2, 3, 8):
            problem_of_split(shape, parallel)
        assert linear_slot_bytes(shape, EngineSettings(), 8, 2) > 0
        assert shape.quantization.unknown is not None or weight_bytes(shape, EngineSettings()) > 0


@fuzzed
@given(archives())
def test_no_archive_makes_a_check_fail_or_read_much(content: bytes) -> None:
    stream = Watched(content)
    unpacked: list[bytes] = []
    findings = findings_of(stream, lora=LORA, base=BASE_MODEL, watch=unpacked.append)
    assert is_told(findings)
    assert stream.most <= MOST_ASKED
    assert stream.given <= len(content)
    assert sum(map(len, unpacked)) <= 1024 * 1024 + 100 * len(content)
    if not findings:
        assert_others_read_the_same(content, b"".join(unpacked))


def assert_others_read_the_same(content: bytes, unpacked: bytes) -> None:
    """What is fine has to be for Python's own gzip and tar what it was for the check."""
    assert gzip.decompress(content) == unpacked
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        files = [entry for entry in tar if entry.name != "."]
    assert all(entry.isreg() for entry in files)
    names = [entry.name.removeprefix("./") for entry in files]
    assert sorted(names) in ([CONFIG, WEIGHTS], ["README.md", CONFIG, WEIGHTS])

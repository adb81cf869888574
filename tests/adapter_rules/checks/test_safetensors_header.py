import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import deserialize
from safetensors.numpy import save

from adapter_rules.checks.safetensors_header import HeaderError, Tensor, read_tensors
from tests.adapter_rules.bad_adapters import weights


def read(file: bytes) -> list[Tensor]:
    return read_tensors(io.BytesIO(file), len(file))


def entry(dtype: Any = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@pytest.mark.slow
@given(
    shapes=st.lists(st.lists(st.integers(0, 4), max_size=3), max_size=5),
    dtype=st.sampled_from([np.float16, np.float32, np.int8, np.bool_]),
)
def test_reads_what_the_safetensors_library_writes(shapes: list[list[int]], dtype: Any) -> None:
    arrays = {f"t{number}": np.zeros(shape, dtype) for number, shape in enumerate(shapes)}
    tensors = read(save(arrays, metadata={"format": "pt"}))
    assert {tensor.name: tensor.shape for tensor in tensors} == {
        name: array.shape for name, array in arrays.items()
    }


def test_reads_no_further_than_the_header() -> None:
    file = save({"t": np.zeros(1_000_000, np.float32)})
    stream = io.BytesIO(file)
    read_tensors(stream, len(file))
    assert stream.tell() < 1000


@pytest.mark.parametrize("keep", [0, 7, 8, 20])
def test_truncated_header_is_refused(keep: int) -> None:
    file = save({"t": np.zeros(4, np.float32)})[:keep]
    with pytest.raises(HeaderError, match="it is truncated"):
        read(file)


def test_truncated_weights_are_refused() -> None:
    file = save({"t": np.zeros(4, np.float32)})[:-1]
    with pytest.raises(HeaderError, match="truncated: tensor 't' ends at byte 16 of the weights"):
        read(file)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "should be a JSON object"),
        (b'{"t": 1, "t": 2}', "the key 't' twice"),
        (rb'{"t\ud800\\udc00": 1}', "half of a surrogate pair"),
        (b'{"t": {"dtype": "F32", "shape": [2], "data_offsets": [-0, 8]}}', "-0 is no whole number"),
        ({"__metadata__": []}, "should be an object of strings"),
        ({"t": {"dtype": "F32", "shape": [2]}}, "should have dtype, shape and two data_offsets"),
        ({"t": entry(dtype="F33")}, "unknown dtype 'F33'"),
        ({"t": entry(shape=[-2])}, "two data_offsets, whole numbers"),
        ({"t": entry(shape=[True, 2])}, "two data_offsets, whole numbers"),
        ({"t": entry(shape=[3])}, "should take 12 bytes, got 8"),
        ({"t": entry(offsets=[8, 0])}, "should take 8 bytes, got -8"),
        ({"t": entry(offsets=[8, 16])}, "ends at byte 16"),
        ({"t": entry(), "u": entry()}, "'u' should begin at byte 8, got 0"),
        ({"t": entry(shape=[1], offsets=[4, 8])}, "'t' should begin at byte 0, got 4"),
        ({"t": entry(shape=[1], offsets=[0, 4])}, "4 bytes after the last tensor"),
    ],
)
def test_inconsistent_header_is_refused(header: Any, message: str) -> None:
    with pytest.raises(HeaderError, match=message):
        read(weights(header, 8))


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        (r"\ud83d\ude00", "null"),
        (r"\\ud800", '{"a": "-0"}'),
        (r"layer-0 \u00e9\n\"", "{}"),
        ("\N{GRINNING FACE}", r'{"a": "\uD83D\uDE00"}'),
    ],
)
def test_header_of_whole_characters_is_read_as_the_library_does(name: str, metadata: str) -> None:
    text = f'{{"__metadata__": {metadata}, "{name}": {json.dumps(entry())}}}'
    file = weights(text.encode(), 8)
    assert [tensor.name for tensor in read(file)] == [found for found, _ in deserialize(file)]  # type: ignore[no-untyped-call]

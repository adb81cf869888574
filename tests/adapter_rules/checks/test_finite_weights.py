import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest

from adapter_fleet.common.findings import Severity
from adapter_rules.archives.packing import pack
from adapter_rules.checks.finite_weights import is_finite, read_numbers
from adapter_rules.checks.safetensors_header import Tensor
from tests.adapter_fleet.synthetic import SyntheticAdapter
from tests.adapter_rules.findings_of import findings_of, the_only

A = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
EVERY_16_BITS = range(2**16)


def test_every_float16_is_known_for_what_it_is() -> None:
    finite = np.isfinite(np.arange(2**16, dtype=np.uint16).view(np.float16))
    assert [is_finite(struct.pack("<H", bits), "F16") for bits in EVERY_16_BITS] == finite.tolist()


@pytest.mark.parametrize(("dtype", "before"), [("BF16", b""), ("F32", b"\0\0"), ("F32", b"\xff\xff")])
def test_every_bfloat16_and_float32_is_known_by_its_exponent(dtype: str, before: bytes) -> None:
    numbers = [before + struct.pack("<H", bits) for bits in EVERY_16_BITS]
    whole = b"".join(b"\0" * (2 - len(before)) + number for number in numbers)
    finite = np.isfinite(np.frombuffer(whole, "<f4"))
    assert [is_finite(number, dtype) for number in numbers] == finite.tolist()


@pytest.mark.parametrize(("value", "dtype"), [(np.nan, np.float32), (-np.inf, np.float16)])
def test_weights_that_are_no_numbers_are_an_error(
    adapter: SyntheticAdapter, tmp_path: Path, value: float, dtype: type[np.floating]
) -> None:
    adapter.tensors = {name: tensor.astype(dtype) for name, tensor in adapter.tensors.items()}
    adapter.tensors[A][-1, -1] = value
    directory = adapter.save()
    archive = pack(directory, tmp_path / "adapter.tar.gz").path
    for finding, *others in (findings_of(directory), findings_of(archive)):
        assert others == []
        assert (finding.rule, finding.severity) == ("tensor-finite", Severity.ERROR)
        assert finding.message == f"tensor '{A}' should have finite numbers, got NaN or infinity"


def tensors(*sizes: int, dtype: str = "F32") -> list[Tensor]:
    return [Tensor(name=str(number), dtype=dtype, shape=(size,)) for number, size in enumerate(sizes)]


@pytest.mark.parametrize("place", [0, 64 * 1024 - 2, 64 * 1024, 70_000 - 2])
def test_number_that_is_not_finite_is_found_anywhere_and_in_its_own_tensor(place: int) -> None:
    """Tensors are read in pieces of 64 KiB, and end within one."""
    data = bytearray(b"\x3f" * (1800 + 2 * 70_000))
    data[1800 + place : 1802 + place] = b"\x80\x7f"
    made = tensors(900, 35_000, 35_000, dtype="BF16")
    read = list(read_numbers(io.BytesIO(data), made))
    assert [one.tensor.name for one in read if not one.finite] == ["1"]


def test_zeros_are_zero_to_the_last_byte() -> None:
    data = bytes(280_000) + bytes(279_999) + b"\x01"
    assert [one.zero for one in read_numbers(io.BytesIO(data), tensors(70_000, 70_000))] == [True, False]


def test_adapter_that_was_never_trained_is_warned_of(adapter: SyntheticAdapter) -> None:
    for name, tensor in adapter.tensors.items():
        if "lora_B" in name:
            tensor[:] = 0
    finding = the_only(findings_of(adapter.save()))
    assert (finding.rule, finding.severity) == ("tensor-trained", Severity.WARNING)


def test_file_that_becomes_shorter_while_it_is_read_is_no_error() -> None:
    assert list(read_numbers(io.BytesIO(bytes(10)), tensors(5))) == []


def test_fifty_megabytes_just_below_infinity_are_looked_at_in_seconds() -> None:
    data = b"\x7f\x7f" * (25 * 1024 * 1024)
    start = time.process_time()
    (found,) = read_numbers(io.BytesIO(data), tensors(len(data) // 2, dtype="BF16"))
    assert (found.finite, found.zero) == (True, False)
    assert time.process_time() - start < 5

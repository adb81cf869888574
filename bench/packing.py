"""Packing a 160 MB adapter beside `tar -czf` and a plain copy by `cp`.

From disk to disk for all: the source is not in memory at the start, and the result is on the disk at the end.
The best of several rounds counts, as what else runs on a machine only ever adds. The weights are random
numbers in bfloat16, to a compressor what trained ones are.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file also runs by its path

from adapter_fleet.artifacts.packing import identity, pack
from bench.harness import Claim, publish

ROUNDS = 15
TAR_ROUNDS = 2
# Llama 3.1 8B with LoRA on its seven linear modules at rank 32: 168 MB in bfloat16.
RANK = 32
LAYERS = 32
HIDDEN, INNER, KEY_VALUES = 4096, 14336, 1024
MODULES = {
    "self_attn.q_proj": (HIDDEN, HIDDEN),
    "self_attn.k_proj": (HIDDEN, KEY_VALUES),
    "self_attn.v_proj": (HIDDEN, KEY_VALUES),
    "self_attn.o_proj": (HIDDEN, HIDDEN),
    "mlp.gate_proj": (HIDDEN, INNER),
    "mlp.up_proj": (HIDDEN, INNER),
    "mlp.down_proj": (INNER, HIDDEN),
}


def make_adapter(directory: Path) -> Path:
    """Write an adapter with random weights; return the weights' file."""
    random = np.random.default_rng(seed=0)

    def weights(*shape: int) -> NDArray[np.float16]:
        """Numbers in bfloat16, given out as the other type of 16 bits, since NumPy has no such one."""
        bits = random.normal(scale=0.02, size=shape).astype(np.float32).view(np.uint32) >> 16
        return bits.astype(np.uint16).view(np.float16)

    tensors = {}
    for layer in range(LAYERS):
        for module, (inputs, outputs) in MODULES.items():
            name = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{name}.lora_A.weight"] = weights(RANK, inputs)
            tensors[f"{name}.lora_B.weight"] = weights(outputs, RANK)
    (directory / "adapter_config.json").write_text(
        '{"r": 32, "lora_alpha": 64, "target_modules": "all-linear"}'
    )
    file = directory / "adapter_model.safetensors"
    save_file(tensors, file)
    return file


def seconds(run: Callable[[], object], source: Path, result: Path | None) -> float:
    """Time `run` from a source that is on the disk only to a result that is on the disk."""
    if result is not None:
        result.unlink(missing_ok=True)
    with source.open("rb") as file:
        os.fsync(file.fileno())
        if sys.platform == "linux":
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    start = time.perf_counter()
    run()
    if result is not None:
        with result.open("rb+") as file:
            os.fsync(file.fileno())
    return time.perf_counter() - start


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="bench-packing-") as scratch:
        directory, out = Path(scratch, "adapter"), Path(scratch)
        directory.mkdir()
        weights = make_adapter(directory)
        packed, copied, tarred = out / "packed.tar.gz", out / "copied", out / "tarred.tar.gz"

        def command(*words: str | Path) -> Callable[[], object]:
            return lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL)

        sides: list[tuple[Callable[[], object], Path | None, int]] = [
            (lambda: pack(directory, packed), packed, ROUNDS),
            (command("cp", weights, copied), copied, ROUNDS),
            (lambda: identity(directory), None, ROUNDS),
            (command("sha256sum", weights), None, ROUNDS),
            (command("tar", "-czf", tarred, "-C", directory, "."), tarred, TAR_ROUNDS),
        ]
        times: list[list[float]] = [[] for _ in sides]
        for number in range(ROUNDS):
            for side, (run, result, rounds) in enumerate(sides):
                if number < rounds:
                    times[side].append(seconds(run, weights, result))
        by_pack, by_copy, by_identity, by_sha256sum, by_tar = map(min, times)
        size, tar_size = packed.stat().st_size / 1e6, tarred.stat().st_size / 1e6
        adapter = f"{weights.stat().st_size / 1e6:.0f} MB"
        return publish(
            "packing",
            [
                Claim.at_least(20, f"pack {adapter}, seconds, beside tar -czf", ours=by_pack, other=by_tar),
                Claim.at_most(2, f"pack {adapter}, seconds, beside cp", ours=by_pack, other=by_copy),
                Claim.at_most(1, "size of the archive, MB, beside tar -czf", ours=size, other=tar_size),
                Claim.at_most(
                    1.5,
                    f"identity of {adapter}, seconds, beside sha256sum",
                    ours=by_identity,
                    other=by_sha256sum,
                ),
            ],
        )


if __name__ == "__main__":
    sys.exit(main())

"""Reading a 160 MB adapter for its identity as a function does, beside `gzip -dc | sha256sum`.

A function has zlib and no ISA-L. One thread and the processor's time count, of which a function of 1,024 MiB
gets 0.6 seconds a second. The weights are random numbers in bfloat16, to a compressor what trained ones are.
"""

import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that the file also runs by its path

from adapter_fleet.artifacts import inflater
from adapter_fleet.artifacts.identity import identities_of
from adapter_fleet.artifacts.packing import pack
from bench.harness import Claim, publish
from bench.packing import make_adapter

ROUNDS = 5


def main() -> int:
    vars(inflater)["igzip_lib"] = None
    with tempfile.TemporaryDirectory(prefix="bench-reading-") as scratch:
        directory = Path(scratch, "adapter")
        directory.mkdir()
        weights = make_adapter(directory).stat().st_size / 1e6
        packed = pack(directory, Path(scratch, "packed.tar.gz"))

        def read() -> None:
            with packed.path.open("rb") as stream:
                (found,) = identities_of(lambda: nullcontext(stream))
            assert found == packed.identity

        ours = min(_timed(read) for _ in range(ROUNDS))
        other = min(
            _timed(
                lambda: subprocess.run(  # noqa: S602 - this is measured against the pipe of a shell
                    f"gzip -dc {packed.path} | sha256sum",
                    shell=True,
                    check=True,
                    capture_output=True,
                )
            )
            for _ in range(ROUNDS)
        )
    claim = f"identity of an archive of {weights:.0f} MB, seconds of processor, beside gzip | sha256sum"
    figures = [{"what": "reading for the identity, one core", "MB a second": f"{weights / ours:.0f}"}]
    return publish("reading", [Claim.at_most(1.5, claim, ours=ours, other=other)], figures=figures)


def _timed(run: object) -> float:
    """Return the processor's seconds of this process and of those that it starts."""
    assert callable(run)
    before = os.times()
    run()
    after = os.times()
    return sum(after[:4]) - sum(before[:4])


if __name__ == "__main__":
    sys.exit(main())

"""Run every bench in turn, or those that are named, each in a process of its own."""

import subprocess
import sys

from bench.harness import BENCH

NOT_A_BENCH = {"__init__", "__main__", "cloud", "harness", "prefix_caching", "reconciler"}


def main() -> int:
    benches = sorted(path.stem for path in BENCH.glob("*.py") if path.stem not in NOT_A_BENCH)
    named = sys.argv[1:] or benches
    if unknown := sorted({*named} - {*benches}):
        sys.exit(f"a bench should be one of {', '.join(benches)}, got {', '.join(unknown)}")
    codes = [
        subprocess.run([sys.executable, "-m", f"bench.{bench}"], check=False).returncode for bench in named
    ]
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())

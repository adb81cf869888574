"""Runs the tests that need vLLM: `python -m tests.vllm`, with arguments for pytest."""

import os
import subprocess
import sys

from tests.vllm.environment import FOLDER, ROOT, UnavailableError, prepare

# Those of the whole system that say something about the engine. The others would only take longer.
INTEGRATION = [
    f"tests/integration/test_{name}.py"
    for name in ("deployment", "fleet_in_another_stack", "update_under_load")
]


def main() -> int:
    """Prepare the environment and run pytest; 0 with a word if vLLM cannot be installed."""
    try:
        python = prepare(FOLDER)
    except UnavailableError as error:
        sys.stdout.write(f"cannot run here: {error}\n")
        return 0
    chosen = sys.argv[1:] or ["tests/vllm", *INTEGRATION]
    command = [sys.executable, "-m", "pytest", "-m", "vllm or integration", "--timeout", "900", *chosen]
    # Copies share the machine with each other and with the tests.
    variables = {"VLLM_PYTHON": str(python), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=os.environ | variables, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

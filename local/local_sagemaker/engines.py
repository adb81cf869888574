"""Checks that an engine is installed before anything is deployed to it."""

import subprocess
import sys

from local_sagemaker.settings import Settings

_SECONDS = 60


def check_engine(settings: Settings) -> None:
    """Raise ValueError if the Python of the settings cannot run their engine.

    Every environment of the cloud has the NumPy server. A command of the user's own is not checked.
    """
    if settings.engine != "vllm" or settings.engine_command:
        return
    python = settings.engine_python or sys.executable
    try:
        said = subprocess.run(
            [python, "-m", "local_sagemaker.vllm_engine", "--check"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = str(error)
    else:
        if said.returncode == 0:
            return
        reason = said.stderr.strip().rpartition("\n")[2]
    raise ValueError(
        f"'engine' should not be 'vllm' without vLLM: {reason}; in a checkout, `make vllm` installs it, and"
        " --set engine_python=.venv-vllm/bin/python uses it"
    )

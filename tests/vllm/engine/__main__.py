"""Serves a model with vLLM on the CPU, as a container with the same environment variables would.

Run `python -m tests.vllm.engine --model-dir DIR --port PORT` with a Python that has vLLM. The
process becomes vLLM's server, whose children stay in its process group.
"""

import argparse
import os
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from tests.vllm.engine.base_rows import GROUP, PLUGIN
from tests.vllm.engine.command_line import launch


def main() -> None:
    """Become vLLM's server, or say what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.vllm.engine",
        description="Serve a model directory and its LoRA adapters with vLLM.",
    )
    parser.add_argument("--model-dir", type=Path, required=True, help="a Hugging Face model directory")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--dialect", choices=["lmi", "vllm"], default="lmi", help="the container to answer as (default: lmi)"
    )
    arguments = parser.parse_args()
    missing = what_is_missing()
    if missing is not None:
        sys.exit(missing)
    try:
        start = launch(os.environ, model=arguments.model_dir, port=arguments.port, dialect=arguments.dialect)
    except (OSError, ValueError) as error:
        sys.exit(f"cannot serve {arguments.model_dir}: {error}")
    os.environ.update(start.variables)
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", *start.arguments]
    os.execv(sys.executable, command)  # noqa: S606 - the command is a list


def what_is_missing() -> str | None:
    """Return what this Python lacks to serve; None if it can."""
    if find_spec("vllm") is None:
        return f"vLLM is not installed for {sys.executable}"
    if PLUGIN not in entry_points(group=GROUP).names:
        return (
            f"the plugin {PLUGIN} should be installed for {sys.executable}, since it corrects the base's"
            " answers of vLLM on a CPU; `python -m tests.vllm.environment` installs it"
        )
    return None


if __name__ == "__main__":
    main()

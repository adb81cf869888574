"""Serves a model with vLLM on the CPU, as a container with the same environment variables would.

Run `python -m local_sagemaker.vllm_engine --model-dir DIR --port PORT` with a Python that has vLLM. The
process becomes vLLM's server, whose children stay in its process group.
"""

import argparse
import os
import sys
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from local_sagemaker.vllm_engine.base_rows import GROUP, PLUGIN
from local_sagemaker.vllm_engine.command_line import launch


def main() -> None:
    """Become vLLM's server, or say what is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m local_sagemaker.vllm_engine",
        description="Serve a model directory and its LoRA adapters with vLLM.",
    )
    parser.add_argument("--check", action="store_true", help="only say whether this Python can serve")
    parser.add_argument("--model-dir", type=Path, help="a Hugging Face model directory")
    parser.add_argument("--port", type=int)
    parser.add_argument(
        "--dialect", choices=["lmi", "vllm"], default="lmi", help="the container to answer as (default: lmi)"
    )
    arguments = parser.parse_args()
    missing = what_is_missing()
    if missing is not None:
        sys.exit(missing)
    if arguments.check:
        return
    if arguments.model_dir is None or arguments.port is None:
        parser.error("--model-dir and --port are required")
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
            f"the package cdk-multi-adapter-inference should be installed for {sys.executable}, since its"
            " plugin corrects the base's answers of vLLM on a CPU"
        )
    return None


if __name__ == "__main__":
    main()

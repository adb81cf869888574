"""A small model server that speaks the SageMaker container protocol and needs neither torch nor a GPU.

It stands in for the LMI image, or for the AWS vLLM image, on the embedded cloud. It serves a Llama-style
base model and PEFT LoRA adapters from real safetensors weights with NumPy. Concurrent requests share one
batch, whatever their adapters. Adapters are in three tiers of memory, as in an LMI container. A model of some
million parameters answers in milliseconds.

Run `python -m local_sagemaker.model_server --model-dir DIR --port PORT`, with the environment variables that
either container reads (see `settings`).
"""

import argparse
import logging
import os
import sys
from pathlib import Path

# How long answers in progress may take after a signal.
SHUTDOWN_SECONDS = 5
# Far above what SageMaker's runtime takes; a bound for the memory of this process.
BODY_BYTES = 64 * 1024**2


def main() -> None:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(
        prog="python -m local_sagemaker.model_server",
        description="Serve a model directory and its LoRA adapters.",
    )
    parser.add_argument("--model-dir", type=Path, required=True, help="a Hugging Face model directory")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--dialect", choices=["lmi", "vllm"], default="lmi", help="the container to answer as (default: lmi)"
    )
    parser.add_argument(
        "--prefix-cache",
        choices=["off", "by_name", "by_path"],
        default="off",
        help="reuse attention of equal beginnings of prompts, by the adapter's name or also by its path"
        " (default: off)",
    )
    parser.add_argument(
        "--slot-eviction",
        choices=["idle", "running"],
        default="idle",
        help="whose GPU slot an added adapter may take (default: idle)",
    )
    for tier, title in (("cpu", "CPU memory to a GPU slot"), ("disk", "disk to CPU memory")):
        parser.add_argument(
            f"--load-from-{tier}-seconds",
            type=float,
            default=0.0,
            help=f"added to each load of an adapter from {title} (default: 0)",
        )
    arguments = parser.parse_args()
    # For small matrices threads cost more than they gain, and several copies share one machine. OpenBLAS
    # reads this variable when NumPy is imported, so the imports come after it.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

    import uvicorn
    from starlette.middleware.body_limit import RequestBodyLimitMiddleware

    from local_sagemaker.http_guards import RequestGuard
    from local_sagemaker.model_server.app import ModelServer
    from local_sagemaker.model_server.dialects import LmiDialect, VllmDialect
    from local_sagemaker.model_server.memory_tiers import LoadTimes
    from local_sagemaker.model_server.prefix_cache import AdapterKey
    from local_sagemaker.model_server.settings import ServerSettings

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        server = ModelServer(
            arguments.model_dir,
            ServerSettings.from_environment(os.environ),
            VllmDialect if arguments.dialect == "vllm" else LmiDialect,
            None if arguments.prefix_cache == "off" else AdapterKey(arguments.prefix_cache),
            LoadTimes(from_cpu=arguments.load_from_cpu_seconds, from_disk=arguments.load_from_disk_seconds),
            evicts_running=arguments.slot_eviction == "running",
        )
    except (OSError, ValueError, KeyError) as error:
        sys.exit(f"cannot serve {arguments.model_dir}: {error}")
    uvicorn.run(
        # Web pages can reach this port as well as the cloud's.
        RequestGuard(RequestBodyLimitMiddleware(server.app(), BODY_BYTES)),
        host="127.0.0.1",
        port=arguments.port,
        log_level="warning",
        access_log=False,
        # Far longer than callers keep connections, since both sides may be seconds late on a busy machine.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    main()

"""Entry point of the command `local-sagemaker` and of `python -m local_sagemaker`."""

import sys
from importlib.util import find_spec

NEEDED = (
    "ministack",
    "boto3",
    "numpy",
    "safetensors",
    "tokenizers",
    "jinja2",
    "starlette",
    "uvicorn",
    "httpx",
    "trustme",
)
"""The packages of the extra `local`. The wheel contains this package even without the extra."""


def missing_packages() -> list[str]:
    """Return the packages of the extra `local` that are not installed."""
    return [name for name in NEEDED if find_spec(name) is None]


def main() -> None:
    """Run the command, or name the missing packages."""
    if missing := missing_packages():
        sys.exit(
            f"local-sagemaker: {', '.join(missing)} should be installed for this command:"
            ' pip install "${WHEEL}[local]", where WHEEL is the file of the wheel'
        )
    from local_sagemaker.command import main as run

    run()


if __name__ == "__main__":
    main()

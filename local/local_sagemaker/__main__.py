"""Where the command `local-sagemaker` begins, which `python -m local_sagemaker` is as well."""

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
"""What the extra `local` installs; the package is in the wheel without it."""


def main() -> None:
    """Run the command, or say what has to be installed first."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.exit(
            f"local-sagemaker: {', '.join(missing)} should be installed for this command:"
            " pip install 'cdk-multi-adapter-inference[local]'"
        )
    from local_sagemaker.command import main as run

    run()


if __name__ == "__main__":
    main()

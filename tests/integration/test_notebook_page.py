"""docs/how-to/notebook-and-sdk.md, run from top to bottom: boto3, then the SageMaker Python SDK."""

import subprocess
import sys
from pathlib import Path

import pytest

from local_sagemaker.server import LocalCloud
from tests.clients.environments import Environment
from tests.docs.blocks import COMMANDS, ROOT, Block, Fate, read

pytestmark = [pytest.mark.integration, pytest.mark.documents]

PAGE = ROOT / "docs" / "how-to" / "notebook-and-sdk.md"
SDK_PYTHON = Environment("sagemaker-2").python
# The SDK looks every 20 seconds, which is for a service that takes minutes.
SHORT_SLEEPS = "import time\nsleep = time.sleep\ntime.sleep = lambda seconds: sleep(min(seconds, 0.5))\n"


def is_of_the_sdk(block: Block) -> bool:
    return "import sagemaker\n" in block.text


def run(cloud: LocalCloud, folder: Path, *command: str) -> None:
    variables = {**cloud.environment, "SAGEMAKER_SUPPRESS_V2_WARNING": "1"}
    paths = f"{Path(sys.executable).parent}:{cloud.environment['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**variables, "PATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_every_step_of_the_page_works(cloud: LocalCloud, tmp_path: Path) -> None:
    """It ends with the deletion of all that it created."""
    assert SDK_PYTHON.exists(), "the SDK has an environment of its own: run `make qa SUITE=docs`"
    blocks = [block for block in read(PAGE).blocks if block.fate is Fate.RUN]
    for block in blocks:
        if block.language in COMMANDS:
            run(cloud, tmp_path, "bash", "-ec", block.text)
    cells = [block.text for block in blocks if block.language == "python" and not is_of_the_sdk(block)]
    (sdk,) = (block.text for block in blocks if is_of_the_sdk(block))
    run(cloud, tmp_path, sys.executable, "-c", "\n".join(cells))
    run(cloud, tmp_path, str(SDK_PYTHON), "-W", "ignore", "-c", SHORT_SLEEPS + sdk)

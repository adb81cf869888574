"""An embedded cloud that records the permissions that its callers use.

The command `local-sagemaker` runs with another serving process: this module, which installs the recorder
after the patches.
"""

import os
import sys
from pathlib import Path
from typing import Any

from local_sagemaker import command
from local_sagemaker.server import LocalCloud

_FILE = "RECORD_CALLS_TO"
_MODULE = "tests.iam.recorded_cloud"
_ROOT = str(Path(__file__).parents[2])


class RecordedCloud(LocalCloud):
    """A cloud that appends a line of JSON to a file for each kind of permission that a call uses."""

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(**options)
        program = f"import sys; sys.path.insert(0, {_ROOT!r}); from {_MODULE} import main; main()"
        python, _, _, *arguments = self._command
        self._command = [python, "-c", program, str(path), *arguments]


def main() -> None:
    """Run `local-sagemaker` with a serving process that records into the file of the first argument."""
    os.environ[_FILE] = sys.argv.pop(1)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH")]))
    command.GATEWAY = _MODULE
    command.main()


def serve() -> None:
    """Be the serving process. Its functions do not find this checkout."""
    os.environ["PYTHONPATH"] = os.environ["PYTHONPATH"].removeprefix(_ROOT).removeprefix(os.pathsep)
    from local_sagemaker.gateway import __main__ as gateway
    from tests.iam.call_recording import record_calls

    install: Any = vars(gateway)["install_patches"]

    def install_and_record(*arguments: Any, **options: Any) -> None:
        install(*arguments, **options)
        record_calls(Path(os.environ.pop(_FILE)))

    vars(gateway)["install_patches"] = install_and_record
    gateway.main()


if __name__ == "__main__":
    serve()

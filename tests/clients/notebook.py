"""A notebook that AWS wrote: its code cells, one after the other, by IPython."""

import contextlib
import io
import json
import os
import re
from pathlib import Path

from IPython.core.interactiveshell import InteractiveShell

from tests.clients.calls import Calls

_INSTALLS = re.compile(r"\s*[!%]pip ")
_OF_THE_HUB = re.compile(r"""(?<=["'])(Qwen|openai|google)/[\w.-]+(?=["'])""")


def main(calls: Calls) -> None:
    given = calls.given
    path = Path(given["path"])
    os.chdir(path.parent)
    shell = InteractiveShell.instance()
    run(shell, given["prelude"])
    cells = json.loads(path.read_text())["cells"]
    if any(cells[int(number)]["cell_type"] != "code" for number in given["changes"]):
        raise ValueError(f"changes should be of cells of code, got {given['changes']}")
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        change = given["changes"].get(str(number), {})
        left_out = change.keys() == {"why"} or _INSTALLS.match(source)
        if cell["cell_type"] != "code" or not source.strip() or left_out:
            continue
        for old, new in change.get("instead", {}).items():
            if old not in source:
                raise ValueError(f"cell {number} should have {old!r}, got {source!r}")
            source = source.replace(old, new)
        with calls.call(str(number)):
            run(shell, change.get("code", _OF_THE_HUB.sub(given["weights"], source)))


def run(shell: InteractiveShell, source: str) -> None:
    """Run a cell; RuntimeError if it raises an error, or a command in it ends with another status than 0."""
    shell.user_ns["_exit_code"] = 0
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        result = shell.run_cell(source)
    error = result.error_before_exec or result.error_in_exec
    if error is not None:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
    if shell.user_ns["_exit_code"]:
        raise RuntimeError(f"status {shell.user_ns['_exit_code']}: {printed.getvalue()[-500:]}")


if __name__ == "__main__":
    main(Calls())

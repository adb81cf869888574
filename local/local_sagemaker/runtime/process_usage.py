"""What a process and its children use, read from Linux's /proc."""

import os
from pathlib import Path


def process_usage(pid: int) -> tuple[float, int] | None:
    """The seconds of CPU time used so far and the bytes of memory used now; None where there is no /proc."""
    try:
        return _usage(pid)
    except (OSError, ValueError, IndexError):
        return None


def _usage(pid: int) -> tuple[float, int]:
    folder = Path("/proc", str(pid))
    # The name of the process, in parentheses, may have spaces. CPU times are the 14th and 15th field.
    fields = (folder / "stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    memory = int((folder / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    for child in (folder / "task" / str(pid) / "children").read_text().split():
        more = process_usage(int(child))
        if more is not None:
            seconds, memory = seconds + more[0], memory + more[1]
    return seconds, memory

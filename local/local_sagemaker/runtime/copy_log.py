"""What a copy prints, read from its log file as it grows."""

from pathlib import Path

# At most this much is read at a time; the rest is read the next time.
_MOST_BYTES = 1_000_000


class CopyLog:
    """The log file of one copy."""

    def __init__(self, path: Path):
        self._path = path
        self._offset = 0

    def new_lines(self, *, whole: bool = False) -> list[str]:
        """The lines since the last call; with `whole`, also one that has no end."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                content = file.read(_MOST_BYTES)
        except OSError:
            return []
        complete = content if whole else content[: content.rfind(b"\n") + 1]
        if len(content) == _MOST_BYTES and not complete:
            complete = content  # a part of a longer line
        self._offset += len(complete)
        return complete.decode(errors="replace").splitlines()

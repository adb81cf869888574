"""Run commands in a terminal, and draw what they print as an SVG for light and dark.

    python docs/pictures/record_terminal.py status.svg "adapters status" "adapters history acme"

The commands run here and now, as `docs/start.md` leaves the shell. The commands print to this terminal, too.
"""

from __future__ import annotations

import os
import pty
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

_COLUMNS = 66
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_STYLE = """<style>
text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;white-space:pre;fill:#1f2328}
.w{fill:#f6f8fa;stroke:#d0d7de}.c{font-weight:700;fill:#0550ae}.bold{font-weight:700}.dim{fill:#6e7781}
.red{fill:#cf222e}.green{fill:#116329}.yellow{fill:#7d4e00}.blue{fill:#0550ae}.magenta{fill:#8250df}.cyan{fill:#1b7c83}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.w{fill:#0d1117;stroke:#30363d}.c,.blue{fill:#79c0ff}
.dim{fill:#9ea7b3}.red{fill:#ff7b72}.green{fill:#56d364}.yellow{fill:#e3b341}.magenta{fill:#d2a8ff}.cyan{fill:#76e3ea}}
</style>"""
_WIDTH, _HEIGHT = 7.82, 19
"""Of a character, in units of the picture."""


def printed(command: str) -> str:
    """Run a command on a terminal of its own, and return what it prints."""
    chunks: list[bytes] = []

    def read(terminal: int) -> bytes:
        chunks.append(os.read(terminal, 65536))
        return chunks[-1]

    os.environ |= {"COLUMNS": str(_COLUMNS), "TERM": "xterm-256color"}
    pty.spawn(["bash", "-c", command], read)
    return b"".join(chunks).decode().replace("\r\n", "\n")


def lines(command: str) -> Iterator[str]:
    """Yield each line as tspans: the command, and what it printed."""
    yield f'<tspan class="c">$ {escape(command)}</tspan>'
    console = Console(width=_COLUMNS, color_system="truecolor", legacy_windows=False)
    for segments in console.render_lines(Text.from_ansi(printed(command).rstrip()), pad=False):
        yield "".join(map(_tspan, segments))


def _tspan(segment: Segment) -> str:
    style, text = segment.style, escape(segment.text)
    if style is None:
        return text
    names = [name for name in ("bold", "dim") if getattr(style, name)]
    if style.color is not None and style.color.number is not None:
        names.append(_COLOURS[style.color.number % 8])
    return f'<tspan class="{" ".join(names)}">{text}</tspan>' if names else text


def main() -> None:
    """Write the picture."""
    name, *commands = sys.argv[1:]
    rows = [line for command in commands for line in (*lines(command), "")][:-1]
    width, height = round(_COLUMNS * _WIDTH + 32), _HEIGHT * len(rows) + 28
    drawn = "\n".join(
        f'<text x="16" y="{26 + _HEIGHT * number}">{row}</text>' for number, row in enumerate(rows)
    )
    (Path(__file__).parent / name).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
        f' viewBox="0 0 {width} {height}" role="img">\n<title>{escape("; ".join(commands))}</title>\n'
        f"{_STYLE}\n"
        f'<rect class="w" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8"/>\n{drawn}\n</svg>\n'
    )


if __name__ == "__main__":
    main()

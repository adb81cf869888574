"""The page of the exit codes of `adapters`."""

from adapters_cli.output.exit_codes import MEANINGS
from docs_site.markdown import table, wrapped

FILE = "exit-codes.md"


def page() -> str:
    """Return the page."""
    rows = [(f"`{code}`", meaning) for code, meaning in MEANINGS.items()]
    parts = [
        "# Exit codes",
        wrapped(
            "Every command of `adapters` ends with one of these codes, so that a script or a CI job can"
            " decide. [Operating](../guides/operating.md) has what each code"
            " means for each command."
        ),
        table(("code", "what it means"), rows),
    ]
    return "\n\n".join(parts) + "\n"

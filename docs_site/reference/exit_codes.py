"""The page of the exit codes of `adapters`."""

from collections.abc import Mapping

from adapters_cli.output import exit_codes
from docs_site.markdown import table, wrapped
from docs_site.reference.sources import load

FILE = "exit-codes.md"


def page() -> str:
    """Return the page."""
    rows = [(f"`{code}`", meaning) for code, meaning in _meanings().items()]
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


def _meanings() -> Mapping[str, str]:
    stated = getattr(exit_codes, "MEANINGS", None)
    if stated is not None:
        return {str(code): meaning for code, meaning in stated.items()}
    meanings = {"0": ["everything is as it should be, or the work is done"]}
    for name, constant in load("adapters_cli")["output.exit_codes"].attributes.items():
        if name.isupper() and str(constant.value).isdigit():
            said = constant.docstring.value if constant.docstring else name.replace("_", " ").capitalize()
            meanings.setdefault(str(constant.value), []).append(said.rstrip("."))
    return {code: "; ".join(said) for code, said in meanings.items()}

"""The page of the exit codes of `adapters`."""

from docs_site.markdown import table, wrapped
from docs_site.reference.sources import load

FILE = "exit-codes.md"


def page() -> str:
    """Return the page."""
    module = load("adapters_cli")["output.exit_codes"]
    meanings = {"0": ["everything is as it should be, or the work is done"]}
    for name, constant in module.attributes.items():
        if name.isupper() and str(constant.value).isdigit():
            said = constant.docstring.value if constant.docstring else name.replace("_", " ").capitalize()
            meanings.setdefault(str(constant.value), []).append(said.rstrip("."))
    rows = [(f"`{code}`", "; ".join(said)) for code, said in meanings.items()]
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

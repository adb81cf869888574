"""The page of the classes that callers of adapters import."""

from docs.site.markdown import code, wrapped
from docs.site.reference.constructs import class_of, class_parts

FILE = "callers.md"


def page() -> str:
    """Return the page."""
    guides = "[releases](../how-to/release.md) and [OpenAI clients](../guides/openai.md)"
    parts = ["# Callers", wrapped(f"For apps that call adapters, with boto3 alone. See {guides}.")]
    for name, module in (("AdapterRoutes", "aws.adapter_routes"), ("BearerAuth", "openai.bearer_auth")):
        heading, *rest = class_parts(name, class_of(name, f"adapter_fleet.{module}"))
        parts += [heading, code(f"from adapter_fleet.{module} import {name}"), *rest]
    return "\n\n".join(parts) + "\n"

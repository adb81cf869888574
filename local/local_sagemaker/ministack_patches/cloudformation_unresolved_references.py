"""A template whose references name nothing in it is refused.

Fault of ministack: it resolves such a reference to a text, and creates the resource with it.
"""

import re
from collections.abc import Iterator
from typing import Any

from ministack.services.cloudformation import engine

from local_sagemaker.ministack_patches.internals import expect

_FUNCTION = "_validate_template_statics"
# `${!Literal}` is no reference.
_IN_TEXT = re.compile(r"\$\{([^!}][^}]*)\}")


def install() -> None:
    """Refuse the template where ministack checks what needs nothing but a template."""
    expect(hasattr(engine, _FUNCTION), f"engine.{_FUNCTION} checks templates")
    check = getattr(engine, _FUNCTION)

    def check_references_too(template: dict[str, Any]) -> None:
        check(template)
        # A macro may add what is referred to.
        if not template.get("Transform"):
            _check_references(template)

    setattr(engine, _FUNCTION, check_references_too)


def _check_references(template: dict[str, Any]) -> None:
    known = {*template.get("Resources", {}), *(template.get("Parameters") or {})}
    for block in ("Resources", "Outputs"):
        used = set(_references(template.get(block) or {}))
        unknown = sorted(name for name in used - known if not name.startswith("AWS::"))
        if unknown:
            # [T] The sentence as users quote it.
            raise ValueError(
                f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] in the "
                f"{block} block of the template"
            )


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, list):
        for item in node:
            yield from _references(item)
    if not isinstance(node, dict):
        return
    if len(node) == 1:
        ((function, given),) = node.items()
        if function == "Ref" and isinstance(given, str):
            yield given
        elif function == "Fn::GetAtt":
            yield from _first(given)
        elif function == "Fn::Sub":
            text, own = given if isinstance(given, list) else (given, {})
            yield from (name.partition(".")[0] for name in _IN_TEXT.findall(text) if name not in own)
    for value in node.values():
        yield from _references(value)


def _first(given: Any) -> Iterator[str]:
    first = given.partition(".")[0] if isinstance(given, str) else given[0]
    if isinstance(first, str):
        yield first

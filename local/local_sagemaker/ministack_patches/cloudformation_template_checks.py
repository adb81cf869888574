"""Templates that AWS refuses before a stack exists are refused, with the words that users quote.

Faults of ministack: it takes a template without resources, names with other characters than letters and
digits, references and dependencies that name nothing, and parameters that the template does not have. It
asks for capabilities only where it enforces IAM; AWS always does [V Capabilities of CreateStack].
"""

import re
from collections.abc import Iterator
from typing import Any

from ministack.services.cloudformation import changesets, engine, handlers

from local_sagemaker.ministack_patches.internals import expect

_CHECK = "_validate_template_statics"
_PARAMETERS = "_resolve_parameters"
_CAPABILITIES = "_capabilities_enforced"
# `${!Literal}` is no reference.
_IN_TEXT = re.compile(r"\$\{([^!}][^}]*)\}")
_NAME = re.compile(r"[A-Za-z0-9]+")


def install() -> None:
    """Refuse templates and parameters where ministack checks what needs nothing but a template."""
    expect(hasattr(engine, _CHECK), f"engine.{_CHECK} checks templates")
    expect(
        hasattr(handlers, _CAPABILITIES), f"handlers.{_CAPABILITIES} says whether capabilities are checked"
    )
    check = getattr(engine, _CHECK)

    def check_all(template: dict[str, Any]) -> None:
        check(template)
        # A macro may add what is missing.
        if not template.get("Transform"):
            _check_resources(template.get("Resources") or {})
            _check_references(template)

    setattr(engine, _CHECK, check_all)
    setattr(handlers, _CAPABILITIES, lambda: True)
    for caller in (handlers, changesets):
        expect(hasattr(caller, _PARAMETERS), f"{caller.__name__}.{_PARAMETERS} takes parameters")
        setattr(caller, _PARAMETERS, _refusing_unknown(getattr(caller, _PARAMETERS)))


def _refusing_unknown(resolve: Any) -> Any:
    def resolve_known(template: dict[str, Any], given: list[dict[str, Any]], *further: Any) -> Any:
        known = template.get("Parameters") or {}
        unknown = [parameter["Key"] for parameter in given if parameter.get("Key") not in {None, *known}]
        if unknown:
            # [T] The sentence as users quote it.
            raise ValueError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
        return resolve(template, given, *further)

    return resolve_known


def _check_resources(resources: dict[str, Any]) -> None:
    """Raise ValueError as users quote AWS [T]."""
    if not resources:
        raise ValueError("Template format error: At least one Resources member must be defined.")
    for name, resource in resources.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"Template format error: Resource name {name} is non alphanumeric.")
        if not isinstance(resource, dict) or "Type" not in resource:
            raise ValueError(
                f"Template format error: [/Resources/{name}] Every Resources object must contain a Type"
                " member."
            )


def _check_references(template: dict[str, Any]) -> None:
    known = {*template.get("Resources", {}), *(template.get("Parameters") or {})}
    for block in ("Resources", "Outputs"):
        used = {
            *_references(template.get(block) or {}),
            *(_dependencies(template) if block == "Resources" else ()),
        }
        unknown = sorted(name for name in used - known if not name.startswith("AWS::"))
        if unknown:
            # [T] The sentence as users quote it.
            raise ValueError(
                f"Template format error: Unresolved resource dependencies [{', '.join(unknown)}] in the "
                f"{block} block of the template"
            )


def _dependencies(template: dict[str, Any]) -> Iterator[str]:
    for resource in template["Resources"].values():
        given = resource.get("DependsOn", [])
        yield from [given] if isinstance(given, str) else given


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

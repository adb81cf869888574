"""The pages of the constructs: every public name of `multi_adapter_inference`, from its docstring."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache

import griffe

from docs.site.markdown import anchor, block, table, wrapped
from docs.site.reference.docstrings import linked, summary, to_markdown
from docs.site.reference.sources import load

FOLDER = "constructs"

_ROOT = "../../"
_WIDTH = 96
_SIGNATURE = "a signature"
_METRIC = "metric_"
_ENUMS = {"Enum", "StrEnum"}


@dataclass(frozen=True)
class Group:
    """A page, and the public names on it in their order."""

    file: str
    title: str
    about: str
    names: tuple[str, ...]


GROUPS = (
    Group(
        "endpoint.md",
        "The endpoint",
        "The instances, the base models on them, and how requests reach the copies.",
        (
            "MultiAdapterEndpoint",
            "InferenceEndpoint",
            "BaseComponent",
            "BaseModelOptions",
            "InstanceType",
            "InstancePool",
            "ComputeRequirements",
            "StartupTimeouts",
            "RoutingStrategy",
            "PlacementStrategy",
            "BatchSize",
        ),
    ),
    Group(
        "base-models.md",
        "Base models and containers",
        "Where the base model comes from, which container runs it, and how many adapters it holds.",
        (
            "BaseModel",
            "ModelDownload",
            "LoraServing",
            "LmiContainer",
            "LmiVersion",
            "VllmContainer",
            "VllmVersion",
        ),
    ),
    Group(
        "adapters.md",
        "Native adapters",
        "A few adapters, each of them a resource of the stack.",
        ("LoraAdapter", "AdapterArtifact", "ArtifactSource"),
    ),
    Group(
        "fleets.md",
        "Fleets",
        "Hundreds of adapters in one resource: the manifest, and what the fleet does about failures.",
        (
            "AdapterFleet",
            "FleetOptions",
            "AdapterManifest",
            "FleetAdapter",
            "SmokeTest",
            "AdapterProbe",
            "FleetMember",
            "FailurePolicy",
            "DeletionGuard",
            "DriftCheck",
            "FunctionHosting",
            "Releases",
            "Canary",
            "RequiredEvaluation",
            "OnTimeout",
        ),
    ),
    Group(
        "scaling-and-monitoring.md",
        "Scaling and monitoring",
        "Copies that follow the load, a dashboard, alarms, and the use of each adapter.",
        (
            "CopyScaling",
            "ScalingTarget",
            "ScalingMetric",
            "AdapterFleetMonitoring",
            "MetricOptions",
            "UsageMetrics",
        ),
    ),
    Group(
        "interfaces.md",
        "Interfaces",
        "What the constructs accept and what `from_…` returns. This library alone implements them.",
        (
            "IInferenceComponent",
            "IInferenceEndpoint",
            "IBaseComponent",
            "ILoraAdapter",
            "IAdapterFleet",
            "IContainer",
        ),
    ),
)


def pages() -> Mapping[str, str]:
    """Return the pages by their path below docs/reference."""
    return {
        f"{FOLDER}/index.md": _index(),
        **{f"{FOLDER}/{group.file}": _page(group) for group in GROUPS},
    }


def public_names() -> list[str]:
    """Return every name that the package exports."""
    exports = load("multi_adapter_inference").exports
    assert exports is not None
    return [str(name) for name in exports]


def _index() -> str:
    parts = [
        "# Constructs",
        wrapped(
            "Everything that `from multi_adapter_inference import …` has. Lengths of time are `Duration`"
            " and sizes are `Size`, as everywhere in the CDK. A wrong argument is a `ValueError` at synth:"
            " it names the argument, what it should be and what it got."
        ),
    ]
    for group in GROUPS:
        rows = [
            (f"[`{name}`]({group.file}#{anchor(name)})", summary(_docstring(_class(name))))
            for name in group.names
        ]
        parts += [f"## {group.title}", table(("name", "what it is"), rows)]
    return "\n\n".join(parts) + "\n"


def _page(group: Group) -> str:
    parts = [f"# {group.title}", wrapped(group.about)]
    for name in group.names:
        parts += _class_parts(name, _class(name))
    return "\n\n".join(parts) + "\n"


def _class_parts(name: str, found: griffe.Class) -> Iterator[str]:
    first, _, rest = _docstring(found).partition("\n\n")
    yield f"## {name}"
    yield _markdown(first)
    initializer = found.all_members.get("__init__")
    if isinstance(initializer, griffe.Function) and not _is_enum(found) and not _is_interface(found):
        yield signature(name, initializer)
    if rest:
        yield _markdown(rest)
    if _is_enum(found):
        rows = [
            (f"`{name}.{member.name}`", _one_paragraph(member) or f"`{member.value}`")
            for member in _attributes(found)
        ]
        yield table(("value", "what it means"), rows)
        return
    constants = [f"`{member.name}`" for member in _attributes(found) if member.name.isupper()]
    if constants:
        yield wrapped(f"Known ones: {', '.join(constants)}.")
    if "TypedDict" in _bases(found):
        rows = [(f"`{member.name}`", f"`{member.annotation}`") for member in _attributes(found)]
        yield table(("key", "type"), rows)
    yield from _members(name, found)


def _members(owner: str, found: griffe.Class) -> Iterator[str]:
    members = [_target(member) for at, member in _all_members(found).items() if not at.startswith("_")]
    properties = [
        member
        for member in members
        if isinstance(member, griffe.Attribute) and member.docstring and not member.name.isupper()
    ]
    if properties:
        rows = [(f"`{each.name}`", f"`{each.annotation}`", _one_paragraph(each)) for each in properties]
        yield table(("property", "type", "what it is"), rows)
    functions = [member for member in members if isinstance(member, griffe.Function) and member.docstring]
    metrics = [
        (f"`{each.name}`", _one_paragraph(each)) for each in functions if each.name.startswith(_METRIC)
    ]
    for each in functions:
        if not each.name.startswith(_METRIC):
            yield f"### {owner}.{each.name}"
            yield signature(each.name, each)
            yield _markdown(_docstring(each))
    if metrics:
        yield table(("metric", "what it is"), metrics)


def signature(name: str, function: griffe.Function) -> str:
    """Return the signature of a function, or of a class by its initializer, as a block."""
    keyword = griffe.ParameterKind.keyword_only
    given = [each for each in function.parameters if each.name not in ("self", "cls")]
    # The class's own methods alone set a keyword with an underscore.
    parameters = [each for each in given if each.kind is not keyword or not each.name.startswith("_")]
    shown: list[str] = []
    for position, each in enumerate(parameters):
        before = parameters[position - 1].kind if position else None
        if each.kind is keyword and before is not each.kind:
            shown.append("*")
        if before is griffe.ParameterKind.positional_only and each.kind is not before:
            shown.append("/")
        shown.append(_parameter(each))
    if parameters and parameters[-1].kind is griffe.ParameterKind.positional_only:
        shown.append("/")
    result = "" if function.name == "__init__" or function.returns is None else f" -> {function.returns}"
    line = f"{name}({', '.join(shown)}){result}"
    if len(line) > _WIDTH:
        line = "\n".join([f"{name}(", *(f"    {each}," for each in shown), f"){result}"])
    return block(line, "python", reason=_SIGNATURE)


def _parameter(parameter: griffe.Parameter) -> str:
    stars = "**" if parameter.kind is griffe.ParameterKind.var_keyword else ""
    annotation = "" if parameter.annotation is None else f": {parameter.annotation}"
    default = "" if parameter.default is None or stars else f" = {_default(str(parameter.default))}"
    return f"{stars}{parameter.name}{annotation}{default}"


def _default(source: str) -> str:
    """Return a default as the reader can write it: a private name or a long expression is an ellipsis."""
    names = re.findall(r"[A-Za-z_]\w*", re.sub(r"'[^']*'|\"[^\"]*\"", "", source))
    known = {"None", "True", "False", *public_names()}
    return source if not names or names[0] in known else "…"


def _markdown(docstring: str) -> str:
    return to_markdown(docstring, links=_address, root=_ROOT)


def _one_paragraph(found: griffe.Object) -> str:
    if found.docstring is None:
        return ""
    return linked(" ".join(found.docstring.value.split()), links=_address, root=_ROOT)


def _docstring(found: griffe.Object) -> str:
    assert found.docstring is not None, f"{found.path} should have a docstring, got none"
    return found.docstring.value


def _class(name: str) -> griffe.Class:
    found = _target(load("multi_adapter_inference")[name])
    assert isinstance(found, griffe.Class)
    return found


def _attributes(found: griffe.Class) -> list[griffe.Attribute]:
    return [
        member
        for member in found.members.values()
        if isinstance(member, griffe.Attribute)
        and not member.name.startswith("_")
        and "property" not in member.labels
    ]


def _all_members(found: griffe.Class) -> Mapping[str, griffe.Object | griffe.Alias]:
    """Return the members by name: the class's own first, then those of its bases in the same package."""
    members = {**found.members, **found.all_members}
    return {name: each for name, each in members.items() if _target(each).package is found.package}


def _target(found: griffe.Object | griffe.Alias) -> griffe.Object:
    return found.final_target if isinstance(found, griffe.Alias) else found


def _bases(found: griffe.Class) -> set[str]:
    return {str(base) for base in found.bases}


def _is_enum(found: griffe.Class) -> bool:
    return bool(_bases(found) & _ENUMS)


def _is_interface(found: griffe.Class) -> bool:
    return bool(re.match("I[A-Z]", found.name) or _bases(found) & {"TypedDict", "ABC"})


@cache
def _addresses() -> Mapping[str, str]:
    return {name: f"{group.file}#{anchor(name)}" for group in GROUPS for name in group.names}


def _address(name: str) -> str | None:
    return _addresses().get(name)

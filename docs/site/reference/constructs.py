"""The pages of the constructs: every public name of `multi_adapter_inference`, from its docstring."""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pydoc import locate

import griffe
from aws_cdk import Duration

from docs.site.markdown import anchor, block, code, table, wrapped
from docs.site.reference.docstrings import docstring, linked, load, to_markdown
from docs.site.reference.since import if_newer, since

FOLDER = "constructs"

_ROOT = "../../"
_WIDTH = 96
_EXAMPLES = "<!-- run by: tests/constructs/test_examples.py -->"
_INTERNAL = (
    "adapters_depend_on annotate base_model_version_for bind bucket_name hosting_for identity in_copies"
    " max_memory_mib min_memory_mib needed_by_adapters of_copies registry_mapping_id shares_of stack_arns"
    " warn_of_unchecked_archives warn_of_updates_in_place"
)
"""What only this library's own constructs use."""
_ENUMS = {"Enum", "StrEnum", "ContainerRelease"}


@dataclass(frozen=True)
class Group:
    """A page, and the public names on it in their order."""

    file: str
    title: str
    about: str
    names: str


GROUPS = (
    Group(
        "endpoint.md",
        "The endpoint",
        "The instances, the base models on them, and how requests reach the copies.",
        "MultiAdapterEndpoint InferenceEndpoint BaseComponent CommonBaseModelOptions BaseModelOptions"
        " InstanceType InstancePool ComputeRequirements StartupTimeouts RoutingStrategy PlacementStrategy"
        " BatchSize",
    ),
    Group(
        "base-models.md",
        "Base models and containers",
        "Where the base model comes from, which container runs it, and how many adapters it holds.",
        "BaseModel ModelDownload LoraServing LmiContainer LmiVersion VllmContainer VllmVersion",
    ),
    Group(
        "adapters.md",
        "Native adapters",
        "A few adapters, each of them a resource of the stack.",
        "LoraAdapter AdapterArtifact ArtifactSource",
    ),
    Group(
        "fleets.md",
        "Fleets",
        "Hundreds of adapters in one resource: the manifest, and what the fleet does about failures.",
        "AdapterFleet FleetOptions AdapterManifest FleetAdapter SmokeTest AdapterProbe FleetMember"
        " FailurePolicy DeletionGuard DriftCheck FunctionHosting Releases Canary RequiredEvaluation"
        " OnTimeout",
    ),
    Group(
        "scaling-and-monitoring.md",
        "Scaling and monitoring",
        "Copies that follow the load, a dashboard, alarms, and the use of each adapter.",
        "CopyScaling ScalingTarget ScalingMetric AdapterFleetMonitoring MetricOptions UsageMetrics",
    ),
    Group(
        "interfaces.md",
        "Interfaces",
        "What the constructs accept and what `from_…` returns. This library alone implements them.",
        "IInferenceComponent IInferenceEndpoint IBaseComponent ILoraAdapter IAdapterFleet IContainer",
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
            " it names the argument, what it should be and what it got. Members that only the library itself"
            " uses are left out."
        ),
    ]
    for group in GROUPS:
        links = ", ".join(f"[`{name}`]({group.file}#{anchor(name)})" for name in group.names.split())
        parts += [f"## {group.title}", wrapped(group.about), wrapped(f"{links}.")]
    return "\n\n".join(parts) + "\n"


def _page(group: Group) -> str:
    parts = [f"# {group.title}", wrapped(group.about), _EXAMPLES]
    for name in group.names.split():
        parts += class_parts(name, class_of(name))
    return "\n\n".join(parts) + "\n"


def class_parts(name: str, found: griffe.Class) -> Iterator[str]:
    """Yield the heading of a class, its signature, its docstring and its members."""
    first, _, rest = docstring(found).partition("\n\n")
    yield f"## {name}"
    yield since(name)
    yield _markdown(first, name)
    initializer = found.all_members.get("__init__")
    if isinstance(initializer, griffe.Function) and not _is_made_elsewhere(found, first):
        yield signature(name, initializer)
    has_example = name in _addresses() and not _is_interface(found)
    if rest := rest if has_example else rest.partition("Example::")[0]:
        yield _markdown(rest, name)
    if _bases(found) & _ENUMS:
        rows = [
            (f"`{name}.{each.name}`", _meaning(each)) for each in _attributes(found) if each.name.isupper()
        ]
        yield table(("value", "what it means"), rows)
        return
    # The signature of the class that the docstring refers to has the keys.
    if "TypedDict" in _bases(found) and "; see `" not in first:
        yield wrapped(f"Keys: {', '.join(f'`{member.name}`' for member in _attributes(found))}.")
    constants = [f"`{member.name}`" for member in _attributes(found) if member.name.isupper()]
    if constants:
        yield wrapped(f"Known ones: {', '.join(constants)}.")
    yield from _members(name, found)


def _members(owner: str, found: griffe.Class) -> Iterator[str]:
    homes = {each: _home(each, found) for each in _shown(found)}
    for home in dict.fromkeys(homes.values()):
        if home != owner:
            names = [re.sub("^metric_.*", "metric_…", each.name) for each in homes if homes[each] == home]
            yield wrapped(f"From [`{home}`]({_address(home)}): {', '.join(map(code, dict.fromkeys(names)))}.")
    members = [each for each, home in homes.items() if home == owner]
    properties = [each for each in members if isinstance(each, griffe.Attribute)]
    if properties:
        rows = [(f"`{each.name}`", f"`{each.annotation}`", _about(owner, each)) for each in properties]
        yield table(("property", "type", "what it is"), rows)
    functions = [each for each in members if isinstance(each, griffe.Function)]
    for each in functions:
        if not _is_metric(each):
            yield f"### {owner}.{each.name}"
            yield signature(each.name, each)
            yield _markdown(docstring(each), f"{owner}.{each.name}") + if_newer(f"{owner}.{each.name}")
    metrics = [
        (f"`{each.name}`", re.sub("^Return (.)", lambda found: found[1].upper(), _about(owner, each)))
        for each in functions
        if _is_metric(each)
    ]
    if metrics:
        yield table(("metric", "what it is"), metrics)


def _shown(found: griffe.Class) -> list[griffe.Object]:
    """Return the members with a docstring, those of its bases in the same package too."""
    bases = [each for each in found.mro() if each.package is found.package]
    members = [_target(each) for cls in (*reversed(bases), found) for each in cls.members.values()]
    shown = {
        each.name: each
        for each in members
        if each.docstring
        and isinstance(each, griffe.Attribute | griffe.Function)
        and not each.name.startswith("_")
        and not each.name.isupper()
        and each.name not in _INTERNAL.split()
    }
    return list(shown.values())


def _home(member: griffe.Object, found: griffe.Class) -> str:
    """Return the public class whose section explains a member: the most general one that has it."""
    above = [each.name for each in (found, *found.mro()) if member.name in each.all_members]
    if (public := [name for name in above if name in _addresses()])[1:]:
        return public[-1]
    owner = member.parent
    heirs = [name for name in _addresses() if owner in (class_of(name), *class_of(name).mro())]
    return min(heirs, key=lambda name: (len(class_of(name).mro()), name), default=found.name)


def _is_metric(member: griffe.Object) -> bool:
    return member.name.startswith("metric_")


def signature(name: str, function: griffe.Function) -> str:
    """Return the signature of a function, or of a class by its initializer, as a block."""
    keyword = griffe.ParameterKind.keyword_only
    given = [each for each in function.parameters if each.name not in ("self", "cls")]
    # The class's own methods alone set a keyword with an underscore.
    parameters = [each for each in given if each.kind is not keyword or not each.name.startswith("_")]
    # A class shows its options as arguments, and a method the name of their TypedDict.
    if function.name == "__init__":
        parameters = [part for each in parameters for part in _expanded(each)]
    shown = [_parameter(each) for each in parameters]
    first = next((at for at, each in enumerate(parameters) if each.kind is keyword), None)
    if first is not None:
        shown.insert(first, "*")
    result = "" if function.name == "__init__" or function.returns is None else f" -> {function.returns}"
    line = f"{name}({', '.join(shown)}){result}"
    if len(line) <= _WIDTH:
        return code(line)
    lines = [f"{name}(", *(f"    {each}," for each in shown), f"){result}"]
    return block("\n".join(lines), "python", reason="signature")


def _expanded(parameter: griffe.Parameter) -> list[griffe.Parameter]:
    """Return the options of `**options: Unpack[…]` as parameters; any other parameter as it is."""
    unpacked = re.fullmatch(r"Unpack\[(\w+)\]", str(parameter.annotation))
    if unpacked is None:
        return [parameter]
    expanded = []
    for option in _attributes(class_of(unpacked[1])):
        hint = re.sub(r"Annotated\[(.*), Default\(.*", r"\1", str(option.annotation))
        kind = griffe.ParameterKind.keyword_only
        expanded.append(griffe.Parameter(option.name, annotation=hint, kind=kind, default="…"))
        expanded[-1].function = parameter.function
    return expanded


def _parameter(parameter: griffe.Parameter) -> str:
    stars = "**" if parameter.kind is griffe.ParameterKind.var_keyword else ""
    annotation = "" if parameter.annotation is None else f": {parameter.annotation}"
    default = "" if parameter.default is None or stars else f" = {_default(parameter)}"
    return f"{stars}{parameter.name}{annotation}{default}"


def _default(parameter: griffe.Parameter) -> str:
    """Return a default as the reader can write it; a private name or a long expression is an ellipsis."""
    assert parameter.function is not None
    value = inspect.signature(locate(parameter.function.path)).parameters[parameter.name].default  # type: ignore[arg-type]
    if isinstance(value, Duration):
        return f"Duration.minutes({value.to_minutes():g})"
    if isinstance(value, Enum):
        return f"{type(value).__name__}.{value.name}"
    if value is None or isinstance(value, int | float | str | tuple):
        return repr(value)
    source = str(parameter.default)
    return source if source.partition("(")[0] in public_names() else "…"


def _markdown(docstring: str, owner: str) -> str:
    return to_markdown(docstring, owner, links=_address, root=_ROOT)


def _meaning(member: griffe.Attribute) -> str:
    about, value = _one_paragraph(member), f"`{member.value}`"
    # A docstring does not repeat what a tuple has.
    return about if about and "(" not in value else f"{value}. {about}".removesuffix(". ")


def _about(owner: str, member: griffe.Object) -> str:
    return _one_paragraph(member) + if_newer(f"{owner}.{member.name}")


def _one_paragraph(found: griffe.Object) -> str:
    if found.docstring is None:
        return ""
    return linked(" ".join(found.docstring.value.split()), links=_address, root=_ROOT)


def class_of(name: str, module: str = "multi_adapter_inference") -> griffe.Class:
    """Return a class of a module, by default of the library."""
    found = _target(load(module)[name])
    assert isinstance(found, griffe.Class)
    return found


def _attributes(found: griffe.Class) -> list[griffe.Attribute]:
    return [
        member
        for member in map(_target, found.all_members.values())
        if isinstance(member, griffe.Attribute)
        and not member.name.startswith("_")
        and "property" not in member.labels
    ]


def _target(found: griffe.Object | griffe.Alias) -> griffe.Object:
    return found.final_target if isinstance(found, griffe.Alias) else found


def _bases(found: griffe.Class) -> set[str]:
    return {str(base) for base in found.bases}


def _is_made_elsewhere(found: griffe.Class, about: str) -> bool:
    """Return whether no user calls the initializer."""
    without = _bases(found) & {*_ENUMS, "TypedDict", "ABC"}
    return bool(without or _is_interface(found) or re.search("Made by|makes it", about))


def _is_interface(found: griffe.Class) -> bool:
    return bool(re.match("I[A-Z]", found.name))


@cache
def _addresses() -> Mapping[str, str]:
    return {name: f"{group.file}#{anchor(name)}" for group in GROUPS for name in group.names.split()}


def _address(name: str) -> str | None:
    return _addresses().get(name)

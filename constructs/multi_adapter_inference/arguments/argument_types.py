"""Checks of the arguments of public classes against their annotations.

docs/adr/0014-libraries.md says why no library does it.
"""

import inspect
import math
import re
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import cache, wraps
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import typing_extensions
from constructs import Construct

from adapter_fleet.common.naming import known_or_meant
from adapter_fleet.common.validators import holds_token
from adapter_fleet.documents.schema import RecordError
from multi_adapter_inference.arguments.errors import LocatedError
from multi_adapter_inference.arguments.options import expanded_signature

T = TypeVar("T")

_LONGEST_SHOWN = 80
_MOST_MEMBERS_SHOWN = 6

_WORDS: Mapping[Any, str] = {
    str: "a text",
    int: "a whole number",
    float: "a finite number",
    bool: "True or False",
}
# The modules of the names in an annotation.
_MODULES = re.compile(r"\b(?:\w+\.)+")


def checked(cls: type[T]) -> type[T]:
    """Check the arguments of a class's constructor and of its public methods; a class decorator.

    An argument that does not fit its annotation is a ValueError. The message has the construct or the class,
    and for each wrong argument what it should be and what was got. An empty text is refused, unless it is the
    default. A token of the CDK fits as the type it stands for. A plain ValueError of a record's constructor
    or factory gets the name of the class in front. An unknown argument is a TypeError with the same place and
    the known names. A missing argument, or one too many, is Python's own TypeError.
    """
    for name, member in list(vars(cls).items()):
        if name.startswith("_") and name != "__init__":
            continue
        if isinstance(member, staticmethod | classmethod):
            function = member.__func__
            kind = type(member)
            setattr(cls, name, kind(_checked(function, cls, bound=kind is classmethod)))
        elif inspect.isfunction(member):
            setattr(cls, name, _checked(member, cls, bound=True))
    return cls


def _checked(function: Callable[..., Any], cls: type, *, bound: bool) -> Callable[..., Any]:
    signature = expanded_signature(function)
    makes_record = not issubclass(cls, Construct) and (
        function.__name__ == "__init__" or next(iter(signature.parameters), None) != "self"
    )

    @wraps(function)
    def with_checks(*args: Any, **kwargs: Any) -> Any:
        given = _bound(signature, args, kwargs)
        if given is None:
            where = _where(function, cls, {**dict(zip(signature.parameters, args, strict=False)), **kwargs})
            _check_names(where, kwargs, [*signature.parameters][bound:])
            try:
                return function(*args, **kwargs)
            except TypeError as error:  # names the function
                made = _MADE_BY.get(where) if function.__name__ == "__init__" else None
                raise TypeError(f"{error}; {made}" if made else str(error)) from None
        wrong = list(_wrong(function, signature, dict(list(given.items())[bound:])))
        if wrong:
            raise LocatedError(f"{_where(function, cls, given)}: {'; '.join(wrong)}")
        try:
            return function(*args, **kwargs)
        except ValueError as error:
            # An error of a class of its own already has its place, such as the file and line of a manifest.
            if makes_record and type(error) in (ValueError, RecordError):
                raise LocatedError(f"{_where(function, cls, given)}: {error}") from None
            raise

    with_checks.__signature__ = signature  # type: ignore[attr-defined]  # `help()` shows it
    return with_checks


def _bound(
    signature: inspect.Signature, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Return the arguments of a call by name; None if they do not fit the signature."""
    try:
        return signature.bind(*args, **kwargs).arguments
    except TypeError:
        return None


def _check_names(where: str, given: Iterable[str], known: Sequence[str]) -> None:
    """Raise TypeError for an argument that no parameter has the name of."""
    for name in given:
        if name not in known:
            public = [each for each in known if not each.startswith("_")]
            raise TypeError(f"{where}: {name!r} is no argument; {known_or_meant(name, public)}")


def _where(function: Callable[..., Any], cls: type, given: Mapping[str, Any]) -> str:
    """Return the path of the construct that is called or created, or the name of the class or method."""
    itself, makes = given.get("self"), function.__name__ == "__init__"
    # A method with an `id`, such as `add_adapter`, creates a child.
    scope = given.get("scope") if makes else itself
    if isinstance(scope, Construct):
        child = str(given["id"]) if "id" in given else None
        return f"'{'/'.join(filter(None, (scope.node.path, child)))}'"
    if not makes:
        return function.__qualname__
    return type(itself).__name__ if isinstance(itself, cls) else cls.__name__


def _wrong(
    function: Callable[..., Any], signature: inspect.Signature, given: Mapping[str, Any]
) -> Iterator[str]:
    """Yield a message for each wrong argument."""
    hints = _hints(function)
    for name, value in given.items():
        parameter = signature.parameters[name]
        # The type of an option is known already.
        hint = hints.get(name, parameter.annotation)
        if (found := _misfit(value, hint)) is not None:
            yield _message(name, hint, found)
        elif value == "" and type(value) is str and parameter.default != "":
            yield f"'{name}' should not be empty, got ''"


@cache
def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    return typing.get_type_hints(function)


_Misfit = tuple[object, str]
"""A value that does not fit, and its place in the argument."""


def _misfit(value: object, hint: Any, where: str = "") -> _Misfit | None:
    """Return the part of `value` that does not fit an annotation; None if all of it fits."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _misfit_of_union(value, arguments, where)
    if origin is Literal:
        return None if any(value is choice for choice in arguments) else (value, where)
    if origin is None:
        return None if _fits(value, hint) else (value, where)
    if issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            return value, where
        of_keys, of_values = arguments
        for key, part in value.items():
            if found := _misfit(key, of_keys, " as a key") or _misfit(part, of_values, f" for {key!r}"):
                return found
        return None
    if issubclass(origin, Collection):
        if not isinstance(value, origin) or isinstance(value, str | bytes):
            return value, where
        items = (_misfit(part, arguments[0], f" at index {n}") for n, part in enumerate(value))
        return next(filter(None, items), None)
    return None if isinstance(value, origin) else (value, where)


def _misfit_of_union(value: object, choices: Sequence[Any], where: str) -> _Misfit | None:
    """Return the misfit of the choice that fits best, such as the one wrong value of a mapping."""
    found = [_misfit(value, choice, where) for choice in choices]
    if None in found:
        return None
    return next((misfit for misfit in found if misfit and misfit[0] is not value), (value, where))


def _fits(value: object, hint: Any) -> bool:
    if hint is Any or hint is object:
        return True
    if hint in (None, NoneType):
        return value is None
    # Exact types, as a bool is an int to isinstance.
    if hint is bool:
        return type(value) is bool
    if hint in (int, float):
        if isinstance(value, float) and holds_token(value):
            return True
        return type(value) is int or (hint is float and type(value) is float and math.isfinite(value))
    if typing_extensions.is_protocol(hint):
        return _implements(_classes_of(value), hint)
    return isinstance(value, hint)


def _classes_of(value: object) -> tuple[type, ...]:
    """Return the class of a value. For an object that jsii combines from several, return each class."""
    parts = inspect.getattr_static(value, "_delegates", None)
    return tuple(map(type, parts)) if type(value).__module__.startswith("jsii.") and parts else (type(value),)


@cache
def _implements(classes: Sequence[type], interface: Any) -> bool:
    """Return whether classes together have every member of a protocol. isinstance() cannot tell.

    Only the classes are looked at: to look at the object would ask the CDK for the value of every property.
    """
    missing = object()
    return all(
        any(inspect.getattr_static(cls, member, missing) is not missing for cls in classes)
        for member in typing_extensions.get_protocol_members(interface)
    )


# How to make an object of what people give as a text or a number.
_MADE_BY = {
    "AdapterManifest": "AdapterManifest.from_file(path) makes one",
    "AdapterArtifact": "AdapterArtifact.from_uri(uri) and from_directory(path) make one",
    "IBaseComponent": "MultiAdapterEndpoint.from_endpoint_attributes(…) makes one",
    "IInferenceEndpoint": "InferenceEndpoint(…) makes one",
    "BaseModel": "BaseModel.from_directory(path) and from_bucket(bucket, prefix) make one",
    "IContainer": "LmiContainer(version=…) and VllmContainer(version=…) make one",
    "LmiVersion": "LmiVersion.V28 is one",
    "VllmVersion": "a member of VllmVersion is one",
    "LoraServing": "LoraServing(max_loras=…, max_cpu_loras=…, max_lora_rank=…) makes one",
    "ComputeRequirements": "ComputeRequirements(accelerators=…, min_memory=…) makes one",
    "ArtifactSource": "ArtifactSource(bucket=…, prefix=…) makes one",
    "StartupTimeouts": "StartupTimeouts(model_download=Duration.minutes(15)) makes one",
    "SmokeTest": "SmokeTest(prompt=…, expect=…) makes one",
    "DriftCheck": "DriftCheck.report(every=Duration.hours(6)) and DriftCheck.repair(every=…) make one",
    "DeletionGuard": "DeletionGuard.share(0.5) and DeletionGuard.off() make one",
    "FailurePolicy": "FailurePolicy.at_most(count) and FailurePolicy.share(0.05) make one",
    "RequiredEvaluation": "RequiredEvaluation(requirements=['rougeL >= base + 20%']) makes one",
    "InstanceType": "InstanceType.of('ml.g5.12xlarge') makes one",
    "Duration": "Duration.minutes(5) is one",
    "Size": "Size.gibibytes(16) is one",
    "IBucket": "Bucket.from_bucket_name(scope, id, name) makes one",
    "IRole": "Role.from_role_arn(scope, id, arn) makes one",
    "IGrantable": "Role.from_role_arn(scope, id, arn) makes one",
    "IKey": "Key.from_key_arn(scope, id, arn) makes one",
    "IVpc": "Vpc.from_lookup(scope, id, vpc_id=…) makes one",
    "ISecurityGroup": "SecurityGroup.from_security_group_id(scope, id, group_id) makes one",
    "ITopic": "Topic.from_topic_arn(scope, id, arn) makes one",
}


def _message(name: str, hint: Any, misfit: _Misfit) -> str:
    value, where = misfit
    words, shown = _in_words(hint), _shown(value)
    types = re.findall(r"\w+", words)
    namesake = next((each for each in (hint, *get_args(hint)) if _same_name(each, type(value))), None)
    if namesake is not None:  # such as InstanceType, which aws_cdk.aws_ec2 has too
        words = f"{words} of {namesake.__module__.partition('.')[0]}"
        shown = f"one of {type(value).__module__}"
    elif not isinstance(value, str | int | float):
        types = []
    made = next((f"; {_MADE_BY[type_]}" for type_ in types if type_ in _MADE_BY), "")
    if meant := _MEANT.get((words, type(value).__name__)):
        shown, made = f"one of {type(value).__name__}", f"; {meant}"
    return f"'{name}' should be {words}, got {shown}{where}{made}"


# What has the object that is meant.
_MEANT = {
    ("IBaseComponent", "InferenceEndpoint"): "its add_base_model(…) returns one",
    ("IInferenceEndpoint", "MultiAdapterEndpoint"): "its 'endpoint' is one",
}


def _same_name(hint: Any, cls: type) -> bool:
    return getattr(hint, "__name__", None) == cls.__name__ and hint is not cls


def _shown(value: object) -> str:
    if holds_token(value):
        return "a token"
    shown = repr(value)
    return shown if len(shown) <= _LONGEST_SHOWN else f"{shown[:_LONGEST_SHOWN]} …"


def _in_words(hint: Any) -> str:
    """Return what an argument should be. None is left out, as it means that nothing is given."""
    if get_origin(hint) in (Union, UnionType):
        return " or ".join(_in_words(choice) for choice in get_args(hint) if choice is not NoneType)
    if hint in _WORDS:
        return _WORDS[hint]
    if isinstance(hint, type) and issubclass(hint, Enum) and len(hint) <= _MOST_MEMBERS_SHOWN:
        return " or ".join(f"{hint.__name__}.{member.name}" for member in hint)
    return _MODULES.sub("", inspect.formatannotation(hint))

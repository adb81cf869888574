"""Options that a TypedDict names once, for every constructor and method that takes them with `Unpack`."""

import inspect
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated, Any, TypeVar, cast, get_args, get_origin

T = TypeVar("T")


@dataclass(frozen=True)
class Default:
    """The default of an option, in its `Annotated` type. An option that may be None needs none."""

    value: object


def with_defaults(options: type[T], given: T) -> T:
    """Return the options of a call, with the default of each option that is left out."""
    defaults = {each.name: each.default for each in _parameters(options)}
    return cast("T", {**defaults, **cast("Mapping[str, object]", given)})


def expanded_signature(function: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function, with each option of its `Unpack` as an argument."""
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if parameters and parameters[-1].kind is inspect.Parameter.VAR_KEYWORD:
        annotation = parameters.pop().annotation
        # Alone, as other annotations may name a class that is not defined yet.
        alone = SimpleNamespace(__annotations__={"options": annotation})
        (options,) = get_args(typing.get_type_hints(alone, inspect.unwrap(function).__globals__)["options"])
        parameters += _parameters(options)
    return signature.replace(parameters=parameters)


def _parameters(options: type) -> list[inspect.Parameter]:
    """Return the options of a TypedDict. A default is an ellipsis where only the callee knows it."""
    parameters = []
    for name, hint in typing.get_type_hints(options, include_extras=True).items():
        annotation, default = hint, None if type(None) in get_args(hint) else ...
        if get_origin(hint) is Annotated:
            annotation, (default,) = hint.__origin__, (each.value for each in hint.__metadata__)
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters.append(inspect.Parameter(name, keyword, default=default, annotation=annotation))
    return parameters

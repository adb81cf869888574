"""The page of what tests use: the fixtures of the pytest plugin, and the classes behind them."""

from collections.abc import Iterable, Iterator

import griffe

from docs.site.markdown import anchor, code, wrapped
from docs.site.reference.constructs import class_of
from docs.site.reference.docstrings import docstring, linked, load, to_markdown
from docs.site.reference.since import if_newer, since

FILE = "testing.md"

_PACKAGE = "local_sagemaker"
_PLUGIN = "pytest_plugin"
CLASSES = (
    ("cdk_app", "CdkApp"),
    ("local_fleet", "LocalFleet"),
    ("server", "LocalCloud"),
    ("admin", "AdminClient"),
)
"""Each public class by its module, in the page's order."""
_ROOT = "../"


def page() -> str:
    """Return the page."""
    parts = [
        "# Testing",
        wrapped(
            "`local_sagemaker`, in the wheel's extra `local`, runs your app in tests."
            " [Test your app](../how-to/test-your-app.md) shows how. The docstrings have the details."
        ),
        "## Fixtures",
        since("local_cloud"),
        wrapped(
            "pytest loads them with the wheel. `local_cloud_variables` lives for one test, the others for a"
            " session."
        ),
        _list(_fixture_functions(), call=False),
    ]
    for module, name in CLASSES:
        parts += _class(module, name)
    parts += [
        "## Stand-ins",
        since("write_adapter"),
        code("from local_sagemaker.stand_ins import write_adapter, write_base_model"),
        _list(load(_PACKAGE)["stand_ins"][name] for name in ("write_base_model", "write_adapter")),
    ]
    return "\n\n".join(parts) + "\n"


def _fixture_functions() -> Iterator[griffe.Function]:
    for found in load(_PACKAGE)[_PLUGIN].members.values():
        if isinstance(found, griffe.Function) and any(
            "pytest.fixture" in str(each.value) for each in found.decorators
        ):
            yield found


def _class(module: str, name: str) -> Iterator[str]:
    found = class_of(name, f"{_PACKAGE}.{module}")
    yield f"## {name}"
    yield since(name)
    yield code(f"from {_PACKAGE}.{module} import {name}")
    yield (text := to_markdown(docstring(found), name, links=_address, root=_ROOT))
    if "\n- " in text:
        yield "Members:"
    yield _list(each for at, each in found.members.items() if not at.startswith("_") and each.docstring)


def _list(members: Iterable[griffe.Object | griffe.Alias], *, call: bool = True) -> str:
    """Return an entry for each member. A function has the names of its parameters."""
    entries = [
        f"- **`{_call(each) if call else each.name}`**: {_paragraph(each)}{if_newer(_part(each))}"
        for each in members
    ]
    return "\n".join(wrapped(each, indent="  ") for each in entries)


def _part(found: griffe.Object | griffe.Alias) -> str:
    return f"{found.parent.name}.{found.name}" if isinstance(found.parent, griffe.Class) else found.name


def _call(found: griffe.Object | griffe.Alias) -> str:
    if not isinstance(found, griffe.Function):
        return found.name
    names = [
        f"**{each.name}" if each.kind is griffe.ParameterKind.var_keyword else each.name
        for each in found.parameters
        if each.name != "self"
    ]
    return f"{found.name}({', '.join(names)})"


def _paragraph(found: griffe.Object | griffe.Alias) -> str:
    first = docstring(found).partition("\n\n")[0]
    return linked(" ".join(first.split()), links=_address, root=_ROOT)


def _address(name: str) -> str | None:
    return f"#{anchor(name)}" if name in {each for _, each in CLASSES} else None

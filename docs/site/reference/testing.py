"""The page of what tests use: the fixtures of the pytest plugin, and the classes behind them."""

from collections.abc import Iterator

import griffe

from docs.site.markdown import anchor, block, table, wrapped
from docs.site.reference.constructs import signature
from docs.site.reference.docstrings import linked, to_markdown
from docs.site.reference.sources import load

FILE = "testing.md"

_PACKAGE = "local_sagemaker"
_PLUGIN = "pytest_plugin"
CLASSES = (
    ("cdk_app", "CdkApp"),
    ("cdk_app", "Stack"),
    ("cdk_app", "CdkError"),
    ("local_fleet", "LocalFleet"),
    ("server", "LocalCloud"),
    ("server", "LocalCloudOptions"),
    ("admin", "AdminClient"),
)
"""Each public class by its module, in the page's order."""
FUNCTIONS = (("stand_ins", "write_base_model"), ("stand_ins", "write_adapter"))
_ROOT = "../"


def page() -> str:
    """Return the page."""
    parts = [
        "# Testing",
        wrapped(
            "What `local_sagemaker`, in the wheel's extra `local`, has for tests of your own app."
            " [Test your app](../how-to/test-your-app.md) shows how to use it."
        ),
        "## Fixtures",
        wrapped(
            "pytest loads the plugin in every project that has the wheel. `local_cloud_variables` lives for"
            " one test, and the others for a session. Override `local_cloud_options` and `local_fleet_app`"
            " in your `conftest.py`."
        ),
        table(("fixture", "type", "what it is"), _fixtures()),
    ]
    for module, name in CLASSES:
        parts += _class(module, name)
    for module, name in FUNCTIONS:
        found = load(_PACKAGE)[module][name]
        assert isinstance(found, griffe.Function)
        parts += [f"## {name}", _import(module, name), signature(name, found), _markdown(found)]
    return "\n\n".join(parts) + "\n"


def fixture_names() -> list[str]:
    """Return the names of the plugin's fixtures."""
    return [each.name for each in _fixture_functions()]


def _fixture_functions() -> Iterator[griffe.Function]:
    for found in load(_PACKAGE)[_PLUGIN].members.values():
        if isinstance(found, griffe.Function) and any(
            "pytest.fixture" in str(each.value) for each in found.decorators
        ):
            yield found


def _fixtures() -> Iterator[tuple[str, str, str]]:
    for found in _fixture_functions():
        kind = str(found.returns).removeprefix("Iterator[").removesuffix("]")
        if found.name == "local_cloud_variables":
            kind = str(found.returns)
        name = _address(kind)
        yield f"`{found.name}`", f"[`{kind}`]({name})" if name else f"`{kind}`", _paragraph(found)


def _class(module: str, name: str) -> Iterator[str]:
    found = load(_PACKAGE)[module][name]
    assert isinstance(found, griffe.Class)
    yield f"## {name}"
    yield _import(module, name)
    initializer = found.members.get("__init__") or found.all_members.get("__init__")
    bases = {str(base) for base in found.bases}
    if isinstance(initializer, griffe.Function) and not bases & {"TypedDict", "Exception"}:
        yield signature(name, initializer)
    yield _markdown(found)
    members = [each for at, each in found.members.items() if not at.startswith("_")]
    attributes = [each for each in members if isinstance(each, griffe.Attribute)]
    if "TypedDict" in bases:
        yield table(("key", "type"), [(f"`{each.name}`", f"`{each.annotation}`") for each in attributes])
    properties = [each for each in attributes if "property" in each.labels and each.docstring]
    if properties:
        rows = [(f"`{each.name}`", f"`{each.annotation}`", _paragraph(each)) for each in properties]
        yield table(("property", "type", "what it is"), rows)
    for each in members:
        if isinstance(each, griffe.Function) and each.docstring:
            yield f"### {name}.{each.name}"
            yield signature(each.name, each)
            yield _markdown(each)


def _import(module: str, name: str) -> str:
    line = f"from {_PACKAGE}.{module} import {name}"
    return block(line, "python", reason="a line to copy")


def _markdown(found: griffe.Object) -> str:
    assert found.docstring is not None, f"{found.path} should have a docstring, got none"
    return to_markdown(found.docstring.value, links=_address, root=_ROOT)


def _paragraph(found: griffe.Object) -> str:
    assert found.docstring is not None, f"{found.path} should have a docstring, got none"
    return linked(" ".join(found.docstring.value.split()), links=_address, root=_ROOT)


def _address(name: str) -> str | None:
    return f"#{anchor(name)}" if name in {each for _, each in (*CLASSES, *FUNCTIONS)} else None

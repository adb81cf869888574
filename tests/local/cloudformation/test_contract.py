"""CloudFormation's contract, made from AWS's resource schemas, on the running cloud."""

import copy
import itertools
import json
import re
import tomllib
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from tests.local.cloudformation.test_autoscaling_types import SCOPE, scaled
from tests.local.conftest import Client
from tests.local.stacks import Bucket, Stack, serving, until

FAILS = tomllib.loads((Path(__file__).parent / "contract.toml").read_text())["fails"]
UNUSED = {
    "Model": {"ModelName": "unused"},
    "Config": {"EndpointConfigName": "unused"},
    "Endpoint": {"EndpointName": "unused"},
    "Base": {"InferenceComponentName": "unused"},
    "Target": {"ResourceId": "inference-component/contract-unscaled"},
    "Track": {"PolicyName": "unused"},
}
"""What lets a resource be created beside the first one of its type."""
OTHERS: dict[str, dict[str, Any]] = {
    "Model": {"EnableNetworkIsolation": True},
    "Config": {"KmsKeyId": "key"},
    "Endpoint": {"EndpointName": "another"},
    "Base": {"RuntimeConfig": {"CopyCount": 2}},
    "Target": {"ResourceId": "inference-component/another", "MaxCapacity": 9},
    "Track": {"PolicyName": "another"},
}
"""Other values of properties, by resource."""


class _NoS3:
    def create_bucket(self, **_: Any) -> None: ...

    def put_object(self, **_: Any) -> None: ...


def resources() -> dict[str, dict[str, Any]]:
    """Return a resource of each type, which name each other by literals, and a base that nothing scales."""
    text = json.dumps(scaled(Stack(None, "contract"), Bucket(_NoS3(), "contract")))
    text = text.replace('"InitialInstanceCount": "1"', '"InitialInstanceCount": "3"')
    target = "|".join(("inference-component/contract-base", SCOPE["ScalableDimension"], "sagemaker"))
    text = text.replace('{"Ref": "Target"}', json.dumps(target))
    names = {name: next(iter(UNUSED[name])) for name in ("Model", "Config", "Endpoint")}
    for logical_id, name in names.items():
        attribute = json.dumps({"Fn::GetAtt": [logical_id, name]})
        text = text.replace(attribute, json.dumps(f"contract-{logical_id.lower()}"))
    found: dict[str, dict[str, Any]] = json.loads(text)
    for logical_id, name in names.items():
        found[logical_id]["Properties"][name] = f"contract-{logical_id.lower()}"
    found["Unscaled"] = copy.deepcopy(found["Base"])
    found["Unscaled"]["Properties"]["InferenceComponentName"] = "contract-unscaled"
    for before, logical_id in itertools.pairwise(list(found)):
        found[logical_id]["DependsOn"] = before
    return found


RESOURCES = resources()


def schema_of(kind: str) -> dict[str, Any]:
    schemas = Path(str(files("cfnlint"))) / "data" / "schemas"
    names = json.loads((schemas / "providers" / "us-east-1.json").read_text())
    file = schemas / "resources" / f"{names[kind]}.json"
    found: dict[str, Any] = json.loads(file.read_text())
    return found


SCHEMAS = {logical_id: schema_of(RESOURCES[logical_id]["Type"]) for logical_id in UNUSED}
TAGGABLE = [logical_id for logical_id, schema in SCHEMAS.items() if schema["tagging"]["taggable"]]


def broken(whole: dict[str, Any], schema: dict[str, Any], value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield what breaks a rule of a schema, each with the value that does."""
    while "$ref" in schema:
        schema = whole["definitions"][schema["$ref"].rpartition("/")[2]]
    kind = schema.get("type", "object")
    if kind == "object" and "properties" in schema:
        for name in schema.get("required", ()):
            yield f"{path} without {name}", {key: value[key] for key in value if key != name}
        yield f"{path} with an unknown property", value | {"Nonsense": "x"}
        for name, inner in value.items():
            for label, other in broken(whole, schema["properties"][name], inner, f"{path}.{name}"):
                yield label, value | {name: other}
    elif kind == "array":
        yield f"{path} of another type", "text"
        if "maxItems" in schema:
            yield f"{path} with too many", value * (schema["maxItems"] + 1)
        if schema.get("minItems"):
            yield f"{path} with none", []
        for label, other in broken(whole, schema["items"], value[0], path):
            yield label, [other, *value[1:]]
    else:
        yield from broken_text_or_number(schema, path)


def broken_text_or_number(schema: dict[str, Any], path: str) -> Iterator[tuple[str, Any]]:
    yield f"{path} of another type", {"Nonsense": "x"} if schema.get("type") == "string" else "text"
    if "enum" in schema:
        yield f"{path} that is none of its values", "Nonsense"
    for bound, beyond in (("minimum", -1), ("maximum", 1)):
        if bound in schema:
            yield f"{path} beyond its {bound}", schema[bound] + beyond
    if "maxLength" in schema:
        yield f"{path} that is too long", "a" * (schema["maxLength"] + 1)
    pattern = re.sub(r"\\p\{\w+\}", "[ -~]", schema.get("pattern", ""))
    if not re.search(pattern, wrong := "-" * max(schema.get("minLength", 1), 1)):
        yield f"{path} that does not match", wrong


def refused() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield a label, a resource, and properties that its schema does not allow."""
    for logical_id, schema in SCHEMAS.items():
        properties = RESOURCES[logical_id]["Properties"]
        for pointer in schema["readOnlyProperties"]:
            _, _, name, *below = pointer.split("/")
            if not below:
                yield f"{logical_id} with its read-only {name}", logical_id, properties | {name: "x"}
        for label, other in broken(schema, schema, properties, logical_id):
            yield label, logical_id, other
        if "oneOf" in schema:
            other = {name: value for name, value in properties.items() if name != "Specification"}
            yield f"{logical_id} with none of its alternatives", logical_id, other


def attributes() -> Iterator[tuple[str, str, str]]:
    for logical_id, schema in SCHEMAS.items():
        for pointer in schema["readOnlyProperties"]:
            path = pointer.removeprefix("/properties/").replace("/", ".")
            if "*" not in path:
                yield f"GetAtt {logical_id}.{path}", logical_id, path


def changes() -> Iterator[tuple[str, str, str, Any]]:
    for logical_id, others in OTHERS.items():
        for name, value in others.items():
            yield f"Change {logical_id}.{name}", logical_id, name, value
    for logical_id in TAGGABLE:
        yield f"Change {logical_id}.Tags", logical_id, "Tags", [{"Key": "owner", "Value": "x"}]


def cases(found: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Return the cases of a test by their labels; those of contract.toml are known to fail."""
    return [
        pytest.param(
            *rest,
            id=label,
            marks=[pytest.mark.xfail(reason=FAILS[label], strict=True)] if label in FAILS else [],
        )
        for label, *rest in found
    ]


@pytest.fixture(scope="module")
def whole(client: Client) -> Iterator[Stack]:
    """A stack with a resource of each type."""
    Bucket(client("s3"), "contract")
    stack = Stack(client("cloudformation"), "contract")
    made = stack.create(RESOURCES, tags={"team": "a"})
    assert made == "CREATE_COMPLETE", stack.reasons("CREATE_FAILED")
    yield stack
    stack.delete()


Beside = Callable[[str, dict[str, Any]], str]


@pytest.fixture
def beside(client: Client, whole: Stack) -> Beside:
    """Creates a resource in a stack of its own; returns how that ended, and why if it failed."""

    def create(logical_id: str, properties: dict[str, Any]) -> str:
        stack = Stack(client("cloudformation"), f"beside-{uuid.uuid4().hex[:8]}")
        status = stack.create({"Made": {"Type": RESOURCES[logical_id]["Type"], "Properties": properties}})
        reasons = stack.reasons("CREATE_FAILED")
        stack.delete()
        return " ".join([status, *reasons])

    return create


def test_checks_that_are_known_to_fail_exist() -> None:
    imports = {f"Import {logical_id}" for logical_id in SCHEMAS}
    made = (label for found in (refused(), attributes(), changes()) for label, *_ in found)
    assert FAILS.keys() <= {*made, *imports}


@pytest.mark.parametrize("logical_id", UNUSED)
def test_what_the_schema_allows_is_created(beside: Beside, logical_id: str) -> None:
    properties = RESOURCES[logical_id]["Properties"] | UNUSED[logical_id]
    assert beside(logical_id, properties) == "CREATE_COMPLETE"


@pytest.mark.parametrize(("logical_id", "properties"), cases(refused()))
def test_what_the_schema_does_not_allow_is_refused(
    beside: Beside, logical_id: str, properties: dict[str, Any]
) -> None:
    own = RESOURCES[logical_id]["Properties"]
    unused = {name: value for name, value in UNUSED[logical_id].items() if properties.get(name) == own[name]}
    assert "InvalidRequest" in beside(logical_id, properties | unused)


@pytest.mark.parametrize("logical_id", ["Model", "Config", "Endpoint", "Base"])
def test_name_that_is_taken_already_exists(beside: Beside, logical_id: str) -> None:
    assert "AlreadyExists" in beside(logical_id, RESOURCES[logical_id]["Properties"])


@pytest.mark.parametrize(("logical_id", "path"), cases(attributes()))
def test_read_only_property_is_an_attribute(client: Client, whole: Stack, logical_id: str, path: str) -> None:
    outputs = {"Found": {"Value": {"Fn::GetAtt": [logical_id, path]}}}
    changes = whole.change_set({"Resources": RESOURCES, "Outputs": outputs}, {})
    assert changes.execute() == "UPDATE_COMPLETE"
    found = whole.outputs()["Found"]
    whole.change_set({"Resources": RESOURCES, "Outputs": {}}, {}).execute()
    assert datetime.fromisoformat(found).tzinfo if path.endswith("Time") else found


@pytest.mark.parametrize(("logical_id", "name", "value"), cases(changes()))
def test_create_only_property_alone_replaces(whole: Stack, logical_id: str, name: str, value: Any) -> None:
    resource = RESOURCES[logical_id]
    changed = resource | {"Properties": resource["Properties"] | {name: value}}
    change_set = whole.change_set({"Resources": RESOURCES | {logical_id: changed}}, {})
    found = [one["ResourceChange"] for one in change_set.describe()["Changes"]]
    replacements = [one["Replacement"] for one in found if one["LogicalResourceId"] == logical_id]
    replaces = f"/properties/{name}" in SCHEMAS[logical_id].get("createOnlyProperties", ())
    assert replacements == ["True" if replaces else "False"]


@pytest.mark.parametrize("logical_id", ["Model", "Config", "Endpoint", "Base"])
def test_tags_are_as_the_schema_says(client: Client, whole: Stack, logical_id: str) -> None:
    listed = client("sagemaker").list_tags(ResourceArn=whole.physical_id(logical_id))["Tags"]
    assert {"Key": "team", "Value": "a"} in listed
    of_cloudformation = any(tag["Key"].startswith("aws:cloudformation:") for tag in listed)
    assert of_cloudformation == SCHEMAS[logical_id]["tagging"]["cloudFormationSystemTags"]


@pytest.mark.parametrize("logical_id", cases((f"Import {name}", name) for name in SCHEMAS))
def test_import_asks_for_the_identifier(client: Client, logical_id: str) -> None:
    template = json.dumps({"Resources": {logical_id: RESOURCES[logical_id]}})
    (found,) = client("cloudformation").get_template_summary(TemplateBody=template)[
        "ResourceIdentifierSummaries"
    ]
    pointers = SCHEMAS[logical_id]["primaryIdentifier"]
    assert [f"/properties/{name}" for name in found["ResourceIdentifiers"]] == pointers


def test_what_was_deleted_by_hand_is_not_found_and_counts_as_deleted(
    client: Client, stack: Stack, bucket: Bucket
) -> None:
    resources = serving(stack.name, bucket, {})
    stack.create(resources)
    sagemaker, name = client("sagemaker"), f"{stack.name}-base"
    sagemaker.delete_inference_component(InferenceComponentName=name)
    until(lambda: not sagemaker.list_inference_components(NameContains=name)["InferenceComponents"])
    resources["Base"]["Properties"]["RuntimeConfig"]["CopyCount"] = 2
    stack.update(resources)
    assert "NotFound" in stack.reasons("UPDATE_FAILED")[0]
    assert stack.delete() == "DELETE_COMPLETE"

"""Which tags of the app the components of a fleet may have."""

import aws_cdk as cdk
import pytest
from constructs import Construct

from multi_adapter_inference import AdapterFleet, AdapterManifest
from multi_adapter_inference.fleet.component_tags import ComponentTags
from tests.constructs.conftest import WriteManifest, imported_endpoint


@pytest.fixture
def tags(stack: cdk.Stack) -> ComponentTags:
    """The tags of a fleet of two adapters, one of which has 40 of its own."""
    own = {f"own{number}": "x" for number in range(40)}
    return ComponentTags(Construct(stack, "Tenants"), {"plain": {}, "tagged": own})


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        ("Fleet-UID", cdk.Aws.REGION, "'fleet-uid' is the tag by which"),
        ("AWS:team", "support", "keys that begin with 'aws:' are AWS's own"),
        ("team", "support & sales", "got 'support & sales'"),
    ],
    ids=["of the fleet", "of AWS", "characters"],
)
def test_a_tag_of_the_stack_that_no_component_can_have_is_an_error(
    stack: cdk.Stack, tags: ComponentTags, key: str, value: str, problem: str
) -> None:
    stack.tags.set_tag(key, value)
    (error,) = tags.errors()
    assert error.startswith(f"the tag '{key}")
    assert problem in error


def test_the_value_of_a_tag_may_be_known_at_deployment_only(stack: cdk.Stack, tags: ComponentTags) -> None:
    stack.tags.set_tag("place", f"{cdk.Aws.REGION}/{cdk.Aws.ACCOUNT_ID}")
    assert tags.errors() == []


def test_more_tags_than_a_component_may_have_are_an_error_that_names_the_adapter(
    stack: cdk.Stack, tags: ComponentTags
) -> None:
    for number in range(9):
        stack.tags.set_tag(f"stack{number}", "x")
    assert tags.errors() == []
    stack.tags.set_tag("stack9", "x")
    assert tags.errors() == [
        "the tags of adapter 'tagged' of the fleet 'Stack/Tenants' should be at most 50 with the 10 of the"
        " fleet and 'fleet-uid', got 51"
    ]
    for number in range(50):
        stack.tags.set_tag(f"stack{number}", "x")
    (error,) = tags.errors()
    assert error.startswith("the tags of the components of 'Stack/Tenants' should be at most")


def test_the_tags_of_the_fleet_go_before_those_of_the_stack_it_is_nested_in(stack: cdk.Stack) -> None:
    nested = cdk.NestedStack(stack, "Nested")
    tags = ComponentTags(Construct(nested, "Tenants"), {})
    for manager, value in ((stack.tags, "outer"), (nested.tags, "inner"), (tags.manager, "own")):
        manager.set_tag("team", value)
        assert tags.inherited == {"team": value}


def test_errors_are_told_at_the_end_of_synth(
    app: cdk.App, stack: cdk.Stack, write_manifest: WriteManifest
) -> None:
    manifest = AdapterManifest.from_file(write_manifest())
    AdapterFleet(stack, "Tenants", endpoint=imported_endpoint(stack), manifest=manifest)
    cdk.Tags.of(stack).add("fleet-uid", "mine")
    with pytest.raises(RuntimeError, match="the tag 'fleet-uid' of the fleet 'Stack/Tenants': "):
        app.synth()

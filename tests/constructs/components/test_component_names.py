"""Which constructs of an app may have the same names. What claims a name has a case of its own."""

import aws_cdk as cdk
import pytest
from constructs import Construct

from multi_adapter_inference.components.component_names import (
    claim_checked,
    claim_fleet_uid,
    claim_manifest,
    warn_of_fixed_names,
)
from tests.constructs.conftest import warnings_of

ACCOUNT = "123456789012"


@pytest.fixture
def endpoint(stack: cdk.Stack) -> Construct:
    return Construct(stack, "Llm")


@pytest.fixture
def first(stack: cdk.Stack, endpoint: Construct) -> Construct:
    """What has the component `acme-ectsum` of the endpoint."""
    made = Construct(stack, "First")
    claim_checked(made, ["acme-ectsum"], endpoint=endpoint)
    return made


@pytest.mark.parametrize("where", ["a stack", "a nested stack"])
def test_two_stacks_of_one_endpoint_may_not_have_the_same_name(
    app: cdk.App, stack: cdk.Stack, endpoint: Construct, first: Construct, where: str
) -> None:
    other = cdk.Stack(app, "Other") if where == "a stack" else cdk.NestedStack(stack, "Other")
    with pytest.raises(ValueError, match=r"got 'acme-ectsum' for 'Stack/First' and '.*Other/Second'"):
        claim_checked(Construct(other, "Second"), ["acme-ectsum"], endpoint=endpoint)


def test_one_stack_may_not_have_the_same_name_on_the_endpoints_of_two(
    app: cdk.App, endpoint: Construct
) -> None:
    other = cdk.Stack(app, "Other")
    claim_checked(Construct(other, "Own"), ["acme-ectsum"], endpoint=Construct(other, "Llm"))
    with pytest.raises(ValueError, match="got 'acme-ectsum' for 'Other/Own' and 'Other/Second'"):
        claim_checked(Construct(other, "Second"), ["acme-ectsum"], endpoint=endpoint)


def test_two_stacks_of_one_account_may_have_the_same_name_in_two_regions_only(
    app: cdk.App, endpoint: Construct
) -> None:
    def claim(name: str, region: str) -> None:
        stack = cdk.Stack(app, name, env=cdk.Environment(account=ACCOUNT, region=region))
        claim_checked(Construct(stack, "A"), ["ectsum"], endpoint=endpoint)

    claim("One", "eu-west-1")
    claim("Elsewhere", "us-east-1")
    with pytest.raises(ValueError, match="got 'ectsum' for 'One/A' and 'Other/A'"):
        claim("Other", "eu-west-1")


def test_two_fleets_of_one_manifest_in_s3_and_one_prefix_are_an_error_that_names_both(
    stack: cdk.Stack, endpoint: Construct
) -> None:
    def claim(id: str, key: str, prefix: str = "acme") -> None:
        claim_manifest(Construct(stack, id), endpoint=endpoint, prefix=prefix, bucket_name="models", key=key)

    claim("Tenants", "a.yaml")
    claim("Others", "b.yaml")
    claim("Third", "a.yaml", prefix="third")
    with pytest.raises(ValueError, match=r"'a.yaml' and the prefix 'ACME' for 'Stack/Tenants' and 'Stack/Ag"):
        claim("Again", "a.yaml", prefix="ACME")


def test_two_fleets_of_one_identifier_are_an_error_that_names_both(
    stack: cdk.Stack, endpoint: Construct
) -> None:
    claim_fleet_uid(Construct(stack, "Tenants"), "c8a1b2c3-9f3e", endpoint=endpoint)
    others = Construct(stack, "Others")
    claim_fleet_uid(others, "c8a1b2c3-0000", endpoint=endpoint)
    with pytest.raises(ValueError, match="got 'c8a1b2c3-9f3e' for 'Stack/Tenants' and 'Stack/Others'"):
        claim_fleet_uid(others, "c8a1b2c3-9f3e", endpoint=endpoint)


@pytest.mark.parametrize(
    ("value", "source"),
    [
        (cdk.Fn.import_value("Other"), 'Fn::ImportValue "Other"'),
        (cdk.SecretValue.ssm_secure("/prefix", "1").unsafe_unwrap(), "a dynamic reference"),
        (f"{cdk.Aws.REGION}-{cdk.Fn.import_value('Other')}", 'Fn::ImportValue "Other"'),
    ],
    ids=["import", "dynamic reference", "part"],
)
def test_a_name_that_another_stack_may_change_is_warned_of(stack: cdk.Stack, value: str, source: str) -> None:
    warn_of_fixed_names(stack, component_prefix=value)
    (warning,) = warnings_of(stack)
    assert warning.startswith(f"'component_prefix' comes from {source}, whose value may change")


def test_a_name_that_is_known_at_deployment_and_never_changes_is_not_warned_of(stack: cdk.Stack) -> None:
    warn_of_fixed_names(
        stack,
        component_prefix=f"p-{cdk.Aws.ACCOUNT_ID}-{cdk.Fn.select(0, cdk.Fn.split('-', cdk.Aws.STACK_NAME))}",
    )
    assert warnings_of(stack) == []

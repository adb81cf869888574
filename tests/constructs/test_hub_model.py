import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk.assertions import Match, Template
from cdk_nag import AwsSolutionsChecks

from adapter_fleet.hub.copy import IAM_PROPAGATION_SECONDS
from multi_adapter_inference import HubModel
from tests.constructs.conftest import MakeEndpoint

COMMIT = "0123456789abcdef0123456789abcdef01234567"
OWN = "arn:aws:s3:::models/base/acme--llama/"


@pytest.fixture
def token(stack: cdk.Stack) -> secretsmanager.ISecret:
    return secretsmanager.Secret.from_secret_complete_arn(
        stack, "Token", "arn:aws:secretsmanager:us-east-1:111122223333:secret:hub-AbCdEf"
    )


@pytest.fixture
def make(stack: cdk.Stack, bucket: s3.IBucket) -> Callable[..., HubModel]:
    def make(id: str = "Model", **settings: Any) -> HubModel:
        return HubModel(
            stack,
            id,
            **{"model_id": "acme/llama", "revision": COMMIT, "bucket": bucket, "prefix": "base", **settings},
        )

    return make


def only(stack: cdk.Stack, type_: str) -> dict[str, Any]:
    (resource,) = Template.from_stack(stack).find_resources(type_).values()
    return dict(resource)


def role_statements(stack: cdk.Stack, function: str) -> list[dict[str, Any]]:
    """Return the statements of a function's role, its partition named."""
    statements = []
    for policy in [
        *Template.from_stack(stack).find_resources("AWS::IAM::Role").items(),
        *Template.from_stack(stack).find_resources("AWS::IAM::Policy").items(),
    ]:
        logical_id, resource = policy
        if logical_id.startswith(f"Model{function}Role"):
            for inline in resource["Properties"].get("Policies", [resource["Properties"]]):
                statements += inline["PolicyDocument"]["Statement"]
    return statements


def test_an_endpoint_waits_for_its_copy(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, make: Callable[..., HubModel]
) -> None:
    make_endpoint(base_model=make().base_model)
    template = Template.from_stack(stack)
    (copy,) = template.find_resources("Custom::HubModel")
    for type_ in ("Model", "Endpoint", "InferenceComponent"):
        (resource,) = template.find_resources(f"AWS::SageMaker::{type_}").values()
        assert copy in resource["DependsOn"]


def test_sagemaker_downloads_what_was_copied(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, make: Callable[..., HubModel]
) -> None:
    model = make()
    make_endpoint(base_model=model.base_model, network_isolation=True)
    (copy,) = Template.from_stack(stack).find_resources("Custom::HubModel")
    source = only(stack, "AWS::SageMaker::Model")["Properties"]["PrimaryContainer"]["ModelDataSource"]
    assert source == {
        "S3DataSource": {
            "S3Uri": {"Fn::Join": ["", ["s3://models/", {"Fn::GetAtt": [copy, "Prefix"]}]]},
            "S3DataType": "S3Prefix",
            "CompressionType": "None",
        }
    }


def test_the_execution_role_reads_every_revision_so_that_a_rollback_can(
    stack: cdk.Stack, make_endpoint: MakeEndpoint, make: Callable[..., HubModel]
) -> None:
    make_endpoint(base_model=make().base_model)
    Template.from_stack(stack).has_resource_properties(
        "AWS::IAM::Policy",
        {
            "PolicyDocument": {
                "Statement": Match.array_with(
                    [
                        Match.object_like(
                            {
                                "Action": "s3:ListBucket",
                                "Condition": {"StringLike": {"s3:prefix": "base/acme--llama/*"}},
                            }
                        )
                    ]
                )
            }
        },
    )


def test_adapters_are_compared_with_the_name_of_the_model(
    make_endpoint: MakeEndpoint, make: Callable[..., HubModel]
) -> None:
    def named(id: str, **settings: Any) -> str | None:
        model = make(f"{id}Model", **settings).base_model
        facts = make_endpoint(id=id, component_prefix=id.lower(), base_model=model).base_model_facts
        return facts.name if facts else None

    assert named("One") == "acme/llama"
    assert named("Two", name="llama") == "llama"


def test_the_copy_is_told_what_to_copy(stack: cdk.Stack, make: Callable[..., HubModel]) -> None:
    make(timeout=cdk.Duration.minutes(30), part_size=cdk.Size.mebibytes(8))
    properties = only(stack, "Custom::HubModel")["Properties"]
    told = {
        "ModelId": "acme/llama",
        "Revision": COMMIT,
        "Bucket": "models",
        "Prefix": "base/",
        "PartBytes": 8 * 1024 * 1024,
        "TimeoutSeconds": 1800,
        "ServiceTimeout": "2040",
    }
    assert {name: properties[name] for name in told} == told


@pytest.mark.parametrize("seconds", [1, 2, 100, 55 * 60 - 1])
def test_a_timeout_of_any_seconds_is_waited_for(
    stack: cdk.Stack, make: Callable[..., HubModel], seconds: int
) -> None:
    make(timeout=cdk.Duration.seconds(seconds))
    waiter = "framework-isComplete-task"
    (asking,) = definition(stack, waiter)["States"][waiter]["Retry"]
    framework = asking["IntervalSeconds"] * asking["MaxAttempts"]
    answer = int(only(stack, "Custom::HubModel")["Properties"]["ServiceTimeout"])
    assert seconds < framework < answer < 3600


def test_only_who_asks_the_hub_reads_the_token_and_by_its_arn(
    stack: cdk.Stack, make: Callable[..., HubModel], token: secretsmanager.ISecret
) -> None:
    make(token=token)
    functions = Template.from_stack(stack).find_resources("AWS::Lambda::Function")
    knows = {
        name
        for name, function in functions.items()
        if "TOKEN_SECRET" in function["Properties"].get("Environment", {}).get("Variables", {})
    }
    assert {name.removeprefix("Model")[:4] for name in knows} == {"Plan", "Copy"}
    assert all(
        functions[name]["Properties"]["Environment"]["Variables"]["TOKEN_SECRET"] == token.secret_arn
        for name in knows
    )
    for function in ("Plan", "Copy", "Advance", "OnEvent", "IsComplete"):
        reads = any("secretsmanager:GetSecretValue" in str(s) for s in role_statements(stack, function))
        assert reads == (function in ("Plan", "Copy")), function


def test_who_copies_a_range_may_write_below_the_model_and_nothing_else(
    stack: cdk.Stack, make: Callable[..., HubModel]
) -> None:
    make()
    statements = [s for s in role_statements(stack, "Copy") if str(s["Action"]).startswith("s3:")]
    assert [(s["Action"], str(s["Resource"]).partition(":s3")[2]) for s in statements] == [
        ("s3:PutObject", ":::models/base/acme--llama/*']]}")
    ]


def test_an_encrypted_bucket_is_written_with_its_key(stack: cdk.Stack, make: Callable[..., HubModel]) -> None:
    key = kms.Key(stack, "Key")
    make(bucket=s3.Bucket(stack, "Encrypted", encryption_key=key))
    for function in ("Plan", "Copy", "Advance"):
        assert any("kms:GenerateDataKey*" in str(s) for s in role_statements(stack, function)), function


def definition(stack: cdk.Stack, having: str = "Files") -> dict[str, Any]:
    """Return the state machine that has a state of this name: by default that of the copy."""
    return next(
        json.loads("".join(part if isinstance(part, str) else "x" for part in join[1]))
        for resource in Template.from_stack(stack).find_resources("AWS::StepFunctions::StateMachine").values()
        for join in [resource["Properties"]["DefinitionString"]["Fn::Join"]]
        if having in str(join)
    )


def states_of(machine: dict[str, Any]) -> Iterator[str]:
    """Yield the names of all states, those in maps included."""
    for name, state in machine["States"].items():
        yield name
        yield from states_of(state.get("ItemProcessor", {"States": {}}))


def test_a_map_over_ranges_is_in_one_over_files(stack: cdk.Stack, make: Callable[..., HubModel]) -> None:
    make(max_concurrency=8)
    files = definition(stack)["States"]["Files"]
    ranges = files["ItemProcessor"]["States"]["Ranges"]
    assert [
        (state["ItemProcessor"]["ProcessorConfig"]["Mode"], state["MaxConcurrency"])
        for state in (files, ranges)
    ] == [("DISTRIBUTED", 4), ("DISTRIBUTED", 2)]


def test_the_plan_is_tried_until_a_denial_cannot_be_about_the_roles_before(
    stack: cdk.Stack, make: Callable[..., HubModel]
) -> None:
    make()
    retry = definition(stack)["States"]["Plan"]["Retry"][-1]
    assert retry["JitterStrategy"] == "NONE"
    waits = [retry["IntervalSeconds"] * retry["BackoffRate"] ** n for n in range(retry["MaxAttempts"])]
    assert sum(min(wait, retry["MaxDelaySeconds"]) for wait in waits) > IAM_PROPAGATION_SECONDS


def test_no_two_states_have_one_name_as_step_functions_wants_it(
    stack: cdk.Stack, make: Callable[..., HubModel]
) -> None:
    make()
    names = list(states_of(definition(stack)))
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"model_id": "llama"}, "'model_id' should be '<organization>/<model>', known at synth, got 'llama'"),
        ({"model_id": "a/../b"}, "'model_id' should be '<organization>/<model>', known at synth"),
        ({"model_id": cdk.Aws.REGION}, "'model_id' should be .* known at synth, got a token"),
        ({"model_id": "acme/.."}, "'model_id' should be '<organization>/<model>', known at synth"),
        ({"model_id": 5}, "'model_id' should be a text, got 5"),
        ({"revision": None}, "'revision' should be a text, got None"),
        ({"name": ""}, "'name' should not be empty, got ''"),
        ({"bucket": "name"}, "'bucket' should be a bucket, such as .* got 'name'"),
        ({"token": "hf_abc"}, "'token' should be a secret, such as .* got one of type str$"),
        ({"prefix": "s3://x"}, "'prefix' should be the beginning of the keys, such as 'base', got 's3://x'"),
        ({"prefix": ".."}, "'prefix' should be the beginning of the keys, such as 'base', got '..'"),
        ({"prefix": "a//b"}, "'prefix' should be the beginning of the keys"),
        ({"prefix": None}, "'prefix' should be a text, got None"),
        ({"hub_endpoint": "https://h:99999"}, "'hub_endpoint' should be an https URL"),
        ({"hub_endpoint": None}, "'hub_endpoint' should be a text, got None"),
        ({"timeout": cdk.Duration.seconds(0)}, "'timeout' should be from 1 second to 55 minutes"),
        (
            {"timeout": cdk.Duration.millis(1500)},
            "'timeout' should be whole seconds, got 1 second 500 millis",
        ),
        ({"timeout": 50}, "'timeout' should be a Duration, such as .* got 50"),
        ({"part_size": 64}, "'part_size' should be a Size, such as Size.mebibytes.64., got 64"),
        ({"part_size": cdk.Size.kibibytes(5000)}, "'part_size' should be from 5 to 256 MiB, got 4.88281"),
        ({"max_concurrency": 1.5}, "'max_concurrency' should be a whole number, got 1.5"),
        ({"max_concurrency": True}, "'max_concurrency' should be a whole number, got True"),
        ({"max_concurrency": "8"}, "'max_concurrency' should be a whole number, got '8'"),
        ({"max_concurrency": 100_000}, "'max_concurrency' should be at most 10000, as Step Functions"),
        ({"revision": " "}, "'revision' should be a commit, or a branch or tag that is resolved once"),
        ({"prefix": "/base"}, "'prefix' should not start with '/', got '/base'"),
        ({"hub_endpoint": "huggingface.co"}, "'hub_endpoint' should be an https URL"),
        ({"hub_endpoint": "https://me:secret@hub"}, "'hub_endpoint' should be an https URL without a query"),
        (
            {"timeout": cdk.Duration.minutes(56)},
            "'timeout' should be from 1 second to 55 minutes, as CloudFormation",
        ),
        ({"part_size": cdk.Size.mebibytes(4)}, "'part_size' should be from 5 to 256 MiB, got 4"),
        ({"max_concurrency": 0}, "'max_concurrency' should be at least 1, got 0"),
    ],
)
def test_what_cannot_be_copied_is_an_error_at_synth(
    make: Callable[..., HubModel], bucket: s3.IBucket, settings: dict[str, Any], error: str
) -> None:
    with pytest.raises(ValueError, match=f"'Stack/Model': {error}"):
        make(**settings)


def test_a_part_may_be_between_two_mebibytes(stack: cdk.Stack, make: Callable[..., HubModel]) -> None:
    make(part_size=cdk.Size.kibibytes(5500))
    assert only(stack, "Custom::HubModel")["Properties"]["PartBytes"] == 5500 * 1024


def test_a_token_goes_nowhere_unencrypted(
    make: Callable[..., HubModel], token: secretsmanager.ISecret
) -> None:
    make(hub_endpoint="http://mirror.internal")
    make("Loopback", hub_endpoint="http://127.0.0.1:8000", token=token)
    with pytest.raises(ValueError, match=r"https URL .*got 'http://mirror\.internal'"):
        make("Mirror", hub_endpoint="http://mirror.internal", token=token)


def test_cdk_nag_finds_nothing_that_is_not_acknowledged(
    stack: cdk.Stack,
    app: cdk.App,
    make_endpoint: MakeEndpoint,
    make: Callable[..., HubModel],
    token: secretsmanager.ISecret,
) -> None:
    make_endpoint(base_model=make(token=token).base_model)
    # One that is not acknowledged, to see that the rules are applied.
    s3.Bucket(stack, "Probe")
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    report = json.loads((Path(app.outdir) / "validation-report.json").read_text())
    found = {
        construct["constructPath"]
        for plugin in report["pluginReports"]
        if plugin["pluginName"] != "Construct Annotations"
        for violation in plugin["violations"]
        for construct in violation["violatingConstructs"]
    }
    assert found == {"Stack/Probe/Resource"}

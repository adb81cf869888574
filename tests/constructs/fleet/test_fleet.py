import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import aws_cdk as cdk
import pytest
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn

from adapter_fleet.common.serialization import converter, unstructured
from adapter_fleet.fleet.state.fleet_settings import DeletionLimit, DriftAction, FailureLimit, FleetSettings
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    Canary,
    DeletionGuard,
    DriftCheck,
    FailurePolicy,
    FleetAdapter,
    IAdapterFleet,
    IBaseComponent,
    LoraAdapter,
    LoraServing,
    OnTimeout,
    Releases,
    SmokeTest,
)
from multi_adapter_inference.fleet.monitoring import AdapterFleetMonitoring
from multi_adapter_inference.fleet.statements import reads_artifacts
from multi_adapter_inference.functions.lambda_zip import lambda_zip
from multi_adapter_inference.template.stack_location import check_same_environment
from tests.constructs.conftest import (
    MakeEndpoint,
    MakeFleet,
    WriteManifest,
    endpoint_of,
    imported_endpoint,
    write_manifest_into,
)
from tests.constructs.resources import Resources

HOURLY = cdk.Duration.hours(1)
SMOKE = SmokeTest(prompt="Hello", max_tokens=4, expect="[a-z]")


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> AdapterFleet:
    """A fleet with every setting, whose tests leave it as it is. In its stack are roles with its grants."""
    folder = tmp_path_factory.mktemp("tuned")
    app = cdk.App(outdir=str(folder / "cdk.out"))
    stack = cdk.Stack(app, "Stack", tags={"cost-center": "42", "team": "none"})
    bucket = s3.Bucket.from_bucket_name(stack, "Bucket", "models")
    sources = [ArtifactSource(bucket=bucket, prefix="adapters/")]
    endpoint = endpoint_of(stack, "Llm", bucket, artifact_sources=sources)
    path = write_manifest_into(folder, {"name": "Ectsum"}, {"name": "triage"})
    fleet = endpoint.add_fleet(
        "Tenants",
        manifest=AdapterManifest.from_file(path),
        component_prefix="eu",
        fleet_uid="c8abcdef-1234",
        failure_policy=FailurePolicy.at_most(3),
        deletion_guard=DeletionGuard.share(0.5, above=2, allow_empty=True),
        request_rate=2,
        timeout=cdk.Duration.minutes(55),
        on_timeout=OnTimeout.FAIL,
        smoke_test=SMOKE,
        drift_check=DriftCheck.repair(every=HOURLY, probes=None),
        allow_base_replacement=True,
        registry_removal_policy=cdk.RemovalPolicy.RETAIN,
    )
    cdk.Tags.of(stack).add("place", cdk.Aws.REGION)
    cdk.Tags.of(fleet).add("tier", "gold")
    fleet.grant_invoke(caller_in(stack, "Some"), adapters=["Ectsum"])
    fleet.adapter("triage").grant_invoke(caller_in(stack, "Member"))
    return fleet


@pytest.fixture(scope="module")
def tuned_resources(tuned: AdapterFleet) -> Resources:
    """The resources of the stack of `tuned`."""
    return Resources.of(cdk.Stack.of(tuned))


@pytest.fixture(scope="module")
def tuned_properties(tuned_resources: Resources) -> Mapping[str, Any]:
    """What `tuned` passes on."""
    return tuned_resources.only("Custom::AdapterFleet")


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> AdapterFleet:
    """A fleet whose manifest is in S3, whose tests leave it as it is.

    In its stack are a reader and a manager of it, and of the same fleet as another app imports it.
    """
    stack = cdk.Stack(cdk.App(outdir=str(tmp_path_factory.mktemp("stored") / "cdk.out")), "Stack")
    own = s3.Bucket.from_bucket_name(stack, "Own", "models")
    endpoint = imported_endpoint(stack, artifact_sources=[ArtifactSource(bucket=own, prefix="adapters/")])
    manifest = AdapterManifest.from_bucket(own, "a.yaml", enable_events=False, reread_every=HOURLY)
    fleet = AdapterFleet(stack, "Tenants", endpoint=endpoint, manifest=manifest)
    imported = AdapterFleet.from_fleet_attributes(
        stack, "Imported", fleet_uid="1234-uuid", endpoint=endpoint, **attributes(stack, own)
    )
    for name, each in {"Own": fleet, "Imported": imported}.items():
        each.grant_read(caller_in(stack, f"{name}Reader")).assert_success()
        each.grant_manage(caller_in(stack, f"{name}Manager")).assert_success()
    return fleet


def attributes(stack: cdk.Stack, manifests: s3.IBucket) -> dict[str, Any]:
    """Return the attributes of a fleet of another app that its operators reach."""
    return {
        "registry": dynamodb.Table.from_table_name(stack, "Table", "registry"),
        "state_machine": sfn.StateMachine.from_state_machine_name(stack, "Machine", "machine"),
        "stack_name": "Theirs",
        "manifest_bucket": manifests,
        "manifest_key": "a.yaml",
    }


@pytest.fixture(scope="module")
def monitoring(stored: AdapterFleet) -> AdapterFleetMonitoring:
    return stored.monitor(usage=None)


@pytest.fixture(scope="module")
def stored_resources(stored: AdapterFleet, monitoring: AdapterFleetMonitoring) -> Resources:
    """The resources of the stack of `stored`, which is monitored."""
    return Resources.of(cdk.Stack.of(stored))


@pytest.fixture
def make(stack: cdk.Stack, write_manifest: WriteManifest) -> MakeFleet:
    """Return a function that makes a fleet of two adapters, if nothing else is said, elsewhere's endpoint."""

    def make_fleet(id: str = "Tenants", **settings: Any) -> AdapterFleet:
        endpoint = settings.pop("endpoint", None) or imported_endpoint(stack)
        manifest = settings.pop("manifest", None) or AdapterManifest.from_file(write_manifest())
        return AdapterFleet(stack, id, endpoint=endpoint, manifest=manifest, **settings)

    return make_fleet


def caller_in(stack: cdk.Stack, id: str) -> iam.Role:
    return iam.Role(stack, id, assumed_by=iam.AccountRootPrincipal())


def depends_on(resources: Resources, logical_id: str) -> set[str]:
    """Return all resources that have to be there before one, also by what it refers to."""
    seen: set[str] = set()
    open_ = [logical_id]
    while open_:
        resource = resources[open_.pop()]
        text = json.dumps(resource)
        named = {*resource.get("DependsOn", []), *re.findall(r'"Ref": "(\w+)"', text)}
        named |= set(re.findall(r'"Fn::GetAtt": \["(\w+)"', text))
        new = (named & resources.keys()) - seen
        seen |= new
        open_ += new
    return seen


@pytest.mark.slow
def test_a_thousand_adapters_ask_the_cdk_as_often_as_one(
    make: MakeFleet,
    make_endpoint: MakeEndpoint,
    bucket: s3.IBucket,
    write_manifest: WriteManifest,
    cdk_calls: list[object],
) -> None:
    roomy = make_endpoint(
        id="Roomy",
        component_prefix="roomy",
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
        # For all of them: a warning asks, too.
        lora=LoraServing(max_loras=30, max_cpu_loras=1000, max_lora_rank=64),
    )
    make("Warm", endpoint=roomy, component_prefix="warm")
    counts = []
    for name, adapters in (("One", 1), ("Many", 1000)):
        path = write_manifest(*({"name": f"{name}{number}"} for number in range(adapters)))
        cdk_calls.clear()
        make(name, endpoint=roomy, manifest=AdapterManifest.from_file(path))
        counts.append(len(cdk_calls))
    assert counts[0] == counts[1] > 0


def test_every_setting_reaches_the_functions(tuned_properties: Mapping[str, Any]) -> None:
    assert converter.structure(json.loads(tuned_properties["Settings"]), FleetSettings) == FleetSettings(
        failures=FailureLimit(count=3),
        deletions=DeletionLimit(share=0.5, above=2, allow_empty=True),
        request_rate=2,
        timeout_seconds=3300,
        on_timeout=OnTimeout.FAIL,
        smoke=SMOKE.request(),
        drift=DriftAction.REPAIR,
        probes_per_drift_run=None,
        allow_base_replacement=True,
        max_lora_rank=64,
    )
    # CloudFormation waits longer, and no longer than it can.
    assert 55 * 60 < int(tuned_properties["ServiceTimeout"]) <= 3600


def test_new_code_of_the_functions_updates_the_fleet(tuned_properties: Mapping[str, Any]) -> None:
    assert tuned_properties["CodeDigest"] == lambda_zip("adapter_fleet.lambdas.fleet").digest


def test_a_fleet_may_be_added_to_its_endpoint_as_adapters_are(
    tuned: AdapterFleet, tuned_properties: Mapping[str, Any]
) -> None:
    assert tuned.node.path == "Stack/Llm/Tenants"
    # The name for people has no stack in it.
    assert tuned_properties["FleetName"] == "Llm/Tenants"
    assert tuned.component_name("Ectsum") == "eu-Ectsum"


def test_an_id_that_is_taken_on_the_endpoint_is_an_error(
    tuned: AdapterFleet, write_manifest: WriteManifest
) -> None:
    endpoint: Any = tuned.endpoint
    manifest = AdapterManifest.from_file(write_manifest())
    with pytest.raises(ValueError, match=r"should be none of AlarmPolicy, Base, .* got 'Base'"):
        endpoint.add_fleet("Base", manifest=manifest)
    with pytest.raises(ValueError, match="an id of its own, got 'Tenants' for 'Stack/Llm/Tenants'"):
        endpoint.add_fleet("Tenants", manifest=manifest)


def test_a_moved_fleet_keeps_the_identifier_that_it_is_given_and_its_copies(
    tuned_properties: Mapping[str, Any], tuned_resources: Resources
) -> None:
    assert tuned_properties["FleetUid"] == "c8abcdef-1234"
    assert '"aws:RequestTag/fleet-uid": "c8abcdef-1234"' in json.dumps(tuned_resources)
    kept = json.dumps(tuned_properties["KeptArchives"])
    assert "/lora-adapters/fleet-c8abcdef.c8abcdef-1234/" in kept


def test_tags_of_the_stack_and_of_the_fleet_reach_its_components(
    tuned_properties: Mapping[str, Any],
) -> None:
    assert tuned_properties["Tags"] == {
        "cost-center": "42",
        "team": "none",
        "place": {"Ref": "AWS::Region"},
        "tier": "gold",
    }


def test_the_fleet_is_there_after_all_it_needs_and_gone_before(tuned_resources: Resources) -> None:
    fleet = tuned_resources.id_of("Custom::AdapterFleet")
    callers = {name for name in tuned_resources if name.startswith(("Some", "Member"))}
    rest = tuned_resources.keys() - depends_on(tuned_resources, fleet) - callers - {fleet}
    assert {tuned_resources[name]["Type"] for name in rest} == {"AWS::Events::Rule"}
    rules = rest & tuned_resources.of_type("AWS::Events::Rule").keys()
    assert all(fleet in tuned_resources[name]["DependsOn"] for name in rules)
    # The registry may stay when the fleet goes.
    assert tuned_resources[tuned_resources.id_of("AWS::DynamoDB::Table")]["DeletionPolicy"] == "Retain"


@pytest.mark.parametrize("limit", [None, FailurePolicy.share(0.05)._limit])
def test_policy_of_the_default_share_is_not_the_absence_of_one(limit: FailureLimit | None) -> None:
    stored = unstructured(FleetSettings(failures=limit))
    assert converter.structure(stored, FleetSettings).failures == limit


def test_other_policies_than_the_tuned_ones_are_limits_too() -> None:
    assert FailurePolicy.strict()._limit == FailureLimit(count=0)
    assert FailurePolicy.share(0.05)._limit == FailureLimit(share=0.05)
    assert DeletionGuard.off()._limit == DeletionLimit(share=1, allow_empty=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeout": cdk.Duration.minutes(56)}, "'timeout' should be .* at most 55 minutes, .* got 56 min"),
        ({"timeout": cdk.Duration.minutes(0)}, "'timeout' should be above 0 .* got 0 minutes"),
        ({"request_rate": 0}, "'request_rate' should be above 0, got 0"),
        (
            {"request_rate": cdk.Token.as_number({"Ref": "Number"})},
            "'request_rate' should be known at synth, got a token",
        ),
        ({"component_prefix": "bad_prefix!"}, "'component_prefix' should be letters, .* got 'bad_prefix!'"),
        ({"fleet_uid": "a/b"}, "'fleet_uid' should be at most 128 letters, "),
    ],
    ids=["long", "none", "rate", "token", "prefix", "identifier"],
)
def test_a_setting_that_cannot_be_is_an_error_with_the_fleet(
    make: MakeFleet, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^'Stack/Tenants': {message}"):
        make(**settings)


A_NUMBER = cast("int", cdk.Token.as_number({"Ref": "Number"}))


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (lambda: FailurePolicy.at_most(-1), "'count' should be at least 0, got -1"),
        (lambda: FailurePolicy.share(A_NUMBER), "'share' should be known at synth, got a token"),
        (lambda: DeletionGuard.share(0.5, above=A_NUMBER), "'above' should be known at synth, got a token"),
        (lambda: DriftCheck.report(every=cdk.Duration.seconds(30)), "'every' should be at least a minute"),
    ],
)
def test_a_policy_that_cannot_be_is_an_error(policy: Callable[..., Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"(^|: ){message}"):
        policy()


@pytest.fixture
def removable(make: MakeFleet, make_endpoint: MakeEndpoint, bucket: s3.IBucket) -> AdapterFleet:
    """A fleet in the stack of its base model, for a test to retain."""
    return make(endpoint=make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket)]))


def test_a_fleet_that_stays_when_one_thing_that_it_needs_goes_is_an_error(removable: AdapterFleet) -> None:
    removable.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    for resource in removable.endpoint.needed_by_adapters:
        (error,) = removable.node.validate()
        assert "'Stack/Tenants' should not be retained while the base model" in error
        cast("cdk.CfnResource", resource).apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    assert removable.node.validate() == []


def test_a_fleet_may_stay_when_all_of_its_stack_stays(
    app: cdk.App, stack: cdk.Stack, removable: AdapterFleet
) -> None:
    cdk.RemovalPolicies.of(stack).retain()
    app.synth()
    resources = Resources.of(stack)
    assert resources[resources.id_of("Custom::AdapterFleet")]["DeletionPolicy"] == "Retain"


@pytest.mark.slow
@pytest.mark.parametrize(("nested", "errors"), [(True, 1), (False, 0)], ids=["nested", "another stack"])
def test_a_fleet_may_stay_when_its_base_is_in_another_stack_but_not_in_a_nested_one(
    app: cdk.App,
    stack: cdk.Stack,
    make_endpoint: MakeEndpoint,
    bucket: s3.IBucket,
    write_manifest: WriteManifest,
    nested: bool,
    errors: int,
) -> None:
    scope = cdk.NestedStack(stack, "Nested") if nested else cdk.Stack(app, "Other")
    endpoint = make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket)])
    manifest = AdapterManifest.from_file(write_manifest())
    fleet = AdapterFleet(scope, "Tenants", endpoint=endpoint, manifest=manifest)
    fleet.apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    assert len(fleet.node.validate()) == errors


@pytest.mark.parametrize("in_bucket", [False, True], ids=["manifest of synth", "manifest in S3"])
def test_archives_anywhere_are_read_with_the_keys_of_the_buckets_that_are_known(
    stack: cdk.Stack, bucket: s3.IBucket, in_bucket: bool
) -> None:
    key = kms.Key(stack, "Key")
    own = s3.Bucket(stack, "Own", encryption_key=key)
    archive = AdapterArtifact.from_bucket(own, f"a/{'0' * 64}.tar.gz")
    manifest = (
        AdapterManifest.from_bucket(bucket, "a.yaml", buckets={"own": own})
        if in_bucket
        else AdapterManifest.from_adapters([FleetAdapter(name="a", artifact=archive)])
    )
    endpoint = imported_endpoint(stack)
    found = reads_artifacts(stack, manifest._bind(stack, endpoint, "acme", None, False), endpoint)
    (decrypts,) = [each for each in found if "kms:Decrypt" in each.actions]
    assert list(decrypts.resources) == [key.key_arn]


def test_an_adapter_that_is_not_in_the_manifest_is_an_error_with_what_was_meant(tuned: AdapterFleet) -> None:
    with pytest.raises(ValueError, match=r"\(did you mean 'Ectsum'\?\), got 'Ectsums'"):
        tuned.component_name("Ectsums")
    with pytest.raises(ValueError, match=r"'Stack/Llm/Tenants': 'adapter' .* \(it has 2 others\), got 'x'"):
        tuned.component_name("x")


def test_a_prefix_known_at_deployment_only_begins_no_name_that_the_manifest_gives(
    stack: cdk.Stack, make: MakeFleet, write_manifest: WriteManifest
) -> None:
    # It begins as what stands for the prefix at synth does.
    path = write_manifest({"name": "llama", "component": "prod-llama"}, {"name": "other"})
    prefix = cdk.CfnParameter(stack, "Prefix").value_as_string
    fleet = make(component_prefix=prefix, manifest=AdapterManifest.from_file(path))
    assert fleet.component_name("llama") == "prod-llama"
    assert stack.resolve(fleet.component_name("other")) == {"Fn::Join": ["", [{"Ref": "Prefix"}, "-other"]]}
    fleet.grant_invoke(caller_in(stack, "Caller"), adapters=["llama"])
    (statement,) = Resources.of(stack).statements("Caller")
    assert statement["Resource"][1]["Fn::Join"][1][-1] == ":inference-component/prod-llama"


def test_what_another_construct_has_is_an_error_that_names_both(
    stack: cdk.Stack, make: MakeFleet, write_manifest: WriteManifest, bucket: s3.IBucket
) -> None:
    manifest = AdapterManifest.from_file(write_manifest({"name": "Ectsum"}))
    endpoint = make(component_prefix="eu", fleet_uid="c8abcdef-1234", manifest=manifest).endpoint
    settings: dict[str, Any] = {"endpoint": endpoint, "manifest": manifest}
    with pytest.raises(ValueError, match="got 'eu-Ectsum' for 'Stack/Tenants' and 'Stack/Name'"):
        make("Name", component_prefix="eu", **settings)
    with pytest.raises(ValueError, match="got 'c8abcdef-1234' for 'Stack/Tenants' and 'Stack/Moved'"):
        make("Moved", fleet_uid="c8abcdef-1234", **settings)
    artifact = AdapterArtifact.from_uri("s3://models/adapters/a.tar.gz")
    with pytest.raises(ValueError, match="got 'EU-ectsum' for 'Stack/Tenants' and 'Stack/Adapter'"):
        LoraAdapter(stack, "Adapter", endpoint=endpoint, artifact=artifact, component_name="EU-ectsum")
    settings["manifest"] = AdapterManifest.from_bucket(bucket, "a.yaml", enable_events=False)
    make("Stored", component_prefix="us", **settings)
    with pytest.raises(ValueError, match=r"'a.yaml' .* for 'Stack/Stored' and 'Stack/Manifest'"):
        make("Manifest", component_prefix="us", **settings)


def test_an_endpoint_that_is_known_to_be_elsewhere_is_an_error(
    app: cdk.App, write_manifest: WriteManifest, bucket: s3.IBucket
) -> None:
    def there(account: str, region: str) -> IBaseComponent:
        env = cdk.Environment(account=account, region=region)
        return imported_endpoint(cdk.Stack(app, f"In-{region}", env=env))

    here = cdk.Stack(app, "Here", env=cdk.Environment(account="111111111111", region="us-east-1"))
    theirs = there("222222222222", "us-east-1")
    message = "'endpoint' should be in the account 111111111111, .* got 'In-us-east-1/Llm' in 222222222222"
    with pytest.raises(ValueError, match=f"^'Here/Tenants': {message}"):
        AdapterFleet(here, "Tenants", endpoint=theirs, manifest=AdapterManifest.from_file(write_manifest()))
    artifact = AdapterArtifact.from_bucket(bucket, "adapters/a.tar.gz")
    with pytest.raises(ValueError, match=f"^'Here/Ectsum': {message}"):
        LoraAdapter(here, "Ectsum", endpoint=theirs, artifact=artifact)
    with pytest.raises(ValueError, match=r"should be in the region us-east-1, .* in eu-west-1"):
        check_same_environment(here, there("111111111111", "eu-west-1"))
    # A region that is not known may be this one.
    check_same_environment(here, imported_endpoint(cdk.Stack(app, "Anywhere")))


def test_a_caller_of_some_adapters_is_told_their_names_in_every_case(tuned_resources: Resources) -> None:
    for caller, names in (("Some", ["eu-ectsum", "eu-Ectsum"]), ("Member", ["eu-triage"])):
        (statement,) = tuned_resources.statements(caller)
        _, *components = statement["Resource"]
        found = [arn["Fn::Join"][1][-1] for arn in components]
        assert found == [f":inference-component/{name}" for name in names]


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"adapters": []}, "'adapters' should have at least one name or be left out, got none"),
        ({"adapters": ["Ectsum"], "components": []}, "'components' should have at least one name"),
        ({"components": ["eu-Ectsun"]}, r"'components' should be in .* \(did you mean 'eu-Ectsum'\?\)"),
    ],
)
def test_names_to_grant_that_cannot_be_meant_are_an_error(
    tuned: AdapterFleet, named: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=f"^'Stack/Llm/Tenants': {message}"):
        tuned.grant_invoke(iam.AccountRootPrincipal(), **named)


def test_an_adapter_of_a_fleet_has_the_component_that_the_manifest_gives_it_and_its_metrics(
    tuned: AdapterFleet,
) -> None:
    made = tuned.adapter("Ectsum", component_name="eu-Ectsum").metric_model_latency()
    assert made.dimensions == {"InferenceComponentName": "eu-Ectsum"}
    with pytest.raises(ValueError, match="'component_name' should be 'eu-Ectsum', which the manifest"):
        tuned.adapter("Ectsum", component_name="eu-triage")


def test_a_metric_is_that_of_the_fleet(tuned: AdapterFleet) -> None:
    for name in (
        "Desired",
        "InService",
        "Failed",
        "Pending",
        "ConvergenceAge",
        "Throttles",
        "Drifted",
        "Orphans",
        "FailedPasses",
        "Rejected",
    ):
        metric = getattr(tuned, "metric" + re.sub("([A-Z])", r"_\1", name).lower())()
        assert (metric.namespace, metric.metric_name) == ("MultiAdapterInference", name)
        assert metric.dimensions == {"Fleet": tuned.fleet_uid}


def test_what_became_of_a_deployment_can_be_an_output(tuned: AdapterFleet) -> None:
    attributes = {
        "Summary": tuned.summary,
        "Desired": tuned.desired_count,
        "InService": tuned.in_service_count,
        "Failed": tuned.failed_count,
        "Pending": tuned.pending_count,
        "Orphans": tuned.orphan_count,
    }
    for name, value in attributes.items():
        assert cdk.Stack.of(tuned).resolve(value)["Fn::GetAtt"][1] == name


def test_alarm_for_a_standstill_counts_failed_passes_and_functions_that_died(
    monitoring: AdapterFleetMonitoring, stored_resources: Resources
) -> None:
    alarm = stored_resources.alarm(monitoring.alarms["Standstill"])
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (3, "GreaterThanOrEqualToThreshold")
    names = {
        metric["MetricStat"]["Metric"]["MetricName"] for metric in alarm["Metrics"] if "MetricStat" in metric
    }
    assert names == {"FailedPasses", "Errors"}
    # The other alarm of its own is for events that reached no function.
    alarm = stored_resources.alarm(monitoring.alarms["LostEvents"])
    assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert (alarm["Threshold"], alarm["TreatMissingData"]) == (1, "notBreaching")
    assert "DeadLetters" in str(alarm["Dimensions"])


def rule_of(resources: Resources, beginning: str) -> Mapping[str, Any]:
    """Return the properties of the rule whose logical id begins so."""
    rules = resources.of_type("AWS::Events::Rule")
    (name,) = (name for name in rules if name.startswith(f"Tenants{beginning}"))
    return rules[name]


def test_what_answers_is_looked_at_every_hour_by_default_and_changes_by_hand_are_only_reported(
    stored_resources: Resources,
) -> None:
    assert rule_of(stored_resources, "DriftCheck")["ScheduleExpression"] == "rate(1 hour)"
    settings = json.loads(stored_resources.only("Custom::AdapterFleet")["Settings"])
    assert settings["drift"] == "report"


def test_a_fleet_without_drift_checks_has_no_schedule_for_them(make: MakeFleet, stack: cdk.Stack) -> None:
    make(drift_check=None)
    rules = Resources.of(stack).of_type("AWS::Events::Rule").values()
    assert not any("ScheduleExpression" in rule for rule in rules)


def test_endpoint_that_is_in_service_again_starts_a_look_at_its_copies(stored_resources: Resources) -> None:
    rule = rule_of(stored_resources, "EndpointChanged")
    assert rule["EventPattern"] == {
        "source": ["aws.sagemaker"],
        "detail-type": ["SageMaker Endpoint State Change"],
        "detail": {"EndpointName": ["llama"], "EndpointStatus": ["IN_SERVICE"]},
    }
    (target,) = rule["Targets"]
    assert '"trigger":"look"' in json.dumps(target["InputTransformer"]["InputTemplate"]).replace("\\", "")


def test_execution_that_somebody_stops_is_followed_by_another_also_in_the_first_deployment(
    stored_resources: Resources,
) -> None:
    rule = rule_of(stored_resources, "Stopped")
    assert rule["EventPattern"]["detail"] == {
        "stateMachineArn": [rule["Targets"][0]["Arn"]],
        # One that failed could fail again and again.
        "status": ["ABORTED"],
    }
    fleet = stored_resources[stored_resources.id_of("Custom::AdapterFleet")]
    assert any(name.startswith("TenantsStopped") for name in fleet["DependsOn"])


def test_manifest_in_s3_is_looked_at_as_often_as_is_said(stored_resources: Resources) -> None:
    rule = rule_of(stored_resources, "ManifestReread")
    assert rule["ScheduleExpression"] == "rate(1 hour)"
    (target,) = rule["Targets"]
    assert json.loads(target["Input"]) == {"trigger": "schedule"}
    assert "ManifestObject" in str(target["Arn"])
    # A bucket that sends its events already is left as it is.
    assert stored_resources.of_type("Custom::S3BucketNotifications") == {}


def test_a_fleet_of_another_app_grants_what_one_of_this_app_does(stored_resources: Resources) -> None:
    def shape(statement: dict[str, Any]) -> tuple[str, str]:
        return json.dumps(statement["Action"]), json.dumps(statement.get("Condition"))

    for who in ("Reader", "Manager"):
        own, theirs = (stored_resources.statements(f"{of}{who}") for of in ("Own", "Imported"))
        assert list(map(shape, own)) == list(map(shape, theirs))
        text = json.dumps(theirs)
        assert "table/registry" in text
        assert "stack/Theirs/*" in text


@pytest.mark.parametrize("who", ["Reader", "Manager"])
def test_who_reads_or_manages_reads_archives_of_the_endpoint_and_no_others(
    stored_resources: Resources, who: str
) -> None:
    found = [
        (
            statement["Action"],
            statement["Resource"]["Fn::Join"][1][-1],
            statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix"),
        )
        for statement in stored_resources.statements(f"Own{who}")
        if str(statement["Action"]).startswith("s3:")
    ]
    # The second tells an archive that is missing from one that may not be read.
    expected = [
        ("s3:GetObject", ":s3:::models/adapters/*", None),
        ("s3:ListBucket", ":s3:::models", ["adapters/*"]),
    ]
    if who == "Manager":
        expected += [
            ("s3:GetObject", ":s3:::models/a.yaml", None),
            ("s3:ListBucket", ":s3:::models", ["a.yaml"]),
            ("s3:PutObject", ":s3:::models/a.yaml", None),
        ]
    assert found == expected


class TestReleases:
    """A fleet whose versions are components of their own."""

    @pytest.fixture
    def fleet(self, stack: cdk.Stack, bucket: s3.IBucket, tmp_path: Path) -> AdapterFleet:
        path = write_manifest_into(tmp_path, {"name": "acme"}, {"name": "globex"})
        return endpoint_of(
            stack, "Llm", bucket, artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")]
        ).add_fleet(
            "Tenants",
            manifest=AdapterManifest.from_file(path),
            releases=Releases(
                keep=2,
                drain=cdk.Duration.minutes(2),
                canary=Canary(steps=(10,), every=cdk.Duration.minutes(9)),
            ),
        )

    def test_caller_of_one_adapter_gets_its_versions_by_tag_and_its_route(
        self, stack: cdk.Stack, fleet: AdapterFleet
    ) -> None:
        fleet.grant_invoke(caller_in(stack, "One"), adapters=["acme"])
        fleet.grant_invoke(caller_in(stack, "Every"))
        resources = Resources.of(stack)
        for who, tagged, routes in (("One", ["acme"], "route#acme"), ("Every", None, "route#*")):
            invokes, reads = resources.statements(who)[1:]
            assert invokes["Condition"]["StringEquals"].get("aws:ResourceTag/fleet-adapter") == tagged
            assert "aws:ResourceTag/fleet-uid" in invokes["Condition"]["StringEquals"]
            assert reads["Action"] == "dynamodb:GetItem"
            assert routes in str(reads["Condition"])

    def test_manager_writes_routes_too(self, stack: cdk.Stack, fleet: AdapterFleet) -> None:
        fleet.grant_manage(caller_in(stack, "Manager"))
        (writes,) = [
            statement
            for statement in Resources.of(stack).statements("Manager")
            if "dynamodb:PutItem" in statement["Action"]
        ]
        keys = {"dynamodb:LeadingKeys": ["orders", "routes", "route#*"]}
        assert writes["Condition"]["ForAllValues:StringLike"] == keys
        assert writes["Action"] == [f"dynamodb:{write}Item" for write in ("Delete", "Put", "Update")]

    def test_settings_reach_the_functions(self, stack: cdk.Stack, fleet: AdapterFleet) -> None:
        settings = json.loads(Resources.of(stack).only("Custom::AdapterFleet")["Settings"])
        canary = {"steps": [10], "every_seconds": 540}
        assert settings["releases"] == {"keep": 2, "drain_seconds": 120, "canary": canary}
        assert "cloudwatch:GetMetricData" in str(Resources.of(stack).of_type("AWS::IAM::Role"))

    def test_version_may_be_told_by_its_component(self, fleet: AdapterFleet) -> None:
        declared = next(iter((fleet.component_names or {}).values()))
        for component in (declared, f"{declared}-3f9a01c2"):
            metric = fleet.adapter("acme", component_name=component).metric_invocations()
            assert metric.dimensions == {"InferenceComponentName": component}
        with pytest.raises(ValueError, match="'component_name' should be in the fleet's manifest"):
            fleet.adapter("acme", component_name=f"{declared}-3f9a")

    def test_component_is_looked_up_at_run_time(self, fleet: AdapterFleet) -> None:
        with pytest.raises(ValueError, match=r"'component_name' should be looked up .* got 'acme'"):
            fleet.component_name("acme")
        with pytest.raises(ValueError, match="'adapter' should be in the fleet's manifest"):
            fleet.grant_invoke(iam.AccountRootPrincipal(), adapters=["acne"])

    def test_names_leave_room_for_the_version(
        self, stack: cdk.Stack, bucket: s3.IBucket, tmp_path: Path
    ) -> None:
        path = write_manifest_into(tmp_path, {"name": "a" * 50})
        options: dict[str, Any] = {"manifest": AdapterManifest.from_file(path), "component_prefix": "tenants"}
        sources = [ArtifactSource(bucket=bucket, prefix="adapters/")]
        endpoint = endpoint_of(stack, "Llm", bucket, artifact_sources=sources)
        with pytest.raises(ValueError, match="'component_name of a version' should have at most 63"):
            endpoint.add_fleet("Tenants", releases=Releases(), **options)
        assert endpoint.add_fleet("InPlace", **options)

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"keep": -1}, "'keep' should be at least 0, got -1"),
            ({"keep": 6}, "'keep' should be at most 5, got 6"),
            ({"drain": cdk.Duration.seconds(79)}, "'drain' should be from 80 to 86400 seconds, got 79"),
            ({"drain": cdk.Duration.hours(25)}, "'drain' should be from 80 to 86400 seconds, got 90000"),
        ],
    )
    def test_what_leaves_callers_without_an_answer_or_outgrows_a_route_is_an_error(
        self, given: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(ValueError, match=message):
            Releases(**given)


class TestImportedFleet:
    @pytest.fixture
    def imported(self, stack: cdk.Stack) -> Callable[..., IAdapterFleet]:
        """Return a function that imports a fleet of another app, whose manifest synth does not know."""

        def make_imported(**given: Any) -> IAdapterFleet:
            endpoint = imported_endpoint(stack)
            return AdapterFleet.from_fleet_attributes(
                stack, "Imported", fleet_uid="1234-uuid", endpoint=endpoint, **given
            )

        return make_imported

    @pytest.fixture
    def operated(self, stack: cdk.Stack, bucket: s3.IBucket) -> dict[str, Any]:
        return attributes(stack, bucket)

    def test_it_can_be_invoked(self, stack: cdk.Stack, imported: Callable[..., IAdapterFleet]) -> None:
        fleet = imported()
        fleet.grant_invoke(caller_in(stack, "Every"))
        fleet.grant_invoke(caller_in(stack, "Named"), adapters=["acme"], components=["tenant-old-2023"])
        assert fleet.component_name("any") == "acme-any"
        resources = Resources.of(stack)
        assert '{"aws:ResourceTag/fleet-uid": "1234-uuid"}' in json.dumps(resources.statements("Every"))
        (named,) = resources.statements("Named")
        assert [arn["Fn::Join"][1][-1] for arn in named["Resource"][1:]] == [
            ":inference-component/acme-acme",
            ":inference-component/tenant-old-2023",
        ]

    def test_an_adapter_may_be_told_by_a_component_that_there_can_be(
        self, imported: Callable[..., IAdapterFleet]
    ) -> None:
        fleet = imported()
        adapter = fleet.adapter("old", component_name="tenant-old-2023")
        assert adapter.metric_invocations().dimensions == {"InferenceComponentName": "tenant-old-2023"}
        with pytest.raises(ValueError, match=r"'component_name' should be letters, .* got 'bad_name'"):
            fleet.adapter("old", component_name="bad_name")
        with pytest.raises(ValueError, match=r"^'Stack/Imported': "):
            fleet.component_name("x" * 60)

    def test_more_names_than_a_role_holds_are_an_error_that_points_to_tags(
        self, imported: Callable[..., IAdapterFleet]
    ) -> None:
        fleet, names = imported(), [f"tenant{number}" for number in range(51)]
        assert fleet.grant_invoke(iam.AccountRootPrincipal(), adapters=names[:50])
        with pytest.raises(
            ValueError, match=r"'adapters' and 'components' should name at most 50, .* got 51: .*tag"
        ):
            fleet.grant_invoke(iam.AccountRootPrincipal(), adapters=names)

    def test_one_without_its_stack_is_found_by_its_table_alone(
        self, stack: cdk.Stack, imported: Callable[..., IAdapterFleet], operated: dict[str, Any]
    ) -> None:
        imported(**{**operated, "stack_name": None}).grant_manage(caller_in(stack, "Caller"))
        resources = Resources.of(stack)
        assert "cloudformation:ListStackResources" not in json.dumps(resources.statements("Caller"))

    @pytest.mark.parametrize(
        ("attributes", "message"),
        [
            ({"manifest_key": None}, "'manifest_bucket' and 'manifest_key' should be given together"),
            ({"component_prefix": "bad_prefix!"}, "'Stack/Imported': 'component_prefix' should be letters"),
        ],
    )
    def test_attributes_that_cannot_be_are_an_error(
        self,
        imported: Callable[..., IAdapterFleet],
        operated: dict[str, Any],
        attributes: dict[str, Any],
        message: str,
    ) -> None:
        with pytest.raises(ValueError, match=message):
            imported(**{**operated, **attributes})

    @pytest.mark.parametrize(
        ("grant", "missing"),
        [("invoke", "registry"), ("read", "registry"), ("manage", "state_machine")],
    )
    def test_one_without_what_is_granted_is_an_error(
        self, imported: Callable[..., IAdapterFleet], operated: dict[str, Any], grant: str, missing: str
    ) -> None:
        fleet = imported(**{**operated, missing: None}, has_routes=True)
        with pytest.raises(ValueError, match=f"should be imported with '{missing}' to be .*, got None"):
            getattr(fleet, f"grant_{grant}")(iam.AccountRootPrincipal())

import json
import re
import subprocess
import sys
from pathlib import Path

import aws_cdk as cdk
import jsii
import pytest
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from aws_cdk.assertions import Template
from constructs import Construct

from adapter_fleet.converter import converter
from adapter_fleet.fleet_settings import DeletionLimit, FailureLimit, FleetSettings
from adapter_fleet.fleet_settings import DriftCheck as DriftAction
from multi_adapter_inference import (
    AdapterArtifact,
    AdapterFleet,
    AdapterManifest,
    ArtifactSource,
    DeletionGuard,
    DriftCheck,
    FailurePolicy,
    LoraServing,
    OnTimeout,
    SmokeTest,
    UpdateMode,
)

HOURLY = cdk.Duration.hours(1)


@pytest.fixture
def endpoint(make_endpoint, bucket):
    return make_endpoint(artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")])


@pytest.fixture
def make(stack, endpoint, write_manifest):
    """Return a function that makes a fleet, of two adapters if nothing else is said."""

    def make_fleet(id: str = "Tenants", scope: cdk.Stack = stack, **settings) -> AdapterFleet:
        manifest = settings.pop("manifest", None) or AdapterManifest.from_file(write_manifest())
        return AdapterFleet(scope, id, **{"endpoint": endpoint, "manifest": manifest, **settings})

    return make_fleet


@pytest.fixture
def settings(fleet_properties):
    """Return a function that returns the settings that the Lambda functions will read."""
    return lambda: converter.structure(json.loads(fleet_properties()["Settings"]), FleetSettings)


@pytest.fixture
def template(stack):
    """Return a function that synthesizes the stack."""
    return lambda: Template.from_stack(stack).to_json()["Resources"]


def statements(resources: dict, *names: str) -> list[dict]:
    """Return the statements of all policies whose logical ids contain one of the names."""
    found = []
    for logical_id, resource in resources.items():
        if not any(name in logical_id for name in names):
            continue
        properties = resource["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        if resource["Type"] == "AWS::IAM::Policy":
            documents.append(properties["PolicyDocument"])
        found += [statement for document in documents for statement in document["Statement"]]
    return found


def actions(of: list[dict]) -> set[str]:
    return {
        action
        for statement in of
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }


def depends_on(resources: dict, logical_id: str) -> set[str]:
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


def logical_id(resources: dict, type_: str) -> str:
    (found,) = [name for name, resource in resources.items() if resource["Type"] == type_]
    return found


def test_a_thousand_adapters_are_as_many_resources_as_one(make, write_manifest, template):
    for name, adapters in (("One", 1), ("Many", 1000)):
        path = write_manifest(*({"name": f"{name}{number}"} for number in range(adapters)))
        make(name, manifest=AdapterManifest.from_file(path))
    ids = list(template())
    one, many = (len([id_ for id_ in ids if id_.startswith(name)]) for name in ("One", "Many"))
    assert one == many > 0


def test_a_thousand_adapters_ask_the_cdk_as_often_as_one(
    make, make_endpoint, bucket, write_manifest, monkeypatch
):
    roomy = make_endpoint(
        id="Roomy",
        component_prefix="roomy",
        artifact_sources=[ArtifactSource(bucket=bucket, prefix="adapters/")],
        # For all of them: a warning asks, too.
        lora=LoraServing(max_loras=30, max_cpu_loras=1000, max_lora_rank=64),
    )
    process = jsii.kernel.provider._process
    asked = []

    def send(request, response_type, original=process.send):
        asked.append(request)
        return original(request, response_type)

    make("Warm", endpoint=roomy, component_prefix="warm")
    monkeypatch.setattr(process, "send", send)
    counts = []
    for name, adapters in (("One", 1), ("Many", 1000)):
        path = write_manifest(*({"name": f"{name}{number}"} for number in range(adapters)))
        asked.clear()
        make(name, endpoint=roomy, manifest=AdapterManifest.from_file(path))
        counts.append(len(asked))
    assert counts[0] == counts[1] > 0


def test_the_resource_says_where_the_fleet_is(stack, endpoint, make, fleet_properties):
    make()
    properties = fleet_properties()
    assert properties["EndpointName"] == stack.resolve(endpoint.endpoint_name)
    assert properties["BaseComponentName"] == endpoint.base_component_name
    assert (properties["FleetName"], properties["ComponentPrefix"]) == ("Tenants", "acme")


def test_the_resource_changes_with_the_base_model(stack, endpoint, make, fleet_properties):
    make()
    assert fleet_properties()["BaseModelName"] == stack.resolve(endpoint.base_model_name)


def test_the_name_for_people_has_no_stack_in_it(stack, make, write_manifest, fleet_properties):
    make(scope=Construct(stack, "Llm2"))
    assert fleet_properties()["FleetName"] == "Llm2/Tenants"


def test_the_identifier_is_another_one_in_every_deployment_of_the_app(make, fleet_properties):
    fleet = make()
    place, of_stack = fleet_properties()["FleetUid"]["Fn::Join"][1]
    assert place == fleet.node.addr[:8]
    assert of_stack == {"Fn::Select": [2, {"Fn::Split": ["/", {"Ref": "AWS::StackId"}]}]}


def test_settings_are_those_of_the_promises_by_default(make, settings):
    make()
    assert settings() == FleetSettings(max_lora_rank=64)


def test_every_setting_reaches_the_functions(make, settings):
    smoke = SmokeTest(prompt="Hello", max_tokens=4, expect="[a-z]")
    make(
        failure_policy=FailurePolicy.at_most(3),
        deletion_guard=DeletionGuard.share(0.5, above=2, allow_empty=True),
        update_mode=UpdateMode.REPLACE,
        request_rate=2,
        timeout=cdk.Duration.minutes(10),
        on_timeout=OnTimeout.FAIL,
        smoke_test=smoke,
        drift_check=DriftCheck.repair(every=HOURLY),
        allow_base_replacement=True,
    )
    assert settings() == FleetSettings(
        failures=FailureLimit(count=3),
        deletions=DeletionLimit(share=0.5, above=2, allow_empty=True),
        update_mode=UpdateMode.REPLACE,
        request_rate=2,
        timeout_seconds=600,
        on_timeout=OnTimeout.FAIL,
        smoke=smoke.request(),
        drift=DriftAction.REPAIR,
        allow_base_replacement=True,
        max_lora_rank=64,
    )


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [(FailurePolicy.strict(), 0), (FailurePolicy.share(0.05), 5), (FailurePolicy.at_most(7), 7)],
    ids=["strict", "share", "at most"],
)
def test_a_failure_policy_allows_so_many_of_a_hundred(policy, allowed):
    assert policy.limit.allowed(100) == allowed


def test_no_guard_allows_to_delete_everything():
    assert DeletionGuard.off().limit == DeletionLimit(share=1, allow_empty=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"timeout": cdk.Duration.minutes(56)}, "'timeout' should be at most 55 minutes, .* got 56 minutes"),
        ({"timeout": cdk.Duration.minutes(0)}, "'timeout' should be above 0"),
        ({"request_rate": 0}, "'request_rate' should be above 0, got 0"),
    ],
)
def test_a_setting_that_cannot_be_is_an_error_with_the_fleet(make, settings, message):
    with pytest.raises(ValueError, match=f"'Stack/Tenants': {message}"):
        make(**settings)


def test_a_share_above_one_is_an_error():
    with pytest.raises(ValueError, match="'share' should be from 0 to 1, got 5"):
        FailurePolicy.share(5)


def test_drift_is_not_checked_more_often_than_rules_allow():
    with pytest.raises(ValueError, match="'every' should be at least a minute, got 30 seconds"):
        DriftCheck.report(every=cdk.Duration.seconds(30))


def test_cloudformation_waits_longer_than_the_fleet_and_no_longer_than_it_can(make, fleet_properties):
    make(timeout=cdk.Duration.minutes(55))
    assert 55 * 60 < int(fleet_properties()["ServiceTimeout"]) <= 3600


def test_tags_of_the_stack_and_of_the_fleet_reach_its_components(stack, make, fleet_properties):
    cdk.Tags.of(stack).add("team", "support")
    fleet = make()
    cdk.Tags.of(fleet).add("tier", "gold")
    assert fleet_properties()["Tags"] == {"team": "support", "tier": "gold"}


def test_the_fleets_own_tag_is_not_for_users(app, make):
    cdk.Tags.of(make()).add("fleet-uid", "mine")
    with pytest.raises(RuntimeError, match="'Stack/Tenants' should not be given the tag 'fleet-uid'"):
        app.synth()


def test_the_fleet_is_there_after_all_it_needs_and_gone_before(make, template):
    make(drift_check=DriftCheck.report(every=HOURLY))
    resources = template()
    needed = depends_on(resources, logical_id(resources, "Custom::AdapterFleet"))
    rest = resources.keys() - needed - {logical_id(resources, "Custom::AdapterFleet")}
    assert {resources[name]["Type"] for name in rest} == {"AWS::Events::Rule"}
    rule = logical_id(resources, "AWS::Events::Rule")
    assert logical_id(resources, "Custom::AdapterFleet") in resources[rule]["DependsOn"]


def test_a_fleet_in_another_stack_follows_the_endpoints_stack(app, stack, make):
    other = cdk.Stack(app, "Other")
    make(scope=other)
    app.synth()
    assert other.dependencies == [stack]


def test_a_new_manifest_in_s3_is_taken_and_none_is_missed_while_the_first_is_applied(stack, make, template):
    own = s3.Bucket(stack, "Own")
    make(manifest=AdapterManifest.from_bucket(own, "fleets/tenants.yaml"))
    resources = template()
    rule = logical_id(resources, "AWS::Events::Rule")
    assert resources[rule]["Properties"]["EventPattern"] == {
        "source": ["aws.s3"],
        "detail-type": ["Object Created"],
        "detail": {
            "bucket": {"name": [stack.resolve(own.bucket_name)]},
            "object": {"key": ["fleets/tenants.yaml"]},
        },
    }
    assert rule in resources[logical_id(resources, "Custom::AdapterFleet")]["DependsOn"]
    (target,) = resources[rule]["Properties"]["Targets"]
    assert resources[target["Arn"]["Fn::GetAtt"][0]]["Properties"]["Handler"].endswith(".manifest_object")
    notifications = resources[logical_id(resources, "Custom::S3BucketNotifications")]["Properties"]
    assert "EventBridgeConfiguration" in notifications["NotificationConfiguration"]


def test_a_bucket_that_sends_its_events_already_is_left_as_it_is(bucket, make, resources):
    make(manifest=AdapterManifest.from_bucket(bucket, "a.yaml", enable_events=False))
    assert resources("Custom::S3BucketNotifications") == []


def test_a_drift_check_starts_the_machine_now_and_then(make, resources):
    make(drift_check=DriftCheck.report(every=cdk.Duration.hours(6)))
    (rule,) = resources("AWS::Events::Rule")
    assert rule["Properties"]["ScheduleExpression"] == "rate(6 hours)"
    (target,) = rule["Properties"]["Targets"]
    assert '"trigger":"drift"' in target["InputTransformer"]["InputTemplate"]


def test_without_drift_check_or_manifest_in_s3_nothing_starts_it_but_deployments(make, resources):
    make()
    assert resources("AWS::Events::Rule") == []


def test_the_machine_repeats_passes_until_one_is_done(make, resources):
    make()
    texts = [
        "".join(
            part if isinstance(part, str) else ""
            for part in found["Properties"]["DefinitionString"]["Fn::Join"][1]
        )
        for found in resources("AWS::StepFunctions::StateMachine")
    ]
    (states,) = [json.loads(text)["States"] for text in texts if "First pass" in text]
    assert states["First pass"]["Next"] == states["Pass"]["Next"] == "Done?"
    assert states["Done?"]["Default"] == "Wait"
    assert states["Wait"] == {"Type": "Wait", "SecondsPath": "$.wait_seconds", "Next": "Pass"}
    assert "state.$" not in states["First pass"]["Parameters"]["Payload"]
    assert states["Pass"]["Parameters"]["Payload"]["state.$"] == "$.state"
    (retry,) = states["Pass"]["Retry"]
    assert retry["ErrorEquals"] == ["States.ALL"]


def test_the_registry_is_encrypted_recoverable_and_forgets_what_has_expired(make, resources):
    make()
    (table,) = resources("AWS::DynamoDB::Table")
    properties = table["Properties"]
    assert properties["SSESpecification"] == {"SSEEnabled": True}
    assert properties["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": True}
    assert properties["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert properties["BillingMode"] == "PAY_PER_REQUEST"
    assert table["DeletionPolicy"] == "Delete"


def test_the_registry_may_stay_when_the_fleet_goes(make, resources):
    make(registry_removal_policy=cdk.RemovalPolicy.RETAIN)
    (table,) = resources("AWS::DynamoDB::Table")
    assert table["DeletionPolicy"] == "Retain"


def test_a_fleet_that_stays_when_its_base_goes_is_an_error(app, make):
    make().apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    with pytest.raises(RuntimeError, match="'Stack/Tenants' should not be retained while the base model"):
        app.synth()


def test_a_fleet_that_an_aspect_retains_is_an_error_too(app, stack, make):
    make()
    cdk.RemovalPolicies.of(stack).retain()
    with pytest.raises(RuntimeError, match="'Stack/Tenants' should not be retained"):
        app.synth()


def test_a_fleet_may_stay_when_its_base_is_in_another_stack(app, make):
    other = cdk.Stack(app, "Other")
    make(scope=other).apply_removal_policy(cdk.RemovalPolicy.RETAIN)
    (resource,) = Template.from_stack(other).find_resources("Custom::AdapterFleet").values()
    assert resource["DeletionPolicy"] == "Retain"


def test_every_function_runs_from_the_zip_and_has_a_role_and_logs_of_limited_age(make, template):
    make()
    resources = template()
    own = [
        resource["Properties"]
        for resource in resources.values()
        if resource["Type"] == "AWS::Lambda::Function"
        and resource["Properties"]["Runtime"].startswith("python")
    ]
    assert {function["Handler"] for function in own} == {
        "adapter_fleet.handlers.on_event",
        "adapter_fleet.handlers.is_complete",
        "adapter_fleet.handlers.run_pass",
    }
    assert len({json.dumps(function["Code"]) for function in own}) == 1
    assert len({json.dumps(function["Role"]) for function in own}) == len(own)
    groups = [r for r in resources.values() if r["Type"] == "AWS::Logs::LogGroup"]
    assert all(group["Properties"]["RetentionInDays"] for group in groups)


def test_the_pass_writes_only_what_has_or_gets_the_fleets_tag(stack, make, template, fleet_properties):
    make()
    uid = fleet_properties()["FleetUid"]
    found = [
        statement
        for statement in statements(template(), "RunPassRole")
        if actions([statement])
        & {
            "sagemaker:CreateInferenceComponent",
            "sagemaker:UpdateInferenceComponent",
            "sagemaker:DeleteInferenceComponent",
            "sagemaker:AddTags",
            "sagemaker:DeleteTags",
        }
    ]
    assert len(found) == 4
    for statement in found:
        equals = statement["Condition"]["StringEquals"]
        assert equals in ({"aws:RequestTag/fleet-uid": uid}, {"aws:ResourceTag/fleet-uid": uid})


def test_the_pass_may_take_over_nothing_of_another_fleet(make, template, fleet_properties):
    make()
    (statement,) = [
        s
        for s in statements(template(), "RunPassRole")
        if actions([s]) == {"sagemaker:AddTags"} and "StringEquals" in s["Condition"]
    ]
    uid = fleet_properties()["FleetUid"]
    assert statement["Condition"]["StringEqualsIfExists"] == {"aws:ResourceTag/fleet-uid": uid}


def test_the_pass_can_tell_an_archive_that_is_missing(make, template):
    make()
    (statement,) = [s for s in statements(template(), "RunPassRole") if "s3:ListBucket" in actions([s])]
    assert "models" in str(statement["Resource"])


@pytest.mark.parametrize(("role", "count"), [("RunPass", 7), ("OnEvent", 5), ("IsComplete", 1)])
def test_each_function_may_do_with_the_registry_what_it_does(make, template, role, count):
    make()
    found = actions(statements(template(), f"{role}Role"))
    assert len([action for action in found if action.startswith("dynamodb:")]) == count


def test_the_pass_may_take_tags_from_its_own_components_alone(make, template, fleet_properties):
    make()
    (statement,) = [
        s for s in statements(template(), "RunPassRole") if "sagemaker:DeleteTags" in actions([s])
    ]
    uid = fleet_properties()["FleetUid"]
    assert statement["Condition"] == {"StringEquals": {"aws:ResourceTag/fleet-uid": uid}}


def test_functions_that_answer_cloudformation_touch_nothing_but_the_registry(make, template):
    make()
    resources = template()
    assert {action.partition(":")[0] for action in actions(statements(resources, "OnEventRole"))} == {
        "dynamodb",
        "logs",
        "s3",
        "states",
    }
    assert "s3" not in {
        action.partition(":")[0] for action in actions(statements(resources, "IsCompleteRole"))
    }


def test_a_rollback_can_read_the_manifest_before(make, template):
    make()
    objects = str([s for s in statements(template(), "OnEventRole") if "s3:GetObject" in actions([s])])
    assert "/adapter-manifests/*" in objects


def test_manifest_and_adapters_may_be_encrypted_with_keys(stack, make_endpoint, make, template):
    key = kms.Key(stack, "Key")
    own = s3.Bucket(stack, "Own", encryption_key=key)
    make(
        endpoint=make_endpoint(id="Other", artifact_sources=[ArtifactSource(bucket=own)]),
        manifest=AdapterManifest.from_bucket(own, "a.yaml"),
    )
    resources = template()
    for role in ("RunPassRole", "OnEventRole", "ManifestObjectRole"):
        assert "kms:Decrypt" in actions(statements(resources, f"Tenants{role}"))


def test_a_component_is_named_by_the_prefix_and_the_adapter(make):
    assert make().component_name("ectsum") == "acme-ectsum"


def test_a_fleet_may_have_a_prefix_of_its_own(make):
    assert make(component_prefix="eu").component_name("ectsum") == "eu-ectsum"


def test_a_prefix_known_at_deployment_only_begins_the_names(stack, make):
    prefix = cdk.CfnParameter(stack, "Prefix").value_as_string
    fleet = make(component_prefix=prefix)
    assert stack.resolve(fleet.component_name("ectsum")) == {"Fn::Join": ["", [{"Ref": "Prefix"}, "-ectsum"]]}


def test_an_adapter_that_is_not_in_the_manifest_is_an_error_with_what_was_meant(make):
    with pytest.raises(ValueError, match=r"\(did you mean 'ectsum'\?\), got 'ectsums'"):
        make().component_name("ectsums")


def test_a_manifest_in_s3_may_have_any_adapter(make, bucket):
    fleet = make(manifest=AdapterManifest.from_bucket(bucket, "a.yaml"))
    assert fleet.component_name("anything") == "acme-anything"


def test_two_fleets_of_one_prefix_and_one_name_are_an_error_that_names_both(make):
    make()
    with pytest.raises(ValueError, match="got 'acme-ectsum' for 'Stack/Tenants' and 'Stack/Others'"):
        make("Others")


def test_two_fleets_of_one_endpoint_are_told_apart_by_prefixes(make, resources):
    make()
    make("Others", component_prefix="others")
    assert len(resources("Custom::AdapterFleet")) == 2


def test_a_fleet_and_an_adapter_of_the_stack_of_one_name_are_an_error(endpoint, make, bucket):
    artifact = AdapterArtifact.from_bucket(bucket, "adapters/a.tar.gz")
    endpoint.add_adapter("Ectsum", artifact=artifact, component_name="acme-ECTSUM")
    with pytest.raises(ValueError, match="for 'Stack/Llm/Ectsum' and 'Stack/Tenants'"):
        make()


@pytest.fixture
def caller(stack):
    return iam.Role(stack, "Caller", assumed_by=iam.AccountRootPrincipal())


def test_a_caller_of_the_fleet_is_told_by_its_tag(stack, endpoint, make, caller, template):
    make().grant_invoke(caller)
    of_endpoint, of_components = statements(template(), "Caller")
    assert of_endpoint["Resource"] == stack.resolve(endpoint.endpoint_arn)
    assert of_components["Resource"]["Fn::Join"][1][-1] == ":inference-component/*"
    (condition,) = of_components["Condition"].values()
    assert list(condition) == ["aws:ResourceTag/fleet-uid"]
    assert actions([of_components]) == {
        "sagemaker:InvokeEndpoint",
        "sagemaker:InvokeEndpointWithResponseStream",
    }


def test_a_caller_in_another_stack_is_granted_too(app, make):
    other = cdk.Stack(app, "Other")
    caller = iam.Role(other, "Caller", assumed_by=iam.AccountRootPrincipal())
    make().grant_invoke(caller)
    resources = Template.from_stack(other).to_json()["Resources"]
    assert "aws:ResourceTag/fleet-uid" in json.dumps(statements(resources, "Caller"))


def test_a_caller_of_some_adapters_is_told_their_names_in_every_case(make, write_manifest, caller, template):
    fleet = make(manifest=AdapterManifest.from_file(write_manifest({"name": "Ectsum"}, {"name": "triage"})))
    fleet.grant_invoke(caller, adapters=["Ectsum"])
    (statement,) = statements(template(), "Caller")
    text = json.dumps(statement)
    assert ":inference-component/acme-Ectsum" in text
    assert ":inference-component/acme-ectsum" in text
    assert "triage" not in text


def test_more_names_than_a_role_holds_are_an_error_that_points_to_tags(make, write_manifest, caller):
    names = [f"tenant{number}" for number in range(51)]
    fleet = make(manifest=AdapterManifest.from_file(write_manifest(*({"name": name} for name in names))))
    with pytest.raises(ValueError, match=r"'adapters' should name at most 50, .* got 51: .*tag"):
        fleet.grant_invoke(caller, adapters=names)


def test_who_manages_reads_and_orders_and_changes_no_component(make, caller, template):
    make().grant_manage(caller)
    granted = actions(statements(template(), "Caller"))
    assert "cloudformation:ListStackResources" in granted
    assert {"dynamodb:Query", "dynamodb:PutItem", "states:StartExecution"} <= granted
    assert {action for action in granted if action.startswith("sagemaker:")} == {
        "sagemaker:DescribeInferenceComponent",
        "sagemaker:ListInferenceComponents",
        "sagemaker:ListTags",
    }


def test_who_manages_writes_the_manifest_in_s3_and_no_other_object(stack, make, caller, template):
    own = s3.Bucket(stack, "Own")
    make(manifest=AdapterManifest.from_bucket(own, "a.yaml")).grant_manage(caller)
    (statement,) = [s for s in statements(template(), "Caller") if "s3:PutObject" in actions([s])]
    assert statement["Resource"]["Fn::Join"][1][-1] == "/a.yaml"


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("metric_desired", "Desired"),
        ("metric_in_service", "InService"),
        ("metric_failed", "Failed"),
        ("metric_pending", "Pending"),
        ("metric_convergence_age", "ConvergenceAge"),
        ("metric_throttles", "Throttles"),
        ("metric_drifted", "Drifted"),
    ],
)
def test_a_metric_is_that_of_the_fleet(make, metric, name):
    fleet = make()
    made = getattr(fleet, metric)()
    assert (made.namespace, made.metric_name) == ("MultiAdapterInference", name)
    assert dict(made.dimensions) == {"Fleet": fleet.fleet_uid}


def test_what_became_of_a_deployment_can_be_an_output(stack, make):
    fleet = make()
    attributes = {
        "Summary": fleet.summary,
        "Desired": fleet.desired_count,
        "InService": fleet.in_service_count,
        "Failed": fleet.failed_count,
        "Pending": fleet.pending_count,
    }
    for name, value in attributes.items():
        assert stack.resolve(value)["Fn::GetAtt"][1] == name


def test_a_fleet_of_another_app_can_be_invoked_and_managed(stack, endpoint, caller, template):
    fleet = AdapterFleet.from_fleet_attributes(
        stack,
        "Imported",
        fleet_uid="1234-uuid",
        endpoint=endpoint,
        registry=dynamodb.Table.from_table_name(stack, "Table", "registry"),
        state_machine=sfn.StateMachine.from_state_machine_name(stack, "Machine", "machine"),
    )
    fleet.grant_invoke(caller)
    fleet.grant_manage(caller)
    text = json.dumps(statements(template(), "Caller"))
    assert '{"aws:ResourceTag/fleet-uid": "1234-uuid"}' in text
    assert "table/registry" in text
    assert fleet.component_name("any") == "acme-any"


def test_a_fleet_imported_without_registry_cannot_be_managed(stack, endpoint, caller):
    fleet = AdapterFleet.from_fleet_attributes(stack, "Imported", fleet_uid="1234", endpoint=endpoint)
    with pytest.raises(ValueError, match="should be imported with 'registry' and 'state_machine'"):
        fleet.grant_manage(caller)


def test_two_machines_make_the_same_template(tmp_path):
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import aws_cdk as cdk\n"
        "from multi_adapter_inference import *\n"
        "app = cdk.App(outdir=sys.argv[2])\n"
        "stack = cdk.Stack(app, 'Stack')\n"
        "endpoint = MultiAdapterEndpoint.from_endpoint_attributes(stack, 'Llm', endpoint_name='e',"
        " base_component_name='b', component_prefix='p')\n"
        "AdapterFleet(stack, 'Tenants', endpoint=endpoint, manifest=AdapterManifest.from_adapters([]))\n"
        "app.synth()"
    )
    templates = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        root = Path(__file__).parents[2]
        subprocess.run(
            [sys.executable, "-c", code, str(root / "constructs"), str(folder / "out")],
            cwd=folder,
            check=True,
        )
        templates.append((folder / "out" / "Stack.template.json").read_text())
    assert templates[0] == templates[1]

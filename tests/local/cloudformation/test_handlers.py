import copy
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_sagemaker.server import LocalCloud
from tests.local.conftest import ChangeSettings, Client
from tests.local.stacks import Bucket, Stack, serving, settled, until


@pytest.fixture
def sagemaker(client: Client) -> Any:
    return client("sagemaker")


def said(client: Client, stack: Stack, component: str) -> dict[str, Any]:
    endpoint = stack.physical_id("Endpoint").rpartition("/")[2]
    answer = client("sagemaker-runtime").invoke_endpoint(
        EndpointName=client("sagemaker").describe_endpoint(EndpointName=endpoint)["EndpointName"],
        InferenceComponentName=f"{stack.name}-{component}",
        Body=b"{}",
    )
    content: dict[str, Any] = json.loads(answer["Body"].read())
    return content


KINDS = {"Model": "model", "Config": "endpoint-config", "Endpoint": "endpoint", "Base": "inference-component"}


def test_ref_is_the_arn_and_the_stacks_tags_follow_an_update(
    stack: Stack, bucket: Bucket, sagemaker: Any, cloud: LocalCloud
) -> None:
    resources = serving(stack.name, bucket, {})
    stack.create(resources, tags={"team": "a"})
    cloud.admin.reset_calls()
    assert stack.update(resources, tags={"team": "b"}) == "UPDATE_COMPLETE"
    for logical_id, kind in KINDS.items():
        arn = stack.physical_id(logical_id)
        assert arn.startswith(f"arn:aws:sagemaker:us-east-1:000000000000:{kind}/{stack.name}-")
        tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        assert tags.pop("team") == "b"
        # Of the four schemas, that of models alone has CloudFormation's own tags.
        names = ("stack-name", "stack-id", "logical-id") if kind == "model" else ()
        assert tags.keys() == {f"aws:cloudformation:{name}" for name in names}
    assert cloud.admin.writes() == {"AddTags": 4}


def test_sticky_failure_reason_fails_neither_a_later_update_nor_a_rollback(
    stack: Stack, bucket: Bucket, client: Client, settings: ChangeSettings
) -> None:
    settings(failure_reason_stays=True, base_update_room="spare")

    def resources(adapter: str, version: str) -> dict[str, Any]:
        return serving(stack.name, bucket, {"one": adapter}, VERSION=version)

    stack.create(resources(bucket.adapter("1"), "1"))
    assert stack.update(resources(bucket.put("broken.tar.gz", b"no"), "1")) == "UPDATE_ROLLBACK_COMPLETE"
    assert stack.update(resources(bucket.adapter("2"), "1")) == "UPDATE_COMPLETE"
    assert stack.update(resources(bucket.adapter("2"), "2")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "CapacityError" in stack.reasons("UPDATE_FAILED")[0]
    answer = said(client, stack, "one")
    assert (answer["adapter"], answer["version"]) == ("2", "1")


def test_changed_configuration_is_replaced_and_the_endpoint_takes_it(
    stack: Stack, bucket: Bucket, sagemaker: Any
) -> None:
    resources = serving(stack.name, bucket, {})
    stack.create(resources)
    before = {logical_id: stack.physical_id(logical_id) for logical_id in ("Config", "Endpoint")}
    resources["Config"]["Properties"]["ProductionVariants"][0]["InitialInstanceCount"] = 2
    assert stack.update(resources) == "UPDATE_COMPLETE"
    assert stack.physical_id("Config") != before["Config"]
    assert stack.physical_id("Endpoint") == before["Endpoint"]
    endpoint = sagemaker.describe_endpoint(EndpointName=before["Endpoint"].rpartition("/")[2])
    assert endpoint["ProductionVariants"][0]["CurrentInstanceCount"] == 2
    assert len(sagemaker.list_endpoint_configs(NameContains=stack.name)["EndpointConfigs"]) == 1


def test_what_cannot_be_changed_fails(stack: Stack, bucket: Bucket) -> None:
    resources = serving(stack.name, bucket, {})
    resources["Config"]["Properties"]["EndpointConfigName"] = f"{stack.name}-config"
    stack.create(resources)
    changed = copy.deepcopy(resources)
    changed["Config"]["Properties"]["ProductionVariants"][0]["InitialInstanceCount"] = 2
    assert stack.update(changed) == "UPDATE_ROLLBACK_COMPLETE"
    assert "custom-named resource requires replacing" in stack.reasons("UPDATE_FAILED")[0]
    resources["Base"]["Properties"]["InferenceComponentName"] = "another-name"
    assert stack.update(resources) == "UPDATE_ROLLBACK_COMPLETE"
    assert "InferenceComponentName cannot be changed." in stack.reasons("UPDATE_FAILED")[0]


def test_property_that_an_adapter_does_not_have_is_rolled_back(stack: Stack, bucket: Bucket) -> None:
    resources = serving(stack.name, bucket, {"one": bucket.adapter("1")})
    stack.create(resources)
    resources["One"]["Properties"]["Nonsense"] = "x"
    assert stack.update(resources) == "UPDATE_ROLLBACK_COMPLETE"


def test_handlers_wait_out_throttling(stack: Stack, bucket: Bucket, cloud: LocalCloud) -> None:
    cloud.admin.fail_calls("CreateEndpoint", code="ThrottlingException", message="Rate exceeded", times=2)
    assert stack.create(serving(stack.name, bucket, {})) == "CREATE_COMPLETE"


@pytest.mark.parametrize(("template_copies", "left"), [("changed", 2), ("always", 1)])
def test_update_of_a_base_after_a_scale_out(
    stack: Stack,
    bucket: Bucket,
    sagemaker: Any,
    settings: ChangeSettings,
    template_copies: str,
    left: int,
) -> None:
    settings(template_copies=template_copies)
    resources = serving(stack.name, bucket, {})
    compute = resources["Base"]["Properties"]["Specification"]["ComputeResourceRequirements"]
    compute["NumberOfAcceleratorDevicesRequired"] = 1
    assert stack.create(resources) == "CREATE_COMPLETE"
    base = f"{stack.name}-base"

    def copies() -> int:
        count: int = settled(sagemaker, base)["RuntimeConfig"]["CurrentCopyCount"]
        return count

    sagemaker.update_inference_component_runtime_config(
        InferenceComponentName=base, DesiredRuntimeConfig={"CopyCount": 2}
    )
    assert copies() == 2
    compute["MinMemoryRequiredInMb"] = 2048
    assert stack.update(resources) == "UPDATE_COMPLETE", stack.why_failed()
    assert copies() == left


def test_base_rolls_to_a_new_model_unless_an_alarm_rings(
    stack: Stack,
    bucket: Bucket,
    client: Client,
    sagemaker: Any,
    settings: ChangeSettings,
) -> None:
    settings(time_scale=0.01)
    alarm = {
        "Namespace": "Nobody",
        "MetricName": "Publishes",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    policy = {"MaximumBatchSize": {"Type": "COPY_COUNT", "Value": 1}, "WaitIntervalInSeconds": 60}

    def resources(version: str, missing: str) -> dict[str, Any]:
        found = serving(stack.name, bucket, {"one": bucket.adapter("1")}, VERSION=version)
        base = found["Base"]["Properties"]
        base["Specification"]["ComputeResourceRequirements"]["NumberOfAcceleratorDevicesRequired"] = 1
        base["RuntimeConfig"]["CopyCount"] = 2
        base["DeploymentConfig"] = {
            "RollingUpdatePolicy": policy,
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": {"Ref": "Alarm"}}]},
        }
        properties = alarm | {"TreatMissingData": missing}
        return {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": properties}, **found}

    assert stack.create(resources("1", "notBreaching")) == "CREATE_COMPLETE", stack.why_failed()
    before = {logical_id: stack.physical_id(logical_id) for logical_id in ("Model", "Base", "One")}
    assert stack.update(resources("2", "notBreaching")) == "UPDATE_COMPLETE", stack.why_failed()
    changed = {logical_id for logical_id, arn in before.items() if stack.physical_id(logical_id) != arn}
    assert changed == {"Model"}
    assert len(sagemaker.list_models(NameContains=stack.name)["Models"]) == 1
    described = sagemaker.describe_inference_component(InferenceComponentName=f"{stack.name}-base")
    assert described["LastDeploymentConfig"]["RollingUpdatePolicy"] == policy
    assert stack.update(resources("3", "breaching")) == "UPDATE_ROLLBACK_COMPLETE"
    assert "The update was rolled back: alarms in ALARM" in stack.reasons("UPDATE_FAILED")[0]
    now = said(client, stack, "one")
    assert (now["version"], now["adapter"]) == ("2", "1")


def test_drift_tells_what_was_changed_by_hand(
    stack: Stack, bucket: Bucket, sagemaker: Any, client: Client
) -> None:
    adapters = {"one": bucket.adapter("1"), "two": bucket.adapter("1")}
    stack.create(serving(stack.name, bucket, adapters), tags={"team": "a"})
    assert drifted(client("cloudformation"), stack) == {}
    sagemaker.add_tags(ResourceArn=stack.physical_id("Endpoint"), Tags=[{"Key": "owner", "Value": "x"}])
    one, two = (stack.physical_id(each).rpartition("/")[2] for each in ("One", "Two"))
    container = {"ArtifactUrl": bucket.adapter("2")}
    sagemaker.update_inference_component(InferenceComponentName=one, Specification={"Container": container})
    sagemaker.delete_inference_component(InferenceComponentName=two)
    settled(sagemaker, one)
    until(lambda: drifted(client("cloudformation"), stack).get("Two") == "DELETED")
    assert drifted(client("cloudformation"), stack) == {
        "Endpoint": ["/Tags/1"], "One": ["/Specification/Container/ArtifactUrl"], "Two": "DELETED",
    }  # fmt: skip


def drifted(cloudformation: Any, stack: Stack) -> dict[str, Any]:
    """Return the paths that differ, or DELETED, of each resource with drift."""
    cloudformation.detect_stack_drift(StackName=stack.name)
    drifts = cloudformation.describe_stack_resource_drifts(StackName=stack.name)["StackResourceDrifts"]
    return {
        one["LogicalResourceId"]: [each["PropertyPath"] for each in one.get("PropertyDifferences", [])]
        or one["StackResourceDriftStatus"]
        for one in drifts
        if one["StackResourceDriftStatus"] != "IN_SYNC"
    }


def test_resource_names_its_stack(stack: Stack, bucket: Bucket, client: Client) -> None:
    stack.create(serving(stack.name, bucket, {}))
    arn = stack.physical_id("Base")
    describe = client("cloudformation").describe_stack_resources
    found = describe(PhysicalResourceId=arn)["StackResources"]
    assert {one["StackName"] for one in found} == {stack.name}
    with pytest.raises(ClientError, match="Stack for nothing does not exist"):
        describe(PhysicalResourceId="nothing")


def test_a_component_made_by_hand_is_imported_by_its_arn(
    stack: Stack, bucket: Bucket, sagemaker: Any, client: Client
) -> None:
    cloudformation = client("cloudformation")
    resources = serving(stack.name, bucket, {})
    stack.create(resources)
    by_hand = serving(stack.name, bucket, {"one": bucket.adapter("1")})["One"]["Properties"]
    endpoint = sagemaker.describe_endpoint(EndpointName=stack.physical_id("Endpoint").rpartition("/")[2])
    made = sagemaker.create_inference_component(**by_hand | {"EndpointName": endpoint["EndpointName"]})
    settled(sagemaker, f"{stack.name}-one")
    kind, arn = "AWS::SageMaker::InferenceComponent", made["InferenceComponentArn"]
    resources["One"] = {"Type": kind, "Properties": by_hand, "DeletionPolicy": "Delete"}
    template = json.dumps({"Resources": resources})
    summaries = cloudformation.get_template_summary(TemplateBody=template)["ResourceIdentifierSummaries"]
    (identifiers,) = (one["ResourceIdentifiers"] for one in summaries if one["ResourceType"] == kind)
    for name, found in (("other", arn.replace("000000000000", "999999999999")), ("import", arn)):
        taken = {
            "ResourceType": kind,
            "LogicalResourceId": "One",
            "ResourceIdentifier": dict.fromkeys(identifiers, found),
        }
        request = {"StackName": stack.name, "ChangeSetName": name}
        cloudformation.create_change_set(
            **request, ChangeSetType="IMPORT", TemplateBody=template, ResourcesToImport=[taken]
        )
        status = cloudformation.describe_change_set(**request)["Status"]
        assert status == ("CREATE_COMPLETE" if found == arn else "FAILED")
    cloudformation.execute_change_set(StackName=stack.name, ChangeSetName="import")
    until(lambda: stack.settled() == "IMPORT_COMPLETE")
    assert stack.physical_id("One") == arn
    assert stack.delete() == "DELETE_COMPLETE"

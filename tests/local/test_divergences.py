"""Where the embedded cloud differs from AWS: what holds each line of `docs/guides/divergences.md`.

The tests in this file pass here and would fail on AWS. A line has no test where only a new feature could make
it false, as with "Nothing is captured". A path without a file is in the file of the line before.
"""

import dataclasses
import json
import re
from pathlib import Path

from local_sagemaker.server import LocalCloud
from local_sagemaker.settings import PROFILES, Settings
from tests.local.conftest import Client
from tests.local.stacks import ROLE, Stack

GUIDES = Path(__file__).parents[2] / "docs/guides"
GUIDE, CLOUD_GUIDE = GUIDES / "divergences.md", GUIDES / "embedded-cloud.md"
KIND_ONLY = "[kind only](divergences.md#only-under-kind)"

DIFFERENCES = {
    "Unknown types hold every copy.": "tests/local/control_plane/test_capacity.py"
    "::test_resources_of_an_instance_type",
    "No GPU is used.": "tests/local/runtime/test_metrics.py"
    "::test_gpu_computes_while_there_are_requests_in_progress",
    "Other settings are stored.": "tests/local/control_plane/test_inference_components.py"
    "::test_settings_that_nothing_acts_on_are_described_as_they_were_sent",
    "Only inference components serve.": "tests/local/control_plane/test_endpoints.py"
    "::test_variants_that_cannot_be_are_refused",
    "SageMaker is serving alone.": "tests/local/control_plane/test_request_validation.py"
    "::test_operation_that_is_not_there_is_named",
    "Some services are missing.": "tests/local/ministack_patches/test_other_services.py"
    "::test_service_that_is_not_there_is_named",
    "Only copies scale.": "tests/local/autoscaling/test_service.py::test_wrong_target_is_refused",
    "An update must fit.": "tests/local/control_plane/test_endpoints.py"
    "::test_update_to_instances_that_the_copies_do_not_fit_on_is_refused",
    "Refusals have our words.": "::test_variants_that_cannot_be_are_refused",
    "GetResources finds nothing of SageMaker.": "tests/local/test_divergences.py"
    "::test_tags_of_sagemaker_are_not_in_the_tagging_api",
    "Chats have no log probabilities.": "tests/local/model_server/test_protocol.py"
    "::test_wrong_request_for_log_probabilities_is_refused",
    "OpenAI streams are server-sent events.": "tests/integration/test_openai_path.py"
    "::test_component_answers_whole_and_streamed",
    "One address serves all regions.": "tests/local/test_divergences.py"
    "::test_bucket_of_another_region_is_found",
    "With `--iam`, anyone may pass a role.": "tests/local/gateway/test_iam.py"
    "::test_role_is_passed_without_pass_role",
    "Resources come one after the other.": "tests/local/test_divergences.py"
    "::test_resources_come_one_after_the_other",
    "A failed component is deleted.": "tests/local/cloudformation/test_failures.py"
    "::test_failed_create_is_cleaned_up_once_its_sibling_lets_it",
    "Templates are checked less.": "tests/local/cloudformation/test_contract.py"
    "::test_what_the_schema_does_not_allow_is_refused",
    "Only endpoints send events.": "tests/local/test_divergences.py"
    "::test_models_send_no_events_and_endpoints_have_no_log_group",
    "Metrics live for three hours.": "tests/local/monitoring/test_metrics.py"
    "::test_latency_is_off_by_one_percent_at_most",
    "Metric math is small.": "tests/local/monitoring/test_queries.py::test_what_is_no_expression_is_refused",
}
"""The tests of lines that could become false unnoticed, by what the line begins with."""

ONLY_UNDER_KIND = {
    "An adapter answers throughout its update in place.": "tests/integration/test_update_under_load.py"
    "::test_updated_adapter_has_a_gap_only_where_the_service_makes_one",
    "New copies of the base have the adapters.": "tests/integration/test_scaled_copies.py"
    "::test_deployment_onto_no_copy_ends_well_and_what_a_new_copy_lacks_is_sent_again",
    "A full base can be updated.": "tests/local/control_plane/test_rolling_updates.py"
    "::test_where_updates_need_spare_room_a_batch_needs_it_only_once",
    "An unchanged adapter is not described.": "tests/local/control_plane/test_inference_components.py"
    "::test_last_modified_time_can_move_by_itself",
    "On the OpenAI path, an adapter answers an empty `model`.": "tests/local/gateway/test_openai_path.py"
    "::test_setting_says_whether_the_component_or_the_model_chooses_the_adapter",
}
"""By the promise that the guide names."""

SETTINGS = {
    "adapter_update": "tests/local/control_plane/test_inference_components.py"
    "::test_update_with_a_gap_has_neither_archive_for_a_while",
    "update_gap_seconds": "::test_update_with_a_gap_has_neither_archive_for_a_while",
    "one_write_per_base": "::test_writes_below_one_base_can_refuse_each_other",
    "base_delete": "::test_deleting_the_base_can_be_refused_while_it_has_adapters",
    "adapter_with_base_members": "::test_what_is_the_bases_may_be_refused_for_an_adapter",
    "partial_specification": "tests/local/control_plane/test_inference_components.py"
    "::test_a_base_is_updated_by_its_compute_requirements_alone_where_that_is_allowed",
    "adapter_at_prefix": "tests/local/runtime/test_hosting.py"
    "::test_adapter_at_a_prefix_is_fetched_or_refused",
    "instance_memory_kept": "tests/local/control_plane/test_capacity.py"
    "::test_memory_that_the_service_keeps_is_for_no_copy",
    "adapters_on_new_copies": "tests/local/control_plane/test_inference_components.py"
    "::test_adapters_can_be_lost_on_the_copies_that_a_base_update_makes",
    "create_while_instances_change": "tests/local/control_plane/test_instances.py"
    "::test_endpoint_is_updating_while_an_instance_comes_or_goes",
    "base_update_room": "tests/local/control_plane/test_rolling_updates.py"
    "::test_where_updates_need_spare_room_a_batch_needs_it_only_once",
    "failure_reason_stays": "tests/local/control_plane/test_inference_components.py"
    "::test_failure_reason_goes_or_stays_after_a_later_success",
    "listing_lag_seconds": "tests/local/control_plane/test_listings.py::test_listing_can_lag_behind",
    "last_modified_moves_every_seconds": "tests/local/control_plane/test_inference_components.py"
    "::test_last_modified_time_can_move_by_itself",
    "openai_adapter": "tests/local/gateway/test_openai_path.py"
    "::test_setting_says_whether_the_component_or_the_model_chooses_the_adapter",
    "openai_errors": "::test_errors_can_be_those_of_openai",
    "adapter_load": "tests/local/runtime/test_metrics.py"
    "::test_load_of_adapters_may_count_for_themselves_alone",
    "idle_invocations": "::test_look_measures_each_base_and_each_instance",
    "accelerator_dimension": "::test_enhanced_metrics_tell_the_instance_the_container_and_the_gpu",
    "adapter_logs": "::test_what_a_copy_prints_is_in_its_bases_log_group_and_maybe_in_its_adapters_as_well",
    "managed_scale_in_seconds": "tests/local/control_plane/test_instances.py"
    "::test_empty_instances_leave_after_a_while_down_to_none",
    "scale_in_periods": "tests/local/autoscaling/test_decisions.py"
    "::test_alarms_of_high_resolution_look_at_ten_seconds",
    "template_copies": "tests/local/cloudformation/test_handlers.py::test_update_of_a_base_after_a_scale_out",
    "read_rate": "tests/local/control_plane/test_faults.py::test_reads_have_a_rate_of_their_own",
    "write_rate": "::test_reads_have_a_rate_of_their_own",
    "parallel_creation": "tests/local/ministack_patches/test_cloudformation.py"
    "::test_adapters_refuse_each_other_where_a_base_takes_one_write_unless_one_depends_on_the_other",
    "update_path": "tests/local/runtime/test_hosting.py"
    "::test_update_under_the_old_name_keeps_the_path_only_where_the_setting_says_so",
    "prefix_cache": "tests/local/model_server/test_prefix_cache.py",
    "slot_eviction": "tests/local/model_server/test_scheduler.py"
    "::test_adapter_that_is_added_takes_the_slot_of_a_running_one_where_the_engine_has_that_fault",
}
"""By each setting for which no source knows what AWS does, or sources disagree."""

KNOWN = {
    "profile",
    "time_scale",
    "dialect",
    "engine_command",
    "load_from_cpu_seconds",
    "load_from_disk_seconds",
    "component_create_seconds",
    "component_update_seconds",
    "component_delete_seconds",
    "endpoint_seconds",
}
"""The settings about which AWS leaves nothing open: what serves copies, and times."""


def create_configuration(client: Client, name: str) -> None:
    variant = {"VariantName": "AllTraffic", "InstanceType": "ml.g5.12xlarge", "InitialInstanceCount": 1}
    client("sagemaker").create_endpoint_config(
        EndpointConfigName=name,
        ExecutionRoleArn=ROLE,
        ProductionVariants=[variant],
        Tags=[{"Key": "divergences", "Value": name}],
    )


def test_tags_of_sagemaker_are_not_in_the_tagging_api(client: Client) -> None:
    create_configuration(client, "tagged")
    found = client("resourcegroupstaggingapi").get_resources(TagFilters=[{"Key": "divergences"}])
    assert found["ResourceTagMappingList"] == []


def test_bucket_of_another_region_is_found(client: Client, cloud: LocalCloud) -> None:
    """S3 answers with a redirect."""
    client("s3").create_bucket(Bucket="divergent-region")
    elsewhere = cloud.client("s3", region_name="eu-central-1")
    found = elsewhere.head_bucket(Bucket="divergent-region")
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 200


def test_models_send_no_events_and_endpoints_have_no_log_group(client: Client) -> None:
    sagemaker, sqs, events = client("sagemaker"), client("sqs"), client("events")
    create_configuration(client, "silent")
    queue = sqs.create_queue(QueueName="divergences")["QueueUrl"]
    events.put_rule(Name="divergences", EventPattern=json.dumps({"source": ["aws.sagemaker"]}))
    target = {"Id": "queue", "Arn": "arn:aws:sqs:us-east-1:000000000000:divergences"}
    events.put_targets(Rule="divergences", Targets=[target])
    sagemaker.create_model(ModelName="silent", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "a"})
    sagemaker.create_endpoint(EndpointName="silent", EndpointConfigName="silent")
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="silent", WaiterConfig={"Delay": 0.1})
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    events.remove_targets(Rule="divergences", Ids=["queue"])
    seen = [json.loads(message["Body"]) for message in messages]
    assert {event["detail-type"] for event in seen} == {"SageMaker Endpoint State Change"}
    assert [event["detail"]["EndpointStatus"] for event in seen] == ["CREATING", "IN_SERVICE"]
    group = "/aws/sagemaker/Endpoints/silent"
    assert client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"] == []
    sagemaker.delete_endpoint(EndpointName="silent")


def test_resources_come_one_after_the_other(client: Client, stack: Stack) -> None:
    topic = {"Type": "AWS::SNS::Topic"}
    assert stack.create({"One": topic, "Two": topic}) == "CREATE_COMPLETE"
    events = client("cloudformation").describe_stack_events(StackName=stack.name)["StackEvents"][::-1]
    ids = [each["LogicalResourceId"] for each in events if each["ResourceType"] == "AWS::SNS::Topic"]
    assert ids == ["One", "One", "Two", "Two"]


def test_every_line_of_the_guide_has_its_source_and_the_list_names_lines_that_there_are() -> None:
    text, _, _ = GUIDE.read_text().partition("\n## Only under `kind`\n")
    lines = [" ".join(line.split()) for line in re.findall(r"^- (.+(?:\n  .+)*)", text, flags=re.MULTILINE)]
    begins = {begin[1] for line in lines if (begin := re.match(r"\*\*(.+?)\*\*", line))}
    assert len(begins) == len(lines)
    assert DIFFERENCES.keys() - begins == set()
    assert [line for line in lines if not re.search(r"\[[VTI][],/ ]", line)] == []


def rows(guide: Path, heading: str) -> list[tuple[str, ...]]:
    """The rows of the table below a heading, without its head."""
    below = guide.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    [table] = re.findall(r"(?:^\|.*\n)+", below, flags=re.MULTILINE)
    return [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in table.splitlines()[2:]]


def test_every_setting_that_no_source_decides_has_a_test_and_its_values_in_the_guide() -> None:
    assert sorted(SETTINGS) == sorted({field.name for field in dataclasses.fields(Settings)} - KNOWN)
    table = rows(CLOUD_GUIDE, "Settings")
    listed = [re.findall(r"`(\w+)`", row[0]) for row in table]
    assert sorted(name for names in listed for name in names) == sorted(SETTINGS)
    for names, (_, *cells) in zip(listed, table, strict=True):
        for profile, cell in zip(PROFILES.values(), cells, strict=True):
            assert cell.startswith(", ".join(shown(getattr(profile, name)) for name in names)), names


def shown(value: object) -> str:
    """A setting's value as `--set` reads it."""
    return f"{value:g}" if type(value) is float else str(value).lower() if type(value) is bool else str(value)


def test_what_holds_under_kind_only_is_marked_in_the_guides_that_the_list_names() -> None:
    promises = rows(GUIDE, "Only under `kind`")
    assert [row[0] for row in promises] == list(ONLY_UNDER_KIND)
    named = {name for row in promises for name in re.findall(r"\(([\w-]+\.md)\)", row[2])}
    guides = [guide for guide in GUIDES.glob("*.md") if KIND_ONLY in guide.read_text()]
    assert named == {guide.name for guide in guides}

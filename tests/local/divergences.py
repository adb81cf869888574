"""The tests that hold each line of `docs/guides/divergences.md`, and each setting of the embedded cloud.

A path without a file is in the file of the line before.
"""

from __future__ import annotations

DIFFERENCES = {
    "Everything is quick.": "tests/local/test_divergences.py::test_endpoint_is_there_within_a_minute",
    "There are always instances.": "::test_any_number_of_instances_comes",
    "Unknown types hold every copy.": "tests/local/control_plane/test_capacity.py"
    "::test_resources_of_an_instance_type",
    "No GPU is used.": "tests/local/runtime/test_metrics.py"
    "::test_gpu_computes_while_there_are_requests_in_progress",
    "Images do not run.": "tests/local/test_divergences.py::test_image_is_stored_alone",
    "Networks and keys need not exist.": "::test_networks_keys_and_roles_need_not_exist",
    "Nothing is captured.": "::test_nothing_is_captured",
    "UpdateEndpoint is one step.": "::test_new_configuration_is_one_step",
    "Other settings are stored.": "tests/local/control_plane/test_inference_components.py"
    "::test_settings_that_nothing_acts_on_are_described_as_they_were_sent",
    "Nothing is throttled.": "tests/local/test_divergences.py::test_nothing_is_throttled",
    "Only inference components serve.": "::test_model_in_a_variant_and_asynchronous_endpoints_are_refused",
    "SageMaker is serving alone.": "::test_rest_of_sagemaker_is_refused",
    "Some services are missing.": "tests/local/ministack_patches/test_other_services.py"
    "::test_service_that_is_not_there_is_named",
    "Only copies scale.": "tests/local/test_divergences.py::test_scaling_of_anything_but_copies_is_refused",
    "An update must fit.": "tests/local/control_plane/test_endpoints.py"
    "::test_update_to_instances_that_the_copies_do_not_fit_on_is_refused",
    "Refusals have our words.": "::test_variants_that_cannot_be_are_refused",
    "GetResources finds nothing of SageMaker.": "tests/local/test_divergences.py"
    "::test_tags_of_sagemaker_are_not_in_the_tagging_api",
    "Chats have no log probabilities.": "tests/local/model_server/test_protocol.py"
    "::test_wrong_request_for_log_probabilities_is_refused",
    "OpenAI streams are server-sent events.": "tests/integration/test_openai_path.py"
    "::test_component_answers_whole_and_streamed",
    "There are no sessions.": "tests/local/test_divergences.py::test_there_are_no_sessions",
    "One address serves all regions.": "::test_bucket_of_another_region_is_found",
    "Without `--iam`, everyone is allowed.": "::test_everyone_is_allowed",
    "With `--iam`, anyone may pass a role.": "tests/local/gateway/test_iam.py"
    "::test_role_is_passed_without_pass_role",
    "Resources come one after the other.": "tests/local/test_divergences.py"
    "::test_resources_come_one_after_the_other",
    "A failed component is deleted.": "::test_component_that_fails_is_deleted_also_without_rollback",
    "Templates are checked less.": "tests/local/cloudformation/test_contract.py"
    "::test_what_the_schema_does_not_allow_is_refused",
    "Stack policies are stored.": "tests/local/test_divergences.py::test_stack_policies_are_stored",
    "Functions are processes of your machine": "::test_function_is_a_process_of_this_machine",
    "Only endpoints send events.": "::test_models_send_no_events_and_endpoints_have_no_log_group",
    "Metrics live for three hours.": "tests/local/monitoring/test_metrics.py"
    "::test_latency_is_off_by_one_percent_at_most",
    "Some metrics are missing.": "tests/local/test_divergences.py"
    "::test_metrics_that_the_library_does_not_read_are_missing",
    "Alarms are checked less.": "::test_odd_period_of_an_alarm_is_accepted",
    "Metric math is small.": "::test_most_functions_of_metric_math_are_refused",
}
"""By what the line of the guide begins with."""

ONLY_UNDER_KIND = {
    "An adapter answers throughout its update in place.": "tests/integration/test_update_under_load.py"
    "::test_updated_adapter_has_a_gap_only_where_the_service_makes_one",
    "New copies of the base have the adapters.": "tests/integration/test_scaled_copies.py"
    "::test_deployment_onto_no_copy_ends_well_and_what_a_new_copy_lacks_is_sent_again",
    "A full base can be updated.": "tests/local/control_plane/test_inference_components.py"
    "::test_base_update_without_spare_room_fails_where_that_is_needed",
    "An unchanged adapter is not described.": "::test_last_modified_time_can_move_by_itself",
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
    "base_update_room": "tests/local/control_plane/test_inference_components.py"
    "::test_base_update_without_spare_room_fails_where_that_is_needed",
    "failure_reason_stays": "::test_failure_reason_goes_or_stays_after_a_later_success",
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
}
"""By each setting for which no source knows what AWS does, or sources disagree."""

"""Every experiment, in the order in which they run, and the settings about which none asks."""

from __future__ import annotations

from verify_aws.experiments import answers, copies, deletions, observation, updates, writes

# Metrics are added up while there is one copy, the template needs the accelerator that `no_copies` leaves
# free, and deletions end what the others need.
EXPERIMENTS = (
    writes.references,
    writes.creation,
    writes.concurrent_creations,
    writes.duplicate_creation,
    writes.writes_in_transition,
    writes.arguments,
    writes.throttling,
    updates.update_in_place,
    updates.failed_update,
    updates.prefix_cache,
    answers.openai_path,
    answers.openai_errors,
    answers.names_in_the_body,
    answers.refused_invocations,
    observation.metrics,
    observation.log_groups,
    observation.last_modified,
    copies.scale_out,
    copies.update_of_the_base_without_room,
    copies.update_of_the_base,
    copies.no_copies,
    copies.template_copies,
    deletions.endpoint_with_components,
    deletions.base_with_adapters,
)

_SCALED = "a time that the embedded cloud scales; the transcript has what was measured"
_OWN = "the embedded cloud's own"
NOT_ASKED = {
    **dict.fromkeys(
        (
            "component_create_seconds",
            "component_update_seconds",
            "component_delete_seconds",
            "endpoint_seconds",
        ),
        _SCALED,
    ),
    **dict.fromkeys(("profile", "dialect", "engine_command", "time_scale"), _OWN),
    **dict.fromkeys(("load_from_cpu_seconds", "load_from_disk_seconds"), _OWN),
    "instance_memory_kept": "it would take copies of different sizes, each on an instance of its own",
    "managed_scale_in_seconds": "it would take two instances for a quarter of an hour",
}
"""Why no experiment asks about a setting of the embedded cloud."""

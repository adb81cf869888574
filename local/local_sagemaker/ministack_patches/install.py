"""Installs every patch. The patches of one function wrap each other, so their order matters."""

from collections.abc import Callable

from local_sagemaker.http_guards.admin_guard import DownloadSigner
from local_sagemaker.ministack_patches import (
    cloudformation_bucket_tags,
    cloudformation_change_sets,
    cloudformation_dead_letter_queues,
    cloudformation_deletion_during_creation,
    cloudformation_failed_custom_resources,
    cloudformation_failed_deletions,
    cloudformation_native_types,
    cloudformation_parallel_creation,
    cloudformation_physical_ids,
    cloudwatch_log_pages,
    cloudwatch_metrics,
    http_content_type,
    http_unsupported_services,
    iam_leading_keys,
    iam_log_groups,
    iam_missing_objects,
    lambda_download_urls,
    lambda_embedded_metrics,
    lambda_errors,
    lambda_logs,
    lambda_workers,
    s3_event_versions,
    stepfunctions_retry_delays,
)
from local_sagemaker.ministack_patches.cloudwatch_alarms import Alarms


def install_patches(
    signer: DownloadSigner,
    alarms: Alarms,
    parallel_creation: Callable[[], bool],
    *,
    native_types: str,
    runtime_header: str,
) -> None:
    """Install the patches; UnknownMinistackError if ministack's internals differ from the pinned version.

    native_types is the prefix of the CloudFormation types that this package adds. runtime_header is a header
    that only answers of the SageMaker runtime have.
    """
    for patch in (
        cloudformation_bucket_tags,
        cloudformation_dead_letter_queues,
        iam_missing_objects,
        iam_leading_keys,
        iam_log_groups,
        http_unsupported_services,
        s3_event_versions,
        lambda_logs,
        lambda_embedded_metrics,
        cloudwatch_log_pages,
        cloudwatch_metrics,
        lambda_errors,
        lambda_workers,
        stepfunctions_retry_delays,
        cloudformation_failed_custom_resources,
        cloudformation_failed_deletions,
        cloudformation_change_sets,
        cloudformation_physical_ids,
    ):
        patch.install()
    alarms.install()
    cloudformation_parallel_creation.install(parallel_creation)
    cloudformation_native_types.install(native_types)
    # After the other patches of deployments and deletions: it wraps them.
    cloudformation_deletion_during_creation.install()
    http_content_type.install(runtime_header)
    lambda_download_urls.install(signer)

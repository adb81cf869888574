"""Installs every patch. The patches of one function wrap each other, so their order matters."""

from collections.abc import Callable

from local_sagemaker.http_guards import DownloadSigner
from local_sagemaker.ministack_patches import (
    cloudformation_change_sets,
    cloudformation_deletion_during_creation,
    cloudformation_failures,
    cloudformation_parallel_creation,
    cloudformation_resources,
    cloudwatch_log_pages,
    cloudwatch_metrics,
    http,
    iam,
    lambda_functions,
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
    cloudformation_resources.install_bucket_tags()
    cloudformation_resources.install_dead_letter_queues()
    iam.install_missing_objects()
    iam.install_leading_keys()
    iam.install_log_groups()
    http.install_unsupported_services()
    s3_event_versions.install()
    lambda_functions.install_logs()
    lambda_functions.install_embedded_metrics()
    cloudwatch_log_pages.install()
    cloudwatch_metrics.install()
    lambda_functions.install_errors()
    lambda_functions.install_workers()
    lambda_functions.install_environment()
    stepfunctions_retry_delays.install()
    cloudformation_failures.install_failed_custom_resources()
    cloudformation_failures.install_failed_deletions()
    cloudformation_change_sets.install()
    cloudformation_resources.install_physical_ids()
    cloudformation_resources.install_template_urls()
    alarms.install()
    cloudformation_parallel_creation.install(parallel_creation)
    cloudformation_resources.install_native_types(native_types)
    # After the other patches of deployments and deletions: it wraps them.
    cloudformation_deletion_during_creation.install()
    http.install_content_type(runtime_header)
    lambda_functions.install_download_urls(signer)

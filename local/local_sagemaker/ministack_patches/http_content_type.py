"""Answers of the SageMaker runtime keep the container's content type.

Fault of ministack: it overwrites the content type of every successful answer.
"""

import ministack.app

from local_sagemaker.ministack_patches.internals import expect_names


def install(marker_header: str) -> None:
    """Skip answers with a header that only the runtime sets."""
    expect_names(ministack.app, "fix_success_content_type")
    fix = ministack.app.fix_success_content_type

    def fix_unless_runtime(service: str, status: int, headers: dict[str, str]) -> None:
        if marker_header not in headers:
            fix(service, status, headers)

    ministack.app.fix_success_content_type = fix_unless_runtime

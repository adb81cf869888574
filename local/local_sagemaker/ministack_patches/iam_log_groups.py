"""A permission on a log group is asked for with an ARN that `log-group:NAME:*` matches.

Fault of ministack: it asks for `log-group:NAME`.
"""

from typing import Any

from ministack.core import iam_actions

from local_sagemaker.ministack_patches.internals import expect


def install() -> None:
    """End the ARN of a log group as AWS does.

    [V CloudWatch Logs guide, "Overview of managing access permissions"] Policies name a group with `:*` at
    the end, but for tags. [T] In AWS's refusals the resource is `log-group:NAME:log-stream:`.
    """
    expect(hasattr(iam_actions, "extract_resource_arn"), "iam_actions.extract_resource_arn finds resources")
    known = iam_actions.extract_resource_arn

    def extract(service: str, *call: Any) -> Any:
        arn = known(service, *call)
        return f"{arn}:log-stream:" if service == "logs" and _is_group(arn) else arn

    iam_actions.extract_resource_arn = extract


def _is_group(arn: str) -> bool:
    return ":log-group:" in arn and ":" not in arn.partition(":log-group:")[2]

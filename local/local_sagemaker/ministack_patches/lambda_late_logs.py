"""Log lines that a function writes after the deletion of its log group are dropped.

Fault of ministack: late lines create the log group again, and it outlives its stack. On AWS, a function whose
`LoggingConfig` names a log group needs `logs:CreateLogGroup` for that [T]. No role of the CDK has it.
"""

from typing import Any

from ministack.services import cloudwatch_logs, lambda_svc

from local_sagemaker.ministack_patches.internals import expect


def install() -> None:
    """Write to the log group of a `LoggingConfig` only while it exists."""
    expect(hasattr(lambda_svc, "_emit_lambda_logs"), "lambda_svc._emit_lambda_logs writes a handler's log")
    expect(hasattr(cloudwatch_logs, "_log_groups"), "cloudwatch_logs._log_groups has the log groups")
    emit = lambda_svc._emit_lambda_logs

    def emit_to_existing_group(function: Any, *arguments: Any, **source: Any) -> None:
        config = function.get("config") or function
        group = (config.get("LoggingConfig") or {}).get("LogGroup")
        if group is None or group in cloudwatch_logs._log_groups:
            emit(function, *arguments, **source)

    lambda_svc._emit_lambda_logs = emit_to_existing_group

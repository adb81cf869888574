"""What a function logs after its log group was deleted is lost.

With a log group of its own (`LoggingConfig`), a function needs `logs:CreateLogGroup` to have it made again
[T], which no role of the CDK's gives it. Here it would come back, and outlive
its stack, whenever a function's last lines were late.
"""

from typing import Any

from ministack.services import cloudwatch_logs, lambda_svc

from local_sagemaker.ministack_patches.internals import expect


def install() -> None:
    """Write to a log group that a function was given only while it is there."""
    expect(hasattr(lambda_svc, "_emit_lambda_logs"), "lambda_svc._emit_lambda_logs writes a handler's log")
    expect(hasattr(cloudwatch_logs, "_log_groups"), "cloudwatch_logs._log_groups has the log groups")
    emit = lambda_svc._emit_lambda_logs

    def emit_if_wanted(function: Any, *arguments: Any, **source: Any) -> None:
        config = function.get("config") or function
        group = (config.get("LoggingConfig") or {}).get("LogGroup")
        if group is None or group in cloudwatch_logs._log_groups:
            emit(function, *arguments, **source)

    lambda_svc._emit_lambda_logs = emit_if_wanted

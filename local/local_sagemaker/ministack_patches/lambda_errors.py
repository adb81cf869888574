"""An exception that a Python handler raises is reported by its own type, not as Runtime.HandlerError."""

import json
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from local_sagemaker.ministack_patches.internals import expect

_SENT = '{"status": "error", "error": str(e), "trace": traceback.format_exc()}'
_SENT_TYPED = (
    '{"status": "error", "error": "\\x01" + json.dumps([type(e).__name__, str(e)]),'
    ' "trace": traceback.format_exc()}'
)


def install() -> None:
    """Let the worker send the type along with the message, and take it apart where the answer is made."""
    script = lambda_runtime._PYTHON_WORKER_SCRIPT
    expect(_SENT in script, "the Python worker reports a handler's exception in the known line")
    expect("json.dumps" in script, "the Python worker imports json")
    expect(hasattr(lambda_svc, "_execute_function_warm"), "lambda_svc._execute_function_warm runs a handler")
    lambda_runtime._PYTHON_WORKER_SCRIPT = script.replace(_SENT, _SENT_TYPED)
    execute = lambda_svc._execute_function_warm

    def execute_typed(function: Any, event: Any, request_id: str) -> Any:
        result = execute(function, event, request_id)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict):
            message = str(body.get("errorMessage"))
            if message.startswith("\x01"):
                body["errorType"], body["errorMessage"] = json.loads(message[1:])
        return result

    lambda_svc._execute_function_warm = execute_typed

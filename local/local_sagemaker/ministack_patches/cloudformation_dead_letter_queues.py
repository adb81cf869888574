"""Functions send events that they fail to handle to the queue of their template.

Fault of ministack: it ignores the property DeadLetterConfig.
"""

from typing import Any

from ministack.services import lambda_svc

from local_sagemaker.ministack_patches.internals import after_provisioning, expect_names

_SETTING = "DeadLetterConfig"


def install() -> None:
    """Set or remove the queue after a create and an update."""
    expect_names(lambda_svc, "_functions")
    after_provisioning("AWS::Lambda::Function", _apply)


def _apply(function: str, properties: dict[str, Any]) -> None:
    config = lambda_svc._functions[function]["config"]
    config.pop(_SETTING, None)
    if properties.get(_SETTING):
        config[_SETTING] = properties[_SETTING]

"""The names in an account that a person may have meant."""

from collections.abc import Callable, Iterable

from botocore.exceptions import BotoCoreError, ClientError

from adapter_fleet.common.near_names import did_you_mean
from adapter_fleet.fleet.state.sagemaker_port import ServiceError


def meant_name(name: str, known: Callable[[], Iterable[str]]) -> str:
    """Return a hint to add to the error of an unknown name; nothing if the caller may not list the known."""
    try:
        return did_you_mean(name, known())
    except (BotoCoreError, ClientError, ServiceError):
        return ""
